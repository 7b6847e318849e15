//! The periods of a subscription, for every instant at which it may begin.

use minispod_events::{BillingCycle, Period, SubscriptionEvent};
use minispod_kernel::{Aggregate, Moment, Rupiah, Timestamp, time::JAKARTA};
use proptest::prelude::*;
use time::macros::datetime;

use super::config;
use crate::{
    Subscription, SubscriptionCommand,
    plan::details::{self, tests::n8n},
};

/// A subscription on its way through commands.
struct Walk {
    state: Subscription,
    periods: Vec<Period>,
}

impl Walk {
    /// Becomes active at `now`.
    fn begin(cycle: BillingCycle, now: Timestamp) -> Self {
        let mut walk = Self { state: Subscription::default(), periods: Vec::new() };
        let plan = details::snapshot("plan", &n8n(), Rupiah::new(25_000), cycle).expect("counts");
        walk.play(
            SubscriptionCommand::Request {
                user_id: "ani".into(),
                instance_id: "i".into(),
                plan,
                cycle,
                subdomain: "flows".into(),
                overrides: Vec::new(),
                auto_renew: true,
                coupon_id: None,
            },
            now,
        );
        walk.play(SubscriptionCommand::ConfirmSlot { plan_id: None }, now);
        walk.play(SubscriptionCommand::ConfirmCharge, now);
        walk.play(SubscriptionCommand::Activate { external_url: "https://flows".into() }, now);
        walk
    }

    /// Renewed at the end of its last period.
    fn renew(&mut self) {
        let last = *self.last();
        self.play(SubscriptionCommand::StartRenewal, last.end);
        self.play(SubscriptionCommand::ConfirmRenewal { period: last.number + 1 }, last.end);
    }

    fn last(&self) -> &Period {
        self.periods.last().expect("active")
    }

    fn play(&mut self, command: SubscriptionCommand, now: Timestamp) {
        let at = Moment { aggregate_id: "s".into(), now };
        for event in self.state.decide(command, &at).expect("allowed") {
            self.state.apply(&event);
            if let SubscriptionEvent::SubscriptionActivated { period, .. }
            | SubscriptionEvent::SubscriptionRenewed { period, .. } = event
            {
                self.periods.push(period);
            }
        }
    }
}

fn ends(start: Timestamp, count: usize) -> Vec<Timestamp> {
    let mut walk = Walk::begin(BillingCycle::Monthly, start);
    (0..count).for_each(|_| walk.renew());
    walk.periods.iter().map(|period| period.end).collect()
}

/// Any millisecond of the years 2026 to 2045.
fn instant() -> impl Strategy<Value = Timestamp> {
    (1_767_225_600_000_i64..2_366_841_600_000).prop_map(Timestamp::from_unix_millis)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn periods_follow_one_another_on_the_day_on_which_the_first_began(start in instant()) {
        let mut walk = Walk::begin(BillingCycle::Monthly, start);
        (0..25).for_each(|_| walk.renew());
        let began = start.to_utc().to_offset(JAKARTA);
        prop_assert_eq!(walk.periods[0].start, start);
        for (before, after) in walk.periods.iter().zip(&walk.periods[1..]) {
            prop_assert_eq!((after.start, after.number), (before.end, before.number + 1));
        }
        for period in &walk.periods {
            let end = period.end.to_utc().to_offset(JAKARTA);
            prop_assert_eq!(end.day(), began.day().min(end.month().length(end.year())));
            prop_assert_eq!(end.time(), began.time());
        }
    }

    #[test]
    fn twelve_months_end_when_a_year_ends(start in instant()) {
        let year = Walk::begin(BillingCycle::Yearly, start);
        prop_assert_eq!(ends(start, 11)[11], year.last().end);
        let mut two_years = year;
        two_years.renew();
        prop_assert_eq!(ends(start, 23)[23], two_years.last().end);
    }
}

#[test]
fn what_begins_on_the_31st_ends_on_the_months_last_day_and_does_not_drift() {
    let found = ends(Timestamp::new(datetime!(2027-01-31 10:00 +7)), 13);
    let dates = [
        datetime!(2027-02-28 10:00 +7),
        datetime!(2027-03-31 10:00 +7),
        datetime!(2027-04-30 10:00 +7),
        datetime!(2027-05-31 10:00 +7),
    ];
    assert_eq!(found[..4], dates.map(Timestamp::new));
    assert_eq!(found[12], Timestamp::new(datetime!(2028-02-29 10:00 +7)), "a leap year");
    assert_eq!(found[13], Timestamp::new(datetime!(2028-03-31 10:00 +7)));
}

#[test]
fn a_year_from_the_leap_day_ends_on_the_28th_and_comes_back_to_the_29th() {
    let mut walk = Walk::begin(BillingCycle::Yearly, Timestamp::new(datetime!(2028-02-29 23:59:59.999 +7)));
    (0..4).for_each(|_| walk.renew());
    let ends: Vec<Timestamp> = walk.periods.iter().map(|period| period.end).collect();
    assert_eq!(ends[0], Timestamp::new(datetime!(2029-02-28 23:59:59.999 +7)));
    assert_eq!(ends[3], Timestamp::new(datetime!(2032-02-29 23:59:59.999 +7)));
}

#[test]
fn the_day_is_jakartas_on_both_sides_of_its_midnight() {
    let last = ends(Timestamp::new(datetime!(2027-01-30 16:59:59.999 UTC)), 1);
    let first = ends(Timestamp::new(datetime!(2027-01-30 17:00 UTC)), 1);
    assert_eq!(last[1], Timestamp::new(datetime!(2027-03-30 23:59:59.999 +7)), "the 30th in Jakarta");
    assert_eq!(first[1], Timestamp::new(datetime!(2027-03-31 00:00 +7)), "the 31st in Jakarta");
}
