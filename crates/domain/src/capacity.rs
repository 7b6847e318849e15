//! Whether the cluster has room for what is about to be sold: requests of everything that is sold against what its nodes give.

use crate::quantity::{Quantity, QuantityError};

/// What pods request, or nodes give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    pub memory_bytes: u64,
}

impl Amounts {
    /// Of two quantities as plans have them (`250m`, `512Mi`); parts of a thousandth core and of a byte are rounded up.
    pub fn parse(cpu: &str, memory: &str) -> Result<Self, QuantityError> {
        let whole = |amount: i128| u64::try_from(amount).unwrap_or(u64::MAX);
        let (cpu, memory) = (Quantity::parse(cpu)?, Quantity::parse(memory)?);
        Ok(Self { cpu_millis: whole(cpu.0), memory_bytes: whole((memory.0 + 999) / 1_000) })
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    /// So often.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_mul(count),
            memory_bytes: self.memory_bytes.saturating_mul(count),
        }
    }

    /// What this is more than `other`, each by itself; nothing where it is less.
    #[must_use]
    pub const fn beyond(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
        }
    }
}

/// The cluster's room as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// What the nodes that take pods give.
    pub room: Amounts,
    /// What everything requests that is sold and to run.
    pub sold: Amounts,
    /// How much of the room may be sold; programs rarely use what they request, so it may be more than 100.
    pub percent: u32,
}

impl Capacity {
    /// What may still be sold.
    pub const fn left(&self) -> Amounts {
        self.sellable().beyond(self.sold)
    }

    /// Whether `wish` may be sold too. What requests nothing more always may.
    pub const fn fits(&self, wish: Amounts) -> bool {
        let after = self.sold.plus(wish);
        let most = self.sellable();
        (wish.cpu_millis == 0 || after.cpu_millis <= most.cpu_millis)
            && (wish.memory_bytes == 0 || after.memory_bytes <= most.memory_bytes)
    }

    const fn sellable(&self) -> Amounts {
        Amounts {
            cpu_millis: share(self.room.cpu_millis, self.percent),
            memory_bytes: share(self.room.memory_bytes, self.percent),
        }
    }
}

const fn share(amount: u64, percent: u32) -> u64 {
    let share = amount as u128 * percent as u128 / 100;
    if share > u64::MAX as u128 { u64::MAX } else { share as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn amounts(cpu_millis: u64, memory_bytes: u64) -> Amounts {
        Amounts { cpu_millis, memory_bytes }
    }

    const fn capacity(sold: Amounts, percent: u32) -> Capacity {
        Capacity { room: amounts(4_000, 1_000), sold, percent }
    }

    #[test]
    fn the_last_of_the_room_is_sold_and_nothing_beyond_it() {
        let standing = capacity(amounts(3_750, 900), 100);
        assert_eq!(standing.left(), amounts(250, 100));
        assert!(standing.fits(amounts(250, 100)));
        assert!(!standing.fits(amounts(251, 1)), "too little CPU");
        assert!(!standing.fits(amounts(1, 101)), "too little memory");
    }

    #[test]
    fn a_ratio_sells_more_or_less_than_there_is() {
        assert!(capacity(amounts(4_000, 1_000), 150).fits(amounts(2_000, 500)));
        assert!(!capacity(amounts(4_000, 1_000), 150).fits(amounts(2_001, 500)));
        assert!(!capacity(amounts(3_200, 100), 80).fits(amounts(1, 1)));
    }

    #[test]
    fn what_asks_for_nothing_more_is_never_in_the_way_even_when_too_much_is_sold() {
        let full = capacity(amounts(9_000, 9_000), 100);
        assert_eq!(full.left(), amounts(0, 0));
        assert!(full.fits(amounts(0, 0)));
        assert!(!full.fits(amounts(0, 1)));
    }

    #[test]
    fn quantities_are_counted_up_and_sums_never_wrap() {
        assert_eq!(Amounts::parse("0.25", "512Mi"), Ok(amounts(250, 512 << 20)));
        assert_eq!(Amounts::parse("250m", "1500m"), Ok(amounts(250, 2)));
        assert!(Amounts::parse("much", "1Gi").is_err());
        assert_eq!(amounts(u64::MAX, 1).plus(amounts(1, 1)).times(2), amounts(u64::MAX, 4));
        assert_eq!(amounts(5, 1).beyond(amounts(3, 2)), amounts(2, 0));
    }
}
