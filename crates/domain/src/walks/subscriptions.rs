//! Subscribing, renewing and ending, with every way back.

use std::time::Duration;

use minispod_events::{AdminRosterEvent, Event, Role};
use minispod_kernel::{RefusalKind, Sensitive};

use super::setting::*;
use crate::{
    AdminRosterCommand, AnyCommand, InstanceCommand, SubscriptionCommand,
    admin_roster::ADMINISTRATORS,
    memory_bus::{MemoryBus, Order},
    subscription::PROVISIONING_DEADLINE,
};

/// How many different orders each process is walked in.
const ORDERS: u64 = 200;

pub fn in_many_orders(walk: impl Fn(Order)) {
    walk(Order::InTurn);
    for seed in 0..ORDERS {
        walk(Order::Shuffled(seed));
    }
}

#[test]
fn registering_opens_a_wallet_and_sends_one_welcome_and_one_link() {
    let bus = shop(PRICE, 1);
    assert_eq!(bus.names("wallet", ANI), ["WalletOpened"]);
    assert_eq!(bus.count("MailQueued"), 2, "welcome, link that verifies the address");
    assert_eq!(bus.count("AdministratorAdded"), 0);
}

#[test]
fn an_administrator_joins_the_roster_and_leaves_it_with_the_role() {
    let mut bus = MemoryBus::new(crate::story::noon());
    register(&mut bus, "budi", Role::Administrator);
    register(&mut bus, "citra", Role::Administrator);
    assert_eq!(bus.count("AdministratorAdded"), 2);
    let remove = |user: &str| {
        AnyCommand::AdminRoster(AdminRosterCommand::Remove { user_id: user.into(), reason: "left".into() })
    };
    bus.ask("remove-1", ADMINISTRATORS, remove("budi")).expect("one of two may go");
    assert_eq!(bus.names("user", "budi"), ["UserRegistered", "UserRoleChanged"]);
    let refused = bus.ask("remove-2", ADMINISTRATORS, remove("citra")).expect_err("the last stays");
    assert_eq!(refused.code, "admin-roster-last-administrator");
    assert!(bus.log().iter().all(|logged| !matches!(&logged.event,
        Event::AdminRoster(AdminRosterEvent::AdministratorRemoved { user_id, .. }) if user_id == "citra")));
}

#[test]
fn from_request_to_ready() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        give(&mut bus, ANI, 100_000);
        request(&mut bus, "s", ANI, PRICE).expect("accepted at once");
        assert_eq!(balance(&bus), 75_000, "charged in the request");
        bus.settle(order);
        becomes_ready(&mut bus, "s").expect("ready");
        bus.settle(order);
        let all = ["Requested", "SlotHeld", "Charged", "ProvisioningStarted", "Activated"];
        assert_eq!(steps(&bus, "s"), all);
        assert_eq!((balance(&bus), used_slots(&bus, &["s"])), (75_000, 1));
        assert_eq!((bus.count("InvoiceIssued"), bus.count("InvoiceNumberAssigned")), (1, 1));
        assert_eq!(bus.count("MailQueued"), 4, "welcome, link, invoice, ready");
        assert_eq!(bus.timers(), ["subscription/s/life"]);
    });
}

#[test]
fn without_the_api_the_roles_finish_what_it_began() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        give(&mut bus, ANI, PRICE);
        bus.tell("request-s", "s", request_command("s", ANI, PRICE)).expect("accepted");
        bus.settle(order);
        assert_eq!(steps(&bus, "s"), ["Requested", "SlotHeld", "Charged", "ProvisioningStarted"]);
        assert_eq!((balance(&bus), bus.count("InstanceProvisionRequested")), (0, 1));
    });
}

#[test]
fn sold_out_is_answered_at_once_and_costs_nothing() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        register(&mut bus, "budi", Role::User);
        give(&mut bus, ANI, 100_000);
        give(&mut bus, "budi", 100_000);
        request(&mut bus, "s1", "budi", PRICE).expect("the first");
        let refused = request(&mut bus, "s2", ANI, PRICE).expect_err("sold out");
        assert_eq!((refused.code.as_str(), refused.kind), ("plan-sold-out", RefusalKind::Conflict));
        bus.settle(order);
        assert_eq!(steps(&bus, "s2"), ["Requested", "Cancelled"]);
        assert_eq!((balance(&bus), used_slots(&bus, &["s1", "s2"])), (100_000, 1));
        assert_eq!(bus.holder("live/ani/n8n"), None, "may try again");
    });
}

