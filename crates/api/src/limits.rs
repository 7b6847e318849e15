//! How often one address or one customer may call.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter, clock, middleware::StateInformationMiddleware, nanos::Nanos, state::keyed::DashMapStateStore,
};
use minispod_kernel::Clock;

use crate::error::ApiError;

/// Keys remembered before those that have recovered are forgotten.
const SWEEP_EVERY: u64 = 4096;

/// `count` requests in each `window`, all at once or spread.
///
/// Calls are counted in this process: several processes behind one address let as many times more through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub count: NonZeroU32,
    pub window: Duration,
}

impl Allowance {
    /// `count` (at least 1) in a minute.
    pub fn per_minute(count: u32) -> Self {
        Self::within(count, Duration::from_mins(1))
    }

    /// `count` (at least 1) in `window`.
    pub fn within(count: u32, window: Duration) -> Self {
        Self { count: NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN), window }
    }

    /// So many that nothing is counted.
    pub fn unlimited() -> Self {
        Self::per_minute(u32::MAX)
    }

    fn is_unlimited(self) -> bool {
        self.count == NonZeroU32::MAX
    }
}

/// The kernel's clock in the limiter's terms.
#[derive(Clone)]
struct LimiterClock(Arc<dyn Clock>);

impl clock::Clock for LimiterClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(Duration::from_millis(self.0.now().unix_millis().max(0).unsigned_abs()))
    }
}

/// Counts calls by key in constant space: after a pause the whole allowance may go at once while it also trickles in, so
/// a window that begins with such a burst can see up to twice the count. Good against floods; see [`Window`].
pub struct Limit {
    name: &'static str,
    allowance: Allowance,
    limiter: RateLimiter<String, DashMapStateStore<String>, LimiterClock, StateInformationMiddleware>,
    clock: LimiterClock,
    calls: AtomicU64,
}

impl Limit {
    /// A limit; `name` is its metric label.
    pub fn new(name: &'static str, allowance: Allowance, clock: Arc<dyn Clock>) -> Self {
        let clock = LimiterClock(clock);
        let quota = Quota::with_period(allowance.window / allowance.count.get())
            .unwrap_or_else(|| Quota::per_minute(allowance.count))
            .allow_burst(allowance.count);
        let limiter = RateLimiter::new(quota, DashMapStateStore::default(), clock.clone());
        Self { name, allowance, limiter, clock, calls: AtomicU64::new(0) }
    }

    /// Counts one call of `key`; over the limit: 429 with the wait.
    pub fn check(&self, key: &str) -> Result<(), ApiError> {
        self.count(key).1
    }

    /// Counts like [`Limit::check`] and says where `key` stands then; nowhere, when nothing is counted.
    pub fn count(&self, key: &str) -> (Option<Standing>, Result<(), ApiError>) {
        if self.allowance.is_unlimited() {
            return (None, Ok(()));
        }
        let standing =
            |remaining, reset| Some(Standing { policy: self.name, allowance: self.allowance, remaining, reset });
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
        }
        match self.limiter.check_key(&key.to_owned()) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = self.allowance.count.get().saturating_sub(remaining);
                let reset = (self.allowance.window / self.allowance.count.get()).saturating_mul(used);
                (standing(remaining, reset), Ok(()))
            }
            Err(not_until) => {
                metrics::counter!("minispod_http_limited_total", "limit" => self.name).increment(1);
                let wait = not_until.wait_time_from(clock::Clock::now(&self.clock));
                (standing(0, wait), Err(ApiError::too_many(wait)))
            }
        }
    }
}

/// Where somebody stands with one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The limit's name.
    pub policy: &'static str,
    pub allowance: Allowance,
    /// Calls that would be let through now.
    pub remaining: u32,
    /// Until more are let through; until all are, while some are left.
    pub reset: Duration,
}

/// Counts calls by key exactly: never more than the count in any stretch as long as the window. Remembers each call.
pub struct Window {
    name: &'static str,
    allowance: Allowance,
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
}

/// When calls were let through, by key, in milliseconds.
#[derive(Default)]
struct Seen {
    by_key: HashMap<String, VecDeque<i64>>,
    calls: u64,
}

