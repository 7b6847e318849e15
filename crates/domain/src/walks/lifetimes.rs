//! A subscription's whole life: notices, renewals, grace, expiry, restoration, purge, in many orders.

use std::time::Duration;

use minispod_events::{CancelReason, Event, ExpiryCause, InstanceEvent, Role};
use minispod_kernel::{RefusalKind, Sensitive};

use super::{
    setting::*,
    subscriptions::{active, in_many_orders},
};
use crate::{
    AnyCommand, SubscriptionCommand,
    memory_bus::{MemoryBus, Order},
    subscription::life_timer,
};

const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_year_passes_with_one_charge_and_three_notices_a_month() {
    in_many_orders(|order| {
        let mut bus = active(order);
        give(&mut bus, ANI, 12 * PRICE);
        days(&mut bus, 366, order);
        assert_eq!((bus.count("SubscriptionRenewed"), bus.count("SubscriptionGraceStarted")), (12, 0));
        assert_eq!(bus.count("SubscriptionEndApproaching"), 12 * 3, "each once a period");
        assert_eq!(balance(&bus), 75_000, "twelve more months are paid");
        assert_eq!((bus.count("InvoiceIssued"), used_slots(&bus, &["s"])), (13, 1));
        assert_eq!(bus.timers(), [life_timer("s")]);
    });
}

#[test]
fn an_outage_of_days_skips_no_period_and_charges_none_twice() {
    in_many_orders(|order| {
        let mut bus = active(order);
        // Nobody fires a timer until two days after the end.
        bus.advance(DAY * 32);
        bus.settle(order);
        let renewed = bus.log().iter().find_map(|logged| match &logged.event {
            Event::Subscription(minispod_events::SubscriptionEvent::SubscriptionRenewed { period, .. }) => {
                Some(*period)
            }
            _ => None,
        });
        let first = bus.log().iter().find_map(|logged| match &logged.event {
            Event::Subscription(minispod_events::SubscriptionEvent::SubscriptionActivated { period, .. }) => {
                Some(*period)
            }
            _ => None,
        });
        assert_eq!(renewed.map(|period| period.start), first.map(|period| period.end), "without a gap");
        assert_eq!((bus.count("WalletDebited"), balance(&bus)), (2, 50_000));
        assert_eq!(bus.count("SubscriptionEndApproaching"), 0, "what is over is not announced");
    });
}

#[test]
fn w12_an_unpaid_service_stops_after_its_grace_and_gives_its_slot_back() {
    in_many_orders(|order| {
        let mut bus = poor(order);
        days(&mut bus, 31, order);
        assert_eq!(steps(&bus, "s").last(), Some(&"GraceStarted"));
        assert_eq!(used_slots(&bus, &["s"]), 1, "in grace it runs on");
        days(&mut bus, 4, order);
        assert_eq!(steps(&bus, "s").last(), Some(&"Expired"));
        assert_eq!((bus.count("SubscriptionRenewalFailed"), bus.count("SubscriptionGraceStarted")), (2, 1));
        assert_eq!((used_slots(&bus, &["s"]), balance(&bus)), (0, 0));
        assert_eq!(bus.names("instance", &instance_of("s")).last(), Some(&"InstanceLocked"));
        assert_eq!(bus.holder("live/ani/n8n"), Some("s"), "it may come back");
    });
}

#[test]
fn money_in_grace_renews_by_itself_without_a_gap() {
    in_many_orders(|order| {
        let mut bus = poor(order);
        days(&mut bus, 31, order);
        give(&mut bus, ANI, PRICE - 1);
        bus.settle(order);
        assert_eq!(bus.count("SubscriptionRenewed"), 0, "one rupiah too little");
        give(&mut bus, ANI, 1);
        bus.settle(order);
        assert_eq!((bus.count("SubscriptionRenewed"), balance(&bus)), (1, 0));
        give(&mut bus, ANI, 10 * PRICE);
        bus.settle(order);
        assert_eq!((bus.count("SubscriptionRenewed"), balance(&bus)), (1, 10 * PRICE), "it waits no longer");
    });
}

