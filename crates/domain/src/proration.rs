//! What another plan costs or gives back inside a paid period: one function for quote, charge and invoice.
//!
//! Days are counted up: the day that has begun belongs to the new plan on both sides of the sum. Each side is rounded
//! half up to whole rupiah once, and the difference is taken of what is shown, so the three figures always agree.

use minispod_kernel::{Rupiah, Timestamp};

const DAY_IN_MICROSECONDS: i128 = 24 * 60 * 60 * 1_000_000;

/// Which way a change of plan goes, by the prices of one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Upgrade,
    Downgrade,
    /// Both cost the same.
    Sideways,
}

impl Direction {
    /// From `old` to `new`.
    pub fn of(old: Rupiah, new: Rupiah) -> Self {
        match new.cmp(&old) {
            std::cmp::Ordering::Greater => Self::Upgrade,
            std::cmp::Ordering::Less => Self::Downgrade,
            std::cmp::Ordering::Equal => Self::Sideways,
        }
    }

    /// The contract's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upgrade => "UPGRADE",
            Self::Downgrade => "DOWNGRADE",
            Self::Sideways => "PLAN_CHANGE",
        }
    }
}

/// The sum of one change of plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proration {
    /// Days of the current period.
    pub total_days: i64,
    /// Days still paid for. More than `total_days` when the next period is paid already: it is the current one then.
    pub remaining_days: i64,
    /// Of one period, as it was sold.
    pub old_price: Rupiah,
    /// Of one period, as it is sold today.
    pub new_price: Rupiah,
    /// What is left of the old price.
    pub unused: Rupiah,
    /// What the remaining days cost by the new price.
    pub prorated_new: Rupiah,
    /// `prorated_new` less `unused`: to be paid when positive, given back when negative.
    pub net: Rupiah,
}

impl Proration {
    /// Of the period from `start` to `end`, at `now`. `None` when it has no length or the sum cannot be counted.
    pub fn of(old_price: Rupiah, new_price: Rupiah, start: Timestamp, end: Timestamp, now: Timestamp) -> Option<Self> {
        Self::over(old_price, new_price, days(now, end), days(start, end))
    }

    /// Of a period of `total_days`, of which `remaining_days` are paid for. `None` like [`Proration::of`].
    pub fn over(old_price: Rupiah, new_price: Rupiah, remaining_days: i64, total_days: i64) -> Option<Self> {
        let unused = old_price.prorated(remaining_days, total_days)?;
        let prorated_new = new_price.prorated(remaining_days, total_days)?;
        let net = prorated_new.checked_sub(unused)?;
        Some(Self { total_days, remaining_days, old_price, new_price, unused, prorated_new, net })
    }

    /// What the wallet pays now.
    pub fn charge(&self) -> Rupiah {
        self.net.max(Rupiah::ZERO)
    }

    /// What the wallet gets back now.
    pub fn refund(&self) -> Rupiah {
        Rupiah::new(self.net.amount().saturating_neg()).max(Rupiah::ZERO)
    }

    /// Which way it goes.
    pub fn direction(&self) -> Direction {
        Direction::of(self.old_price, self.new_price)
    }
}

