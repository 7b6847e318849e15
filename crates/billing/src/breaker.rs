//! A circuit breaker: after repeated failures nobody waits for the gateway until a single probe gets through.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use minispod_kernel::{Clock, Timestamp};

/// Counts consecutive failures; opens, rests, lets one probe through.
pub struct Breaker {
    clock: Arc<dyn Clock>,
    failures_to_open: u32,
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        failures: u32,
    },
    /// Nobody passes before `until`; then one probe, whose outcome decides.
    Resting {
        until: Timestamp,
    },
}

impl Breaker {
    /// Opens after `failures_to_open` failures in a row and rests for `rest`.
    pub fn new(clock: Arc<dyn Clock>, failures_to_open: u32, rest: Duration) -> Self {
        Self {
            clock,
            failures_to_open: failures_to_open.max(1),
            rest,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// Whether a call may go out now; otherwise how long the rest still is.
    pub fn admit(&self) -> Result<(), Duration> {
        let now = self.clock.now();
        self.with(|state| match *state {
            State::Closed { .. } => Ok(()),
            State::Resting { until } if now < until => {
                Err(Duration::from_millis((until.unix_millis() - now.unix_millis()).max(0).unsigned_abs()))
            }
            State::Resting { .. } => {
                // This caller is the probe. Others rest on, and so do all when the probe is dropped half-way.
                *state = State::Resting { until: now.plus(self.rest) };
                Ok(())
            }
        })
    }

    /// The gateway answered, whatever it said.
    pub fn succeeded(&self) {
        metrics::gauge!("minispod_gateway_breaker_open").set(0.0);
        self.with(|state| *state = State::Closed { failures: 0 });
    }

    /// The gateway did not answer or is out of order.
    pub fn failed(&self) {
        let now = self.clock.now();
        self.with(|state| {
            let failures = match *state {
                State::Closed { failures } => failures + 1,
                State::Resting { .. } => self.failures_to_open,
            };
            *state = if failures >= self.failures_to_open {
                metrics::gauge!("minispod_gateway_breaker_open").set(1.0);
                tracing::warn!(failures, rest = ?self.rest, "the gateway keeps failing and is left alone for a while");
                State::Resting { until: now.plus(self.rest) }
            } else {
                State::Closed { failures }
            };
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_kernel::ManualClock;

    const REST: Duration = Duration::from_secs(15);

    fn breaker() -> (Arc<ManualClock>, Breaker) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(0)));
        (clock.clone(), Breaker::new(clock, 3, REST))
    }

    #[test]
    fn three_failures_in_a_row_stop_further_calls_until_the_rest_is_over() {
        let (clock, breaker) = breaker();
        for _ in 0..3 {
            assert_eq!(breaker.admit(), Ok(()));
            breaker.failed();
        }
        clock.advance(Duration::from_secs(5));
        assert_eq!(breaker.admit(), Err(Duration::from_secs(10)));
        clock.advance(Duration::from_secs(10));
        assert_eq!(breaker.admit(), Ok(()));
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        let (_, breaker) = breaker();
        breaker.failed();
        breaker.failed();
        breaker.succeeded();
        breaker.failed();
        assert_eq!(breaker.admit(), Ok(()));
    }

    #[test]
    fn only_one_probe_passes_and_its_outcome_decides() {
        let (clock, breaker) = breaker();
        (0..3).for_each(|_| breaker.failed());
        clock.advance(REST);
        assert_eq!(breaker.admit(), Ok(()));
        assert_eq!(breaker.admit(), Err(REST), "the second caller does not pass beside the probe");
        breaker.failed();
        assert_eq!(breaker.admit(), Err(REST));
        clock.advance(REST);
        assert_eq!(breaker.admit(), Ok(()));
        breaker.succeeded();
        assert_eq!(breaker.admit(), Ok(()));
    }

    #[test]
    fn a_probe_that_never_reports_does_not_close_the_door_for_ever() {
        let (clock, breaker) = breaker();
        (0..3).for_each(|_| breaker.failed());
        clock.advance(REST);
        assert_eq!(breaker.admit(), Ok(()));
        clock.advance(REST);
        assert_eq!(breaker.admit(), Ok(()));
    }
}
