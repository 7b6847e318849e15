//! How often and after what pause a gateway call is tried again: doubling pauses with full jitter under one deadline.

use std::time::Duration;

use minispod_kernel::IdSource;

/// Tries of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    pub tries: u32,
    /// Longest first pause; doubles with each try.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// For all tries and pauses together.
    pub deadline: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries: 3,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(2),
            deadline: Duration::from_secs(9),
        }
    }
}

impl RetryPolicy {
    /// The pause after try number `done` (from 1): between half and the whole of the doubled pause, or what the
    /// gateway asked for when that is not longer than the longest pause.
    pub fn pause(&self, done: u32, asked: Option<Duration>, ids: &dyn IdSource) -> Duration {
        if let Some(asked) = asked {
            return asked.min(self.longest_pause);
        }
        let whole = self
            .first_pause
            .checked_mul(1_u32.checked_shl(done.saturating_sub(1)).unwrap_or(u32::MAX))
            .unwrap_or(self.longest_pause)
            .min(self.longest_pause);
        let mut random = [0_u8; 2];
        ids.random(&mut random);
        let half = whole / 2;
        half + half * u32::from(u16::from_be_bytes(random)) / u32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(u8);
    impl IdSource for Bytes {
        fn next_id(&self) -> String {
            String::new()
        }
        fn random(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn pauses_double_stay_within_their_jitter_and_under_the_bound() {
        let policy = RetryPolicy::default();
        let millis = |done, byte| policy.pause(done, None, &Bytes(byte)).as_millis();
        assert_eq!((millis(1, 0), millis(1, 255)), (125, 250));
        assert_eq!((millis(2, 0), millis(2, 255)), (250, 500));
        assert_eq!((millis(40, 0), millis(40, 255)), (1_000, 2_000));
    }

    #[test]
    fn the_gateways_own_wish_is_honoured_up_to_the_bound() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.pause(1, Some(Duration::from_secs(1)), &Bytes(0)), Duration::from_secs(1));
        assert_eq!(policy.pause(1, Some(Duration::from_secs(90)), &Bytes(0)), policy.longest_pause);
    }
}