/// Days from one instant to a later one, a begun day counted whole; 0 when it is not later.
fn days(from: Timestamp, until: Timestamp) -> i64 {
    let between = (until.to_utc() - from.to_utc()).whole_microseconds();
    let up = (between + DAY_IN_MICROSECONDS - 1).div_euclid(DAY_IN_MICROSECONDS);
    i64::try_from(up.max(0)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn start() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    /// A change on a day of a period of thirty days.
    fn on_day(day: u32, old: i64, new: i64) -> Proration {
        let end = start().plus(DAY * 30);
        Proration::of(Rupiah::new(old), Rupiah::new(new), start(), end, start().plus(DAY * day)).expect("a sum")
    }

    fn sums(proration: &Proration) -> [i64; 5] {
        let Proration { unused, prorated_new, net, .. } = *proration;
        [unused, prorated_new, net, proration.charge(), proration.refund()].map(Rupiah::amount)
    }

    #[test]
    fn on_the_first_day_the_whole_difference_is_due_and_at_the_end_nothing() {
        assert_eq!(sums(&on_day(0, 25_000, 65_000)), [25_000, 65_000, 40_000, 40_000, 0]);
        assert_eq!(sums(&on_day(30, 25_000, 65_000)), [0; 5]);
        assert_eq!(sums(&on_day(31, 25_000, 65_000)), [0; 5], "a period that is over gives nothing back");
    }

    #[test]
    fn half_way_half_of_it_is_due_and_a_cheaper_plan_gives_back() {
        assert_eq!(sums(&on_day(15, 25_000, 65_000)), [12_500, 32_500, 20_000, 20_000, 0]);
        assert_eq!(sums(&on_day(15, 65_000, 25_000)), [32_500, 12_500, -20_000, 0, 20_000]);
        assert_eq!(sums(&on_day(15, 0, 65_000)), [0, 32_500, 32_500, 32_500, 0], "from a free plan");
        assert_eq!(sums(&on_day(15, 65_000, 65_000)), [32_500, 32_500, 0, 0, 0]);
    }

    #[test]
    fn the_day_that_has_begun_counts_whole() {
        let end = start().plus(DAY * 30);
        let sum = |now| Proration::of(Rupiah::new(30_000), Rupiah::new(60_000), start(), end, now).expect("a sum");
        let begun = sum(start().plus(Duration::from_micros(1)));
        assert_eq!((begun.remaining_days, begun.net), (30, Rupiah::new(30_000)));
        assert_eq!(sum(start().plus(DAY)).remaining_days, 29);
    }

    #[test]
    fn w21_each_side_is_whole_rupiah_rounded_half_up_and_the_figures_agree() {
        // 25 000 × 7 / 30 = 5 833.33…; 35 000 × 7 / 30 = 8 166.66…
        assert_eq!(sums(&on_day(23, 25_000, 35_000)), [5_833, 8_167, 2_334, 2_334, 0]);
        assert_eq!(sums(&on_day(15, 1, 0))[0], 1, "half a rupiah is one");
        for day in 0..=30 {
            for (old, new) in [(0, 35_000), (25_000, 35_001), (99_999, 1), (7, 7)] {
                let (there, back) = (on_day(day, old, new), on_day(day, new, old));
                assert_eq!(there.net, Rupiah::new(there.prorated_new.amount() - there.unused.amount()));
                assert_eq!(there.net.amount(), -back.net.amount(), "there and back costs nothing");
                assert_eq!(there.charge().amount() - there.refund().amount(), there.net.amount());
            }
        }
    }

    #[test]
    fn w18_a_renewed_subscription_is_prorated_over_its_current_period() {
        let (second, end) = (start().plus(DAY * 365), start().plus(DAY * 395));
        let now = second.plus(DAY * 10);
        let sum = Proration::of(Rupiah::new(30_000), Rupiah::new(60_000), second, end, now).expect("a sum");
        assert_eq!((sum.total_days, sum.remaining_days, sum.net), (30, 20, Rupiah::new(20_000)));
    }

    #[test]
    fn what_is_paid_ahead_is_prorated_too() {
        let (next, end) = (start().plus(DAY * 30), start().plus(DAY * 60));
        let now = start().plus(DAY * 15);
        let sum = Proration::of(Rupiah::new(30_000), Rupiah::new(60_000), next, end, now).expect("a sum");
        assert_eq!((sum.total_days, sum.remaining_days), (30, 45));
        assert_eq!(sums(&sum), [45_000, 90_000, 45_000, 45_000, 0]);
    }

    #[test]
    fn what_cannot_be_counted_has_no_sum() {
        let price = Rupiah::new(30_000);
        assert_eq!(Proration::of(price, price, start(), start(), start()), None, "no days");
        assert_eq!(Proration::of(price, price, start().plus(DAY), start(), start()), None, "backwards");
        let low = Rupiah::new(-Rupiah::MAX_MAGNITUDE);
        let top = Rupiah::new(Rupiah::MAX_MAGNITUDE);
        assert_eq!(Proration::of(low, top, start(), start().plus(DAY), start()), None, "too much");
    }

    #[test]
    fn the_direction_is_the_prices() {
        let word = |old, new| on_day(30, old, new).direction().as_str();
        assert_eq!([word(1, 2), word(2, 1), word(2, 2)], ["UPGRADE", "DOWNGRADE", "PLAN_CHANGE"]);
    }
}