#[test]
fn too_little_money_is_answered_at_once_and_gives_the_slot_back() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        give(&mut bus, ANI, PRICE - 1);
        let refused = request(&mut bus, "s", ANI, PRICE).expect_err("not covered");
        assert_eq!((refused.code.as_str(), refused.kind), ("wallet-insufficient-balance", RefusalKind::Payment));
        bus.settle(order);
        assert_eq!(steps(&bus, "s"), ["Requested", "SlotHeld", "Cancelled"]);
        assert_eq!((balance(&bus), used_slots(&bus, &["s"])), (PRICE - 1, 0));
        assert_eq!(bus.count("InvoiceDrafted"), 0);
        give(&mut bus, ANI, 1);
        request(&mut bus, "s-again", ANI, PRICE).expect("slot, offering and subdomain are free again");
    });
}

#[test]
fn one_live_subscription_per_customer_and_offering() {
    let mut bus = shop(PRICE, 5);
    give(&mut bus, ANI, 100_000);
    request(&mut bus, "s1", ANI, PRICE).expect("the first");
    let refused = request(&mut bus, "s2", ANI, PRICE).expect_err("a second of the same");
    assert_eq!(refused.code, "claim-taken");
    bus.settle(Order::InTurn);
    assert_eq!((balance(&bus), bus.names("subscription", "s2").len()), (75_000, 0));
}

#[test]
fn a_failed_start_gives_money_and_slot_back() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        give(&mut bus, ANI, PRICE);
        request(&mut bus, "s", ANI, PRICE).expect("accepted");
        bus.settle(order);
        report(&mut bus, "s", InstanceCommand::RecordFailed { generation: 1, detail: "no image".into() })
            .expect("reported");
        bus.settle(order);
        assert_given_back(&bus);
    });
}

#[test]
fn a_passed_deadline_gives_money_and_slot_back() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        give(&mut bus, ANI, PRICE);
        request(&mut bus, "s", ANI, PRICE).expect("accepted");
        bus.settle(order);
        assert_eq!(bus.timers(), ["subscription/s/deadline"]);
        bus.advance(PROVISIONING_DEADLINE);
        bus.settle(order);
        assert_given_back(&bus);
    });
}

#[test]
fn ready_after_the_deadline_is_stopped_and_never_active_and_refunded() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        give(&mut bus, ANI, PRICE);
        request(&mut bus, "s", ANI, PRICE).expect("accepted");
        bus.settle(order);
        // Both are in the log before anybody reacts to either.
        bus.advance(PROVISIONING_DEADLINE);
        becomes_ready(&mut bus, "s").expect("ready too late");
        bus.settle(order);
        assert_given_back(&bus);
        let ends = bus.names("instance", &instance_of("s"));
        assert_eq!(ends.last(), Some(&"InstanceDeletionRequested"));
    });
}

#[test]
fn ready_and_deadline_at_once_end_in_exactly_one_of_the_two() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        give(&mut bus, ANI, PRICE);
        request(&mut bus, "s", ANI, PRICE).expect("accepted");
        bus.settle(order);
        becomes_ready(&mut bus, "s").expect("ready");
        bus.advance(PROVISIONING_DEADLINE);
        bus.settle(order);
        let steps = steps(&bus, "s");
        assert_ne!(steps.contains(&"Activated"), steps.contains(&"Refunded"), "{steps:?}");
        assert_eq!(balance(&bus) == PRICE, steps.contains(&"Refunded"));
    });
}

#[test]
fn a_free_plan_needs_no_wallet_but_has_an_invoice() {
    in_many_orders(|order| {
        let mut bus = shop(0, -1);
        request(&mut bus, "s", ANI, 0).expect("accepted");
        bus.settle(order);
        becomes_ready(&mut bus, "s").expect("ready");
        bus.settle(order);
        assert_eq!(steps(&bus, "s").last(), Some(&"Activated"));
        assert_eq!((bus.count("WalletDebited"), bus.count("InvoiceIssued")), (0, 1));
    });
}