impl Window {
    /// A limit; `name` is its metric label.
    pub fn new(name: &'static str, allowance: Allowance, clock: Arc<dyn Clock>) -> Self {
        Self { name, allowance, clock, seen: Mutex::default() }
    }

    /// Counts one call of `key`; over the limit: 429 with the wait, and the call is not counted.
    pub fn check(&self, key: &str) -> Result<(), ApiError> {
        self.take(key).map_err(|wait| {
            metrics::counter!("minispod_http_limited_total", "limit" => self.name).increment(1);
            ApiError::too_many(wait)
        })
    }

    /// Counts one of `key`, whatever is counted; over the limit: the wait, and it is not counted.
    pub fn take(&self, key: &str) -> Result<(), Duration> {
        if self.allowance.is_unlimited() {
            return Ok(());
        }
        let now = self.clock.now().unix_millis();
        let window = i64::try_from(self.allowance.window.as_millis()).unwrap_or(i64::MAX);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.calls = seen.calls.wrapping_add(1);
        if seen.calls.is_multiple_of(SWEEP_EVERY) {
            seen.by_key.retain(|_, calls| calls.back().is_some_and(|last| now.saturating_sub(*last) < window));
        }
        let calls = seen.by_key.entry(key.to_owned()).or_default();
        // A clock that was set back must not lock anybody out for longer than the window.
        for call in calls.iter_mut() {
            *call = (*call).min(now);
        }
        while calls.front().is_some_and(|first| now.saturating_sub(*first) >= window) {
            calls.pop_front();
        }
        match calls.front() {
            Some(first) if calls.len() >= self.allowance.count.get() as usize => {
                Err(Duration::from_millis((first + window - now).unsigned_abs()))
            }
            _ => {
                calls.push_back(now);
                Ok(())
            }
        }
    }
}

impl Window {
    /// Where `key` stands, counting nothing.
    pub fn standing(&self, key: &str) -> Option<Standing> {
        if self.allowance.is_unlimited() {
            return None;
        }
        let now = self.clock.now().unix_millis();
        let window = i64::try_from(self.allowance.window.as_millis()).unwrap_or(i64::MAX);
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = seen.by_key.get(key).into_iter().flatten().map(|call| (*call).min(now));
        let counted: Vec<i64> = calls.filter(|call| now.saturating_sub(*call) < window).collect();
        let used = u32::try_from(counted.len()).unwrap_or(u32::MAX);
        let until = |call: &i64| Duration::from_millis((call + window - now).unsigned_abs());
        Some(Standing {
            policy: self.name,
            allowance: self.allowance,
            remaining: self.allowance.count.get().saturating_sub(used),
            reset: counted.first().map(until).unwrap_or_default(),
        })
    }