#[test]
fn money_before_the_purge_brings_it_back_by_itself_with_the_same_volume() {
    in_many_orders(|order| {
        let mut bus = poor(order);
        days(&mut bus, 60, order);
        assert_eq!(steps(&bus, "s").last(), Some(&"DataEndApproaching"));
        give(&mut bus, ANI, PRICE);
        bus.settle(order);
        assert!(steps(&bus, "s").ends_with(&["ResumeStarted", "RenewalStarted", "Renewed", "Resumed"]));
        assert_eq!((balance(&bus), used_slots(&bus, &["s"])), (0, 1));
        let instance = bus.names("instance", &instance_of("s"));
        assert!(instance.ends_with(&["InstanceUnlocked", "InstanceStartRequested"]), "{instance:?}");
        assert_eq!(bus.timers(), [life_timer("s")]);
        days(&mut bus, 20, order);
        assert_eq!(bus.count("SubscriptionPurged"), 0);
    });
}

#[test]
fn nobody_comes_back_without_a_slot_and_nothing_is_charged() {
    in_many_orders(|order| {
        let mut bus = poor(order);
        days(&mut bus, 40, order);
        register(&mut bus, "budi", Role::User);
        give(&mut bus, "budi", PRICE);
        request(&mut bus, "other", "budi", PRICE).expect("the freed slot is sold");
        give(&mut bus, ANI, PRICE);
        bus.settle(order);
        assert_eq!(steps(&bus, "s").last(), Some(&"ResumeFailed"));
        let renew = SubscriptionCommand::StartRenewal;
        let refused = subscription(&mut bus, "renew", "s", renew).expect_err("sold out");
        assert_eq!((refused.code.as_str(), refused.kind), ("plan-sold-out", RefusalKind::Conflict));
        bus.settle(order);
        assert_eq!((balance(&bus), used_slots(&bus, &["s", "other"])), (PRICE, 1));
    });
}

#[test]
fn w06_renewing_what_expired_without_money_gives_the_slot_back_and_costs_nothing() {
    in_many_orders(|order| {
        let mut bus = poor(order);
        days(&mut bus, 40, order);
        for round in 0..2 {
            let renew = SubscriptionCommand::StartRenewal;
            let refused = subscription(&mut bus, &format!("renew-{round}"), "s", renew).expect_err("no money");
            assert_eq!(refused.kind, RefusalKind::Payment);
            bus.settle(order);
            assert_eq!((balance(&bus), used_slots(&bus, &["s"])), (0, 0));
        }
        give(&mut bus, ANI, PRICE);
        bus.settle(order);
        assert_eq!((bus.count("SubscriptionRenewed"), used_slots(&bus, &["s"])), (1, 1));
    });
}

#[test]
fn what_nobody_pays_for_is_purged_after_three_warnings_and_frees_its_names() {
    in_many_orders(|order| {
        let mut bus = poor(order);
        days(&mut bus, 70, order);
        assert_eq!((bus.count("SubscriptionDataEndApproaching"), bus.count("SubscriptionPurged")), (3, 1));
        assert!(purges(&bus));
        assert_eq!((bus.holder("live/ani/n8n"), bus.holder("subdomain/n8n/s-flows")), (None, None));
        give(&mut bus, ANI, 2 * PRICE);
        bus.settle(order);
        assert_eq!(balance(&bus), 2 * PRICE, "nothing waits for money any more");
        request(&mut bus, "s-again", ANI, PRICE).expect("may subscribe again");
        assert!(bus.timers().iter().all(|timer| !timer.ends_with("/s/life")), "{:?}", bus.timers());
    });
}

#[test]
fn w29_what_was_cancelled_is_purged_after_the_same_time() {
    in_many_orders(|order| {
        let mut bus = active(order);
        cancel(&mut bus, "s");
        bus.settle(order);
        request(&mut bus, "s2", ANI, PRICE).expect("a second one meanwhile");
        days(&mut bus, 29, order);
        assert!(!purges(&bus));
        days(&mut bus, 2, order);
        assert_eq!((bus.count("SubscriptionDataEndApproaching"), bus.count("SubscriptionPurged")), (3, 1));
        assert!(purges(&bus));
    });
}

#[test]
fn an_end_that_was_wished_for_comes_with_the_period_and_costs_nothing_more() {
    in_many_orders(|order| {
        let mut bus = active(order);
        let reason = CancelReason::Customer { text: Sensitive::Open("enough".into()) };
        subscription(&mut bus, "later", "s", SubscriptionCommand::ScheduleCancellation { reason }).expect("scheduled");
        days(&mut bus, 31, order);
        assert_eq!(steps(&bus, "s").last(), Some(&"Cancelled"));
        assert_eq!((balance(&bus), used_slots(&bus, &["s"]), bus.count("SubscriptionRenewalStarted")), (75_000, 0, 0));
    });
}