#[test]
fn a_free_plan_that_fails_ends_with_its_mail_and_no_refund() {
    let mut bus = shop(0, 1);
    request(&mut bus, "s", ANI, 0).expect("accepted");
    bus.settle(Order::InTurn);
    bus.advance(PROVISIONING_DEADLINE);
    bus.settle(Order::InTurn);
    assert_eq!(steps(&bus, "s").last(), Some(&"Cancelled"));
    assert_eq!((bus.count("WalletRefunded"), used_slots(&bus, &["s"])), (0, 0));
    assert_eq!(bus.count("MailQueued"), 4, "welcome, link, invoice, failed");
}

#[test]
fn cancelling_stops_the_service_keeps_the_data_and_frees_slot_and_name() {
    in_many_orders(|order| {
        let mut bus = active(order);
        cancel(&mut bus, "s");
        bus.settle(order);
        assert_eq!(balance(&bus), 75_000, "no refund");
        assert_eq!(used_slots(&bus, &["s"]), 0);
        assert_eq!(bus.holder("subdomain/n8n/s-flows"), None);
        let Some(Event::Instance(minispod_events::InstanceEvent::InstanceDeletionRequested { purge_volume, .. })) =
            bus.log().iter().map(|logged| logged.event.clone()).find(|e| e.name() == "InstanceDeletionRequested")
        else {
            panic!("the workload goes")
        };
        assert!(!purge_volume);
        request(&mut bus, "s-again", ANI, PRICE).expect("may subscribe again");
    });
}

#[test]
fn cancelling_before_it_was_ready_gives_the_money_back() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        give(&mut bus, ANI, PRICE);
        request(&mut bus, "s", ANI, PRICE).expect("accepted");
        cancel(&mut bus, "s");
        bus.settle(order);
        assert_eq!((balance(&bus), used_slots(&bus, &["s"])), (PRICE, 0));
        assert_eq!((bus.count("WalletRefunded"), bus.count("SubscriptionRefunded")), (1, 1));
        assert!(bus.timers().is_empty());
    });
}

#[test]
fn cancelling_in_the_middle_of_the_first_steps_leaves_nothing_behind() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        give(&mut bus, ANI, PRICE);
        bus.tell("request-s", "s", request_command("s", ANI, PRICE)).expect("accepted");
        let reason = minispod_events::CancelReason::Administrator { text: Sensitive::Open("test".into()) };
        // Somewhere between the steps, depending on the order.
        if let Order::Shuffled(seed) = order {
            for _ in 0..seed % 4 {
                bus.settle_one(Order::InTurn);
            }
        }
        bus.tell("cancel-s", "s", AnyCommand::Subscription(SubscriptionCommand::Cancel { reason })).expect("cancelled");
        bus.settle(order);
        assert_eq!((balance(&bus), used_slots(&bus, &["s"])), (PRICE, 0), "{:?}", steps(&bus, "s"));
        assert_eq!(bus.holder("live/ani/n8n"), None);
    });
}

#[test]
fn renewing_charges_once_and_makes_one_more_invoice() {
    in_many_orders(|order| {
        let mut bus = active(order);
        subscription(&mut bus, "renew-1", "s", SubscriptionCommand::StartRenewal).expect("renewed");
        assert_eq!(balance(&bus), 50_000, "charged in the request");
        subscription(&mut bus, "renew-1", "s", SubscriptionCommand::StartRenewal).expect("the same request again");
        bus.settle(order);
        assert_eq!((balance(&bus), bus.count("SubscriptionRenewed"), bus.count("InvoiceIssued")), (50_000, 1, 2));
    });
}