    /// Takes the last call of `key` back: it was none of those that are to be few.
    pub fn forgive(&self, key: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(calls) = seen.by_key.get_mut(key) {
            calls.pop_back();
            if calls.is_empty() {
                seen.by_key.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_kernel::{ManualClock, Timestamp};

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_800_000_000_000)))
    }

    const STEP: Duration = Duration::from_secs(12);

    #[test]
    fn five_at_once_are_all_of_their_minute() {
        let clock = clock();
        let window = Window::new("payments", Allowance::per_minute(5), clock.clone());
        let through = |window: &Window| (0..9).filter(|_| window.check("ani").is_ok()).count();
        assert_eq!(through(&window), 5);
        for _ in 0..4 {
            clock.advance(STEP);
            assert_eq!(through(&window), 0, "the burst is still within the last minute");
        }
        clock.advance(STEP.saturating_sub(Duration::from_millis(1)));
        let refusal = window.check("ani").expect_err("a millisecond early");
        assert_eq!(refusal.retry_after_seconds(), Some(1));
        clock.advance(Duration::from_millis(1));
        assert_eq!(through(&window), 5);
    }

    #[test]
    fn no_stretch_of_a_minute_sees_more_than_five_however_the_calls_are_spread() {
        let clock = clock();
        let window = Window::new("payments", Allowance::per_minute(5), clock.clone());
        let mut let_through: Vec<u64> = Vec::new();
        for second in 0..600_u64 {
            // Silence for two minutes, a call every twelve seconds for two, then as many as are let through.
            let calls = match second {
                120..240 => u64::from(second % 12 == 0),
                240.. => 3,
                _ => 0,
            };
            let_through.extend((0..calls).filter(|_| window.check("ani").is_ok()).map(|_| second));
            clock.advance(Duration::from_secs(1));
        }
        let busiest =
            let_through.iter().map(|begin| let_through.iter().filter(|at| (*begin..begin + 60).contains(at)).count());
        assert_eq!(busiest.max(), Some(5));
        assert_eq!(
            let_through.iter().filter(|second| (120..240).contains(*second)).count(),
            10,
            "a call every 12 s passes"
        );
        window.check("budi").expect("another customer");
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out_for_longer_than_the_window() {
        let clock = clock();
        let window = Window::new("payments", Allowance::per_minute(1), clock.clone());
        clock.advance(Duration::from_hours(5));
        window.check("ani").expect("the first");
        let back = ManualClock::at(Timestamp::from_unix_millis(1_800_000_000_000));
        let window = Window { clock: Arc::new(back), ..window };
        assert_eq!(window.check("ani").err().and_then(|refusal| refusal.retry_after_seconds()), Some(60));
        let unlimited = Window::new("payments", Allowance::unlimited(), clock);
        assert!((0..1_000).all(|_| unlimited.check("ani").is_ok()));
        assert!(unlimited.seen.lock().expect("not poisoned").by_key.is_empty());
    }

    #[test]
    fn both_kinds_say_where_a_caller_stands() {
        let clock = clock();
        let limit = Limit::new("reads", Allowance::per_minute(3), clock.clone());
        let stands =
            |(standing, _): (Option<Standing>, _)| standing.map(|standing| (standing.remaining, standing.reset));
        assert_eq!(stands(limit.count("ani")), Some((2, Duration::from_secs(20))));
        assert_eq!(stands(limit.count("ani")), Some((1, Duration::from_secs(40))));
        limit.check("ani").expect("the third");
        let (standing, refused) = limit.count("ani");
        let wait = refused.expect_err("the fourth").retry_after_seconds();
        assert_eq!(standing.map(|standing| (standing.remaining, standing.reset.as_secs())), Some((0, 20)));
        assert_eq!(wait, Some(20));
        assert_eq!(Limit::new("reads", Allowance::unlimited(), clock.clone()).count("ani").0, None);

        let window = Window::new("payments", Allowance::per_minute(2), clock.clone());
        let stands = || window.standing("ani").map(|standing| (standing.remaining, standing.reset.as_secs()));
        assert_eq!((stands(), stands()), (Some((2, 0)), Some((2, 0))), "looking counts nothing");
        window.check("ani").expect("the first");
        clock.advance(Duration::from_secs(10));
        window.check("ani").expect("the second");
        assert_eq!(stands(), Some((0, 50)));
        clock.advance(Duration::from_secs(50));
        assert_eq!(stands(), Some((1, 10)));
        assert_eq!(Window::new("payments", Allowance::unlimited(), clock).standing("ani"), None);
    }

    #[test]
    fn what_is_forgiven_is_not_counted() {
        let window = Window::new("sign-ins", Allowance::per_minute(2), clock());
        for _ in 0..9 {
            window.check("ani").expect("the last one was forgiven");
            window.forgive("ani");
        }
        window.forgive("nobody");
        assert!(window.seen.lock().expect("not poisoned").by_key.is_empty());
        assert_eq!((0..9).filter(|_| window.check("ani").is_ok()).count(), 2);
    }

    #[test]
    fn the_sixth_call_in_a_minute_waits_and_others_do_not() {
        let clock = clock();
        let limit = Limit::new("payments", Allowance::per_minute(5), clock.clone());
        for _ in 0..5 {
            limit.check("ani").expect("within the limit");
        }
        let refusal = limit.check("ani").expect_err("over the limit");
        assert!(refusal.retry_after_seconds().is_some_and(|seconds| (1..=60).contains(&seconds)));
        limit.check("budi").expect("another customer");
        clock.advance(Duration::from_mins(1));
        limit.check("ani").expect("a minute later");
    }
}
