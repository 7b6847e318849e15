//! Whole rupiah in a 64-bit integer: no fractions, no floats, checked arithmetic.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount of whole rupiah. May be negative (a wallet after a gateway reversal).
///
/// The bound is 2^53 − 1 so that every JSON reader keeps the exact value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Rupiah(i64);

impl Rupiah {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Largest magnitude: 2^53 − 1.
    pub const MAX_MAGNITUDE: i64 = 9_007_199_254_740_991;

    /// Whole rupiah.
    pub const fn new(amount: i64) -> Self {
        Self(amount)
    }

    /// The number of rupiah.
    pub const fn amount(self) -> i64 {
        self.0
    }

    /// Sum, or `None` outside ±(2^53 − 1).
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).filter(|sum| sum.abs() <= Self::MAX_MAGNITUDE).map(Self)
    }

    /// Difference, or `None` outside ±(2^53 − 1).
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).filter(|rest| rest.abs() <= Self::MAX_MAGNITUDE).map(Self)
    }

    /// Product with a count, or `None` outside ±(2^53 − 1).
    pub fn checked_mul(self, count: i64) -> Option<Self> {
        self.0.checked_mul(count).filter(|product| product.abs() <= Self::MAX_MAGNITUDE).map(Self)
    }

    /// `self × numerator / denominator`, rounded half up; `None` when the denominator is not positive.
    pub fn prorated(self, numerator: i64, denominator: i64) -> Option<Self> {
        if denominator <= 0 {
            return None;
        }
        let scaled = i128::from(self.0) * i128::from(numerator) * 2 + i128::from(denominator);
        i64::try_from(scaled.div_euclid(i128::from(denominator) * 2)).ok().map(Self)
    }

    /// How people read it in Indonesia: `Rp25.000`, `-Rp1.500`.
    pub fn display(self) -> String {
        let digits = self.0.unsigned_abs().to_string();
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3 + 3);
        if self.0 < 0 {
            grouped.push('-');
        }
        grouped.push_str("Rp");
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push('.');
            }
            grouped.push(digit);
        }
        grouped
    }

    /// Nothing. By reference, as serde asks it.
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// Greater than zero.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }
}

impl fmt::Display for Rupiah {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Rupiah;

    #[test]
    fn proration_rounds_half_up() {
        assert_eq!(Rupiah::new(100).prorated(1, 3), Some(Rupiah::new(33)));
        assert_eq!(Rupiah::new(1).prorated(1, 2), Some(Rupiah::new(1)));
        assert_eq!(Rupiah::new(-1).prorated(1, 2), Some(Rupiah::new(0)));
        assert_eq!(Rupiah::new(5).prorated(1, 0), None);
    }

    #[test]
    fn amounts_are_grouped_by_dots() {
        let shown: Vec<String> =
            [0, 7, 999, 1_000, 25_000, 1_234_567, -1_500].map(|amount| Rupiah::new(amount).display()).to_vec();
        assert_eq!(shown, ["Rp0", "Rp7", "Rp999", "Rp1.000", "Rp25.000", "Rp1.234.567", "-Rp1.500"]);
    }

    #[test]
    fn arithmetic_stops_at_what_json_can_carry() {
        let top = Rupiah::new(Rupiah::MAX_MAGNITUDE);
        assert_eq!(top.checked_add(Rupiah::new(1)), None);
        assert_eq!(Rupiah::ZERO.checked_sub(top).and_then(|low| low.checked_sub(Rupiah::new(1))), None);
    }
}