#[test]
fn without_auto_renew_it_expires_at_its_end_and_money_does_not_wake_it() {
    in_many_orders(|order| {
        let mut bus = active(order);
        let off = SubscriptionCommand::Configure { auto_renew: Some(false), overrides: None };
        subscription(&mut bus, "off", "s", off).expect("switched off");
        days(&mut bus, 31, order);
        assert!(matches!(last_expiry(&bus), Some(ExpiryCause::NotRenewed)));
        give(&mut bus, ANI, PRICE);
        bus.settle(order);
        assert_eq!((bus.count("SubscriptionRenewed"), balance(&bus)), (0, 100_000));
        subscription(&mut bus, "renew", "s", SubscriptionCommand::StartRenewal).expect("by hand");
        bus.settle(order);
        assert_eq!((steps(&bus, "s").last(), balance(&bus)), (Some(&"Resumed"), 75_000));
    });
}

/// Somebody dies after every single step of a restoration; whoever goes on ends in the same state.
#[test]
fn a_death_between_any_two_steps_of_a_restoration_changes_nothing_of_its_outcome() {
    for steps_before in 0..12 {
        in_many_orders(|order| {
            let mut bus = poor(order);
            days(&mut bus, 40, order);
            give(&mut bus, ANI, PRICE);
            let renew = AnyCommand::Subscription(SubscriptionCommand::StartRenewal);
            bus.tell("renew", "s", renew).expect("started");
            for _ in 0..steps_before {
                bus.settle_one(order);
            }
            bus.settle(order);
            let last = steps(&bus, "s");
            assert_eq!(last.last(), Some(&"Resumed"), "{last:?}");
            assert_eq!((balance(&bus), used_slots(&bus, &["s"])), (0, 1));
        });
    }
}

#[test]
fn repeated_without_receipts_a_life_still_charges_each_period_once() {
    in_many_orders(|order| {
        let mut bus = forgetful_shop(PRICE, 9);
        give(&mut bus, ANI, 20 * PRICE);
        bus.tell("request-s", "s", request_command("s", ANI, PRICE)).expect("accepted");
        bus.settle(order);
        becomes_ready(&mut bus, "s").expect("ready");
        bus.settle(order);
        days(&mut bus, 70, order);
        assert_eq!((bus.count("WalletDebited"), balance(&bus)), (3, 17 * PRICE), "{:?}", steps(&bus, "s"));
        let off = SubscriptionCommand::Configure { auto_renew: Some(false), overrides: None };
        bus.tell("off", "s", AnyCommand::Subscription(off)).expect("switched off");
        days(&mut bus, 30, order);
        assert_eq!((bus.count("SubscriptionExpired"), used_slots(&bus, &["s"])), (1, 0), "{:?}", steps(&bus, "s"));
        bus.tell("renew", "s", AnyCommand::Subscription(SubscriptionCommand::StartRenewal)).expect("started");
        bus.settle(order);
        assert_eq!((steps(&bus, "s").last(), used_slots(&bus, &["s"])), (Some(&"Resumed"), 1));
        assert_eq!((bus.count("WalletDebited"), balance(&bus)), (4, 16 * PRICE));
        days(&mut bus, 65, order);
        assert_eq!((bus.count("SubscriptionPurged"), bus.count("WalletDebited")), (1, 4));
    });
}

/// Active with not a rupiah left.
fn poor(order: Order) -> MemoryBus {
    let mut bus = active(order);
    give(&mut bus, ANI, -75_000);
    bus.settle(order);
    bus
}

/// Days that pass with every timer fired and every reaction done.
fn days(bus: &mut MemoryBus, count: u32, order: Order) {
    for _ in 0..count * 2 {
        bus.advance(DAY / 2);
        bus.settle(order);
    }
}

/// Whether the data of subscription `s` is deleted.
fn purges(bus: &MemoryBus) -> bool {
    let deletes = |event: &Event| {
        matches!(event, Event::Instance(InstanceEvent::InstanceDeletionRequested { purge_volume: true, .. }))
    };
    bus.log().iter().any(|logged| logged.aggregate_id == instance_of("s") && deletes(&logged.event))
}

fn last_expiry(bus: &MemoryBus) -> Option<ExpiryCause> {
    bus.log().iter().rev().find_map(|logged| match &logged.event {
        Event::Subscription(minispod_events::SubscriptionEvent::SubscriptionExpired { cause, .. }) => {
            Some(cause.clone())
        }
        _ => None,
    })
}
