//! How long to wait before the next try: doubling, bounded, and spread so that copies do not try together.

use std::time::Duration;

use minispod_kernel::IdSource;

/// A series of waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second try.
    pub first: Duration,
    /// Never longer than this.
    pub longest: Duration,
}

impl Backoff {
    /// For effects at other people's servers.
    pub const EFFECTS: Self = Self { first: Duration::from_secs(1), longest: Duration::from_mins(5) };
    /// For our own loops when Postgres or NATS is away.
    pub const LOOPS: Self = Self { first: Duration::from_millis(100), longest: Duration::from_secs(10) };

    /// The wait after `attempts` failures before this one: the doubled first wait, its upper half by chance.
    pub fn after(self, attempts: u32, ids: &dyn IdSource) -> Duration {
        let whole = self.first.saturating_mul(1_u32.checked_shl(attempts.min(30)).unwrap_or(u32::MAX));
        let whole = whole.min(self.longest);
        let mut chance = [0_u8; 2];
        ids.random(&mut chance);
        let half = whole / 2;
        half + half.mul_f64(f64::from(u16::from_be_bytes(chance)) / f64::from(u16::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);

    impl IdSource for Fixed {
        fn next_id(&self) -> String {
            String::new()
        }
        fn random(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_are_spread_over_their_upper_half() {
        let waits =
            |chance: u8| [0, 1, 2, 40].map(|attempts| Backoff::EFFECTS.after(attempts, &Fixed(chance)).as_millis());
        assert_eq!(waits(0xff), [1_000, 2_000, 4_000, 300_000]);
        assert_eq!(waits(0), [500, 1_000, 2_000, 150_000]);
    }
}
