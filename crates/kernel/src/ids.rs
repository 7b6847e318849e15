//! Ids: 25 characters, `c` and 24 of base 36, ordered by time; and ids derived from a cause.

use std::sync::Arc;

use rand::RngCore;
use sha2::{Digest, Sha256};

use crate::time::Clock;

/// Characters of an id.
pub const ID_LENGTH: usize = 25;
/// Longest aggregate id: the 25-character form or a singleton's name.
pub const AGGREGATE_ID_MAX: usize = 64;
const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const TIME_DIGITS: usize = 9;

/// An id in text form.
pub type Id = String;

/// Where new ids come from; a parameter everywhere, so tests can choose them.
pub trait IdSource: Send + Sync {
    /// A new id, later than those before it by the millisecond.
    fn next_id(&self) -> Id;
    /// `N` unpredictable bytes for secrets and nonces.
    fn random(&self, bytes: &mut [u8]);
}

/// Ids from the clock and the operating system's randomness.
#[derive(Clone)]
pub struct SystemIds {
    clock: Arc<dyn Clock>,
}

impl SystemIds {
    /// Ids whose time part is read from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

impl IdSource for SystemIds {
    fn next_id(&self) -> Id {
        let mut tail = [0_u8; 16];
        self.random(&mut tail);
        let millis = self.clock.now().unix_millis().max(0).unsigned_abs();
        compose(millis, u128::from_be_bytes(tail))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that draws randomness")]
    fn random(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// `c`, nine digits of milliseconds, fifteen digits of `tail`.
fn compose(millis: u64, tail: u128) -> Id {
    let mut out = [b'0'; ID_LENGTH];
    out[0] = b'c';
    write_base36(&mut out[1..=TIME_DIGITS], u128::from(millis));
    write_base36(&mut out[1 + TIME_DIGITS..], tail);
    out.iter().map(|byte| char::from(*byte)).collect()
}

fn write_base36(out: &mut [u8], mut value: u128) {
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(value % 36) as usize];
        value /= 36;
    }
}

/// The id that belongs to a cause: the same parts always give the same id, so a repeated reaction
/// addresses the same aggregate. SHA-256 of the parts joined by `/`, cut to 124 bits.
pub fn derived_id(parts: &[&str]) -> Id {
    let digest = Sha256::digest(parts.join("/").as_bytes());
    let number = digest.iter().take(16).fold(0_u128, |number, byte| (number << 8) | u128::from(*byte));
    let mut out = [b'0'; ID_LENGTH];
    out[0] = b'c';
    write_base36(&mut out[1..], number);
    out.iter().map(|byte| char::from(*byte)).collect()
}

/// Whether `text` has the form of an id (25 characters, `c` and base 36).
pub fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH
        && text.starts_with('c')
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

/// Whether `text` may be an aggregate id: `[a-z0-9_-]{1,64}`, so it can be a subject token.
pub fn is_aggregate_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= AGGREGATE_ID_MAX
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{ManualClock, Timestamp};

    #[test]
    fn ids_have_the_contract_form_and_grow_with_time() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_700_000_000_000)));
        let ids = SystemIds::new(clock.clone());
        let first = ids.next_id();
        clock.advance(std::time::Duration::from_millis(1));
        let second = ids.next_id();
        assert!(is_id(&first) && is_id(&second));
        assert!(first < second, "{first} must sort before {second}");
    }

    #[test]
    fn a_cause_always_gives_the_same_id_and_another_cause_another() {
        assert_eq!(derived_id(&["invoice", "a"]), derived_id(&["invoice", "a"]));
        assert_ne!(derived_id(&["invoice", "a"]), derived_id(&["invoice", "b"]));
        assert!(is_id(&derived_id(&["invoice", "a"])));
    }

    #[test]
    fn aggregate_ids_are_subject_tokens() {
        assert!(is_aggregate_id("administrators") && is_aggregate_id("2026"));
        for bad in ["", "A", "a.b", "a b", "a*", &"a".repeat(65)] {
            assert!(!is_aggregate_id(bad), "{bad:?}");
        }
    }
}
