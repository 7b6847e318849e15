//! How often one address or one customer may call.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{Quota, RateLimiter, clock, middleware::NoOpMiddleware, nanos::Nanos, state::keyed::DashMapStateStore};
use minispod_kernel::Clock;

use crate::error::ApiError;

/// Keys remembered before those that have recovered are forgotten.
const SWEEP_EVERY: u64 = 4096;

/// `count` requests in each `window`, all at once or spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub count: NonZeroU32,
    pub window: Duration,
}

impl Allowance {
    /// `count` (at least 1) in a minute.
    pub fn per_minute(count: u32) -> Self {
        Self { count: NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN), window: Duration::from_mins(1) }
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

/// Counts calls by key.
pub struct Limit {
    name: &'static str,
    limiter: RateLimiter<String, DashMapStateStore<String>, LimiterClock, NoOpMiddleware<Nanos>>,
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
        Self { name, limiter, clock, calls: AtomicU64::new(0) }
    }

    /// Counts one call of `key`; over the limit: 429 with the wait.
    pub fn check(&self, key: &str) -> Result<(), ApiError> {
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&key.to_owned()).map_err(|not_until| {
            metrics::counter!("minispod_http_limited_total", "limit" => self.name).increment(1);
            ApiError::too_many(not_until.wait_time_from(clock::Clock::now(&self.clock)))
        })
    }
}

/// The caller's address: the peer's, or what a trusted proxy says of it.
///
/// `forwarded` is `X-Forwarded-For`; it is read from the right, and the first address that is no trusted proxy counts.
pub fn client_address(peer: IpAddr, forwarded: Option<&str>, trusted: &[IpAddr]) -> IpAddr {
    let mut address = peer;
    for hop in forwarded.unwrap_or_default().rsplit(',') {
        if !trusted.contains(&address) {
            break;
        }
        let Ok(hop) = hop.trim().parse() else { break };
        address = hop;
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_kernel::{ManualClock, Timestamp};

    #[test]
    fn the_sixth_call_in_a_minute_waits_and_others_do_not() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_800_000_000_000)));
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

    #[test]
    fn only_trusted_proxies_may_name_the_client() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let trusted = [ip("10.0.0.1"), ip("10.0.0.2")];
        assert_eq!(client_address(ip("203.0.113.9"), Some("198.51.100.1"), &trusted), ip("203.0.113.9"));
        assert_eq!(client_address(ip("10.0.0.1"), Some("198.51.100.1, 10.0.0.2"), &trusted), ip("198.51.100.1"));
        assert_eq!(client_address(ip("10.0.0.1"), Some("1.1.1.1, 198.51.100.1"), &trusted), ip("198.51.100.1"));
        assert_eq!(client_address(ip("10.0.0.1"), Some("nonsense"), &trusted), ip("10.0.0.1"));
        assert_eq!(client_address(ip("10.0.0.1"), None, &trusted), ip("10.0.0.1"));
    }
}
