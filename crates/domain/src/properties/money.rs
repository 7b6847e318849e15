//! What a change of plan costs, for all prices, periods and instants.

use std::time::Duration;

use minispod_kernel::{Rupiah, Timestamp};
use proptest::prelude::*;

use super::config;
use crate::{Direction, Proration};

const DAY: Duration = Duration::from_hours(24);

/// A period of 28 to 366 days that begins at any millisecond of the years 2026 to 2045, and an instant inside it.
fn instants() -> impl Strategy<Value = (Timestamp, Timestamp, Timestamp)> {
    (1_767_225_600_000_i64..2_366_841_600_000, 28_u32..=366, 0_u32..1_000_000).prop_map(|(millis, days, part)| {
        let start = Timestamp::from_unix_millis(millis);
        let length = DAY * days;
        (start, start.plus(length), start.plus(length.mul_f64(f64::from(part) / 1_000_000.0)))
    })
}

fn price() -> impl Strategy<Value = Rupiah> {
    (0_i64..=12_000_000_000).prop_map(Rupiah::new)
}

fn sum(old: Rupiah, new: Rupiah, at: (Timestamp, Timestamp, Timestamp)) -> Proration {
    Proration::of(old, new, at.0, at.1, at.2).expect("it can be counted")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn both_sides_are_within_their_price_and_only_one_of_charge_and_refund_is_anything(
        old in price(), new in price(), at in instants(),
    ) {
        let it = sum(old, new, at);
        prop_assert!((Rupiah::ZERO..=old).contains(&it.unused) && (Rupiah::ZERO..=new).contains(&it.prorated_new));
        prop_assert!((0..=it.total_days).contains(&it.remaining_days));
        prop_assert_eq!(it.prorated_new.amount() - it.unused.amount(), it.net.amount());
        prop_assert!(it.charge() >= Rupiah::ZERO && it.refund() >= Rupiah::ZERO);
        prop_assert_eq!(it.charge().amount() - it.refund().amount(), it.net.amount());
        prop_assert!(it.charge() == Rupiah::ZERO || it.refund() == Rupiah::ZERO);
        match it.direction() {
            Direction::Upgrade => prop_assert_eq!(it.refund(), Rupiah::ZERO),
            Direction::Downgrade => prop_assert_eq!(it.charge(), Rupiah::ZERO),
            Direction::Sideways => prop_assert_eq!(it.net, Rupiah::ZERO),
        }
    }

    #[test]
    fn there_and_back_at_one_instant_costs_nothing(old in price(), new in price(), at in instants()) {
        prop_assert_eq!(sum(old, new, at).net.amount() + sum(new, old, at).net.amount(), 0);
        prop_assert_eq!(sum(old, old, at).net, Rupiah::ZERO);
    }

    #[test]
    fn what_is_dearer_costs_more_and_what_comes_later_gives_back_less(
        old in price(), new in price(), more in price(), at in instants(), later in 0_u32..400,
    ) {
        let dearer = new.checked_add(more).expect("counts");
        prop_assert!(sum(old, dearer, at).net >= sum(old, new, at).net);
        prop_assert!(sum(dearer, old, at).net <= sum(new, old, at).net);
        let afterwards = (at.0, at.1, at.2.plus(DAY * later));
        let (now, then) = (sum(old, new, at), sum(old, new, afterwards));
        prop_assert!(then.remaining_days <= now.remaining_days && then.unused <= now.unused);
        prop_assert!(then.prorated_new <= now.prorated_new);
    }

    #[test]
    fn at_its_beginning_the_whole_period_is_left_and_at_its_end_nothing(old in price(), new in price(), at in instants()) {
        let first = sum(old, new, (at.0, at.1, at.0));
        prop_assert_eq!((first.unused, first.prorated_new, first.remaining_days), (old, new, first.total_days));
        let last = sum(old, new, (at.0, at.1, at.1));
        prop_assert_eq!((last.unused, last.prorated_new, last.net), (Rupiah::ZERO, Rupiah::ZERO, Rupiah::ZERO));
    }

    #[test]
    fn changing_plans_again_and_again_never_makes_money(
        prices in prop::collection::vec(price(), 2..6), at in instants(),
    ) {
        // Up and down within one instant: whoever ends where they began has paid nothing and got nothing.
        let mut walk = prices.clone();
        walk.push(prices[0]);
        let total: i64 = walk.windows(2).map(|step| sum(step[0], step[1], at).net.amount()).sum();
        prop_assert_eq!(total, 0);
    }
}