#[test]
fn a_renewal_that_is_not_covered_changes_nothing_and_may_be_tried_again() {
    in_many_orders(|order| {
        let mut bus = active(order);
        give(&mut bus, ANI, -75_000);
        let refused = subscription(&mut bus, "renew-1", "s", SubscriptionCommand::StartRenewal).expect_err("no money");
        assert_eq!(refused.kind, RefusalKind::Payment);
        bus.settle(order);
        assert_eq!(steps(&bus, "s").last(), Some(&"RenewalFailed"));
        give(&mut bus, ANI, PRICE);
        subscription(&mut bus, "renew-2", "s", SubscriptionCommand::StartRenewal).expect("renewed");
        bus.settle(order);
        assert_eq!((balance(&bus), bus.count("SubscriptionRenewed")), (0, 1));
    });
}

#[test]
fn a_renewal_that_meets_the_end_gives_the_money_back() {
    in_many_orders(|order| {
        let mut bus = active(order);
        bus.tell("renew", "s", AnyCommand::Subscription(SubscriptionCommand::StartRenewal)).expect("started");
        cancel(&mut bus, "s");
        bus.settle(order);
        assert_eq!((balance(&bus), bus.count("SubscriptionRenewed"), used_slots(&bus, &["s"])), (75_000, 0, 0));
    });
}

#[test]
fn repeated_without_receipts_money_and_slots_still_add_up() {
    in_many_orders(|order| {
        let mut bus = forgetful_shop(PRICE, 9);
        register(&mut bus, "budi", Role::User);
        give(&mut bus, "budi", PRICE);
        request(&mut bus, "other", "budi", PRICE).expect("somebody else's");
        bus.settle(order);
        give(&mut bus, ANI, 100_000);
        bus.tell("request-s", "s", request_command("s", ANI, PRICE)).expect("accepted");
        bus.settle(order);
        report(&mut bus, "s", InstanceCommand::RecordFailed { generation: 1, detail: "no image".into() })
            .expect("reported");
        bus.settle(order);
        let used = used_slots(&bus, &["s", "other"]);
        assert_eq!((balance(&bus), used), (100_000, 1), "{:?}", steps(&bus, "s"));
        assert_eq!((bus.count("WalletDebited"), bus.count("WalletRefunded")), (2, 1));
        assert_eq!((bus.count("InvoiceNumberAssigned"), bus.count("InvoiceIssued")), (2, 2));
    });
}

/// Without receipts the second try of a step may be refused for the first one's sake, which ends the subscription.
#[test]
fn repeated_without_receipts_and_with_nothing_to_spare_it_is_either_sold_or_given_back() {
    in_many_orders(|order| {
        let mut bus = forgetful_shop(PRICE, 1);
        give(&mut bus, ANI, PRICE);
        bus.tell("request-s", "s", request_command("s", ANI, PRICE)).expect("accepted");
        bus.settle(order);
        let is_over = steps(&bus, "s").contains(&"Cancelled");
        let kept = if is_over { (PRICE, 0) } else { (0, 1) };
        assert_eq!((balance(&bus), used_slots(&bus, &["s"])), kept, "{:?}", steps(&bus, "s"));
        assert_eq!(bus.holder("live/ani/n8n").is_some(), !is_over);
    });
}

fn assert_given_back(bus: &MemoryBus) {
    let all =
        ["Requested", "SlotHeld", "Charged", "ProvisioningStarted", "ProvisioningFailed", "Refunded", "Cancelled"];
    assert_eq!(steps(bus, "s"), all);
    assert_eq!((balance(bus), used_slots(bus, &["s"])), (PRICE, 0));
    assert_eq!((bus.count("WalletRefunded"), bus.count("InstanceDeletionRequested")), (1, 1));
    assert_eq!(bus.count("MailQueued"), 4, "welcome, link, invoice, failed and refunded");
    assert!(bus.timers().is_empty());
}

pub fn active(order: Order) -> MemoryBus {
    active_of(1, order)
}

/// An active subscription of a plan with so many slots.
pub fn active_of(capacity: i64, order: Order) -> MemoryBus {
    let mut bus = shop(PRICE, capacity);
    give(&mut bus, ANI, 100_000);
    request(&mut bus, "s", ANI, PRICE).expect("accepted");
    bus.settle(order);
    becomes_ready(&mut bus, "s").expect("ready");
    bus.settle(order);
    bus.advance(Duration::from_hours(1));
    bus
}
