//! Changes of plan from the request to the instance, and back from every step, in many orders.

use std::time::Duration;

use minispod_events::{BillingCycle, Capacity, Event, InstanceEvent, InstanceSpec, PlanDetails, Role};
use minispod_kernel::{RefusalKind, Rupiah, Sensitive};

use super::{
    setting::*,
    subscriptions::{active, in_many_orders},
};
use crate::{
    AnyCommand, InstanceCommand, PlanCommand, SubscriptionCommand,
    memory_bus::{MemoryBus, Order, Refused},
    plan::details,
    subscription::{CHANGE_DEADLINE, life_timer},
};

const PRO: &str = "pro";
const PRO_PRICE: i64 = 65_000;
/// The whole first period is left.
const DIFFERENCE: i64 = PRO_PRICE - PRICE;

#[test]
fn w13_w19_an_upgrade_pays_the_difference_moves_the_slot_and_makes_an_invoice() {
    in_many_orders(|order| {
        let mut bus = shop_of_two(1, order);
        upgrade(&mut bus, "up").expect("started");
        assert_eq!(balance(&bus), 75_000 - DIFFERENCE, "charged in the request");
        bus.settle(order);
        assert_eq!(steps(&bus, "s").last(), Some(&"PlanChangePaid"), "it waits for the instance");
        assert!(comes_up(&mut bus));
        bus.settle(order);
        assert_eq!(steps(&bus, "s").last(), Some(&"PlanChanged"));
        assert_eq!((held(&bus, PLAN), held(&bus, PRO)), (false, true));
        assert_eq!((bus.count("InvoiceIssued"), bus.count("SubscriptionPlanChanged")), (2, 1));
        assert_eq!(spec(&bus).cpu_limit, "2");
        assert_eq!(bus.timers(), [life_timer("s")]);
    });
}

#[test]
fn a_plan_without_a_free_slot_refuses_and_nothing_is_charged() {
    in_many_orders(|order| {
        let mut bus = shop_of_two(0, order);
        let refused = upgrade(&mut bus, "up").expect_err("sold out");
        assert_eq!((refused.code.as_str(), refused.kind), ("plan-sold-out", RefusalKind::Conflict));
        bus.settle(order);
        assert_unchanged(&bus, 75_000);
    });
}

#[test]
fn too_little_money_gives_the_new_slot_back_and_changes_nothing() {
    in_many_orders(|order| {
        let mut bus = shop_of_two(1, order);
        give(&mut bus, ANI, -(75_000 - DIFFERENCE + 1));
        let refused = upgrade(&mut bus, "up").expect_err("one rupiah too little");
        assert_eq!(refused.kind, RefusalKind::Payment);
        bus.settle(order);
        assert_unchanged(&bus, DIFFERENCE - 1);
        give(&mut bus, ANI, 1);
        upgrade(&mut bus, "again").expect("started");
    });
}

#[test]
fn w17_a_resize_that_fails_gives_money_slot_and_resources_back() {
    in_many_orders(|order| {
        let mut bus = shop_of_two(1, order);
        upgrade(&mut bus, "up").expect("started");
        bus.settle(order);
        fails(&mut bus);
        bus.settle(order);
        assert_unchanged(&bus, 75_000);
        assert_eq!((bus.count("SubscriptionPlanChangeReverted"), bus.count("WalletRefunded")), (1, 1));
        assert!(comes_up(&mut bus), "it is started with what it had");
        bus.settle(order);
        assert_unchanged(&bus, 75_000);
        assert_eq!(spec(&bus).cpu_limit, details::tests::n8n().cpu_limit);
    });
}

#[test]
fn a_change_that_is_not_done_in_time_is_taken_back_in_full() {
    in_many_orders(|order| {
        let mut bus = shop_of_two(1, order);
        upgrade(&mut bus, "up").expect("started");
        bus.settle(order);
        bus.advance(CHANGE_DEADLINE);
        // It comes up at the very moment; whoever is first wins, and nothing is left half done.
        comes_up(&mut bus);
        bus.settle(order);
        comes_up(&mut bus);
        bus.settle(order);
        let reverted = bus.count("SubscriptionPlanChangeReverted") == 1;
        assert_ne!(reverted, bus.count("SubscriptionPlanChanged") == 1, "one of the two");
        let expected = if reverted { (75_000, true, false) } else { (75_000 - DIFFERENCE, false, true) };
        assert_eq!((balance(&bus), held(&bus, PLAN), held(&bus, PRO)), expected);
    });
}

#[test]
fn a_stopped_instance_changes_its_plan_without_being_started() {
    in_many_orders(|order| {
        let mut bus = shop_of_two(1, order);
        bus.tell("stop", &instance_of("s"), AnyCommand::Instance(InstanceCommand::Stop)).expect("stopping");
        upgrade(&mut bus, "up").expect("started");
        bus.settle(order);
        assert_eq!(steps(&bus, "s").last(), Some(&"PlanChanged"));
        assert_eq!((bus.count("InstanceResizeRequested"), bus.count("InstanceStartRequested")), (0, 0));
        bus.tell("start", &instance_of("s"), AnyCommand::Instance(InstanceCommand::Start)).expect("starting");
        assert_eq!(spec(&bus).cpu_limit, "2");
    });
}

#[test]
fn an_administrators_downgrade_gives_the_difference_back_and_the_volume_stays_as_large() {
    in_many_orders(|order| {
        let mut bus = shop_of_two(1, order);
        upgrade(&mut bus, "up").expect("started");
        bus.settle(order);
        comes_up(&mut bus);
        bus.settle(order);
        let large = spec(&bus).volume_size;
        let down = change(PLAN, &details::tests::n8n(), PRICE, true);
        subscription(&mut bus, "down", "s", down).expect("started");
        bus.settle(order);
        comes_up(&mut bus);
        bus.settle(order);
        assert_eq!((balance(&bus), held(&bus, PLAN), held(&bus, PRO)), (75_000, true, false));
        assert_eq!((spec(&bus).volume_size, spec(&bus).cpu_limit), (large, details::tests::n8n().cpu_limit));
        assert_eq!(bus.count("InvoiceIssued"), 3);
    });
}

#[test]
fn w14_a_customers_downgrade_begins_with_the_next_period_which_costs_the_new_price() {
    in_many_orders(|order| {
        let mut bus = on_pro(order);
        let before = balance(&bus);
        let down = change(PLAN, &details::tests::n8n(), PRICE, false);
        assert_eq!(
            subscription(&mut bus, "now", "s", down).expect_err("not inside the period").code,
            "subscription-cheaper-plan"
        );
        schedule_down(&mut bus);
        pass_end(&mut bus, order);
        assert_eq!(steps(&bus, "s").last(), Some(&"Renewed"), "{:?}", steps(&bus, "s"));
        assert_eq!((balance(&bus), held(&bus, PLAN), held(&bus, PRO)), (before - PRICE, true, false));
    });
}

#[test]
fn a_scheduled_plan_that_is_sold_out_renews_the_old_one_and_tells() {
    in_many_orders(|order| {
        let mut bus = on_pro(order);
        give(&mut bus, ANI, PRO_PRICE);
        let before = balance(&bus);
        schedule_down(&mut bus);
        register(&mut bus, "budi", Role::User);
        give(&mut bus, "budi", PRICE);
        request(&mut bus, "other", "budi", PRICE).expect("the slot that was free is sold");
        pass_end(&mut bus, order);
        assert_eq!((balance(&bus), held(&bus, PRO)), (before - PRO_PRICE, true), "{:?}", steps(&bus, "s"));
        assert_eq!((bus.count("SubscriptionPlanChangeFailed"), bus.count("SubscriptionRenewed")), (1, 1));
    });
}

#[test]
fn an_end_in_the_middle_of_a_change_leaves_nothing_behind() {
    in_many_orders(|order| {
        for steps_before in 0..6 {
            let mut bus = shop_of_two(1, order);
            let up = AnyCommand::Subscription(to_pro());
            bus.tell("up", "s", up).expect("started");
            for _ in 0..steps_before {
                bus.settle_one(Order::InTurn);
            }
            cancel(&mut bus, "s");
            bus.settle(order);
            assert_eq!(balance(&bus), 75_000, "{:?}", steps(&bus, "s"));
            assert_eq!((held(&bus, PLAN), held(&bus, PRO)), (false, false), "{:?}", steps(&bus, "s"));
            assert_eq!(bus.timers(), [life_timer("s")]);
        }
    });
}

#[test]
fn a_death_between_any_two_steps_changes_nothing_of_the_outcome() {
    for steps_before in 0..8 {
        in_many_orders(|order| {
            let mut bus = shop_of_two(1, order);
            bus.tell("up", "s", AnyCommand::Subscription(to_pro())).expect("started");
            for _ in 0..steps_before {
                bus.settle_one(order);
            }
            bus.settle(order);
            comes_up(&mut bus);
            bus.settle(order);
            assert_eq!(steps(&bus, "s").last(), Some(&"PlanChanged"));
            assert_eq!((balance(&bus), held(&bus, PLAN), held(&bus, PRO)), (75_000 - DIFFERENCE, false, true));
        });
    }
}

#[test]
fn repeated_without_receipts_a_change_is_paid_once_and_taken_back_once() {
    in_many_orders(|order| {
        let mut bus = forgetful_shop(PRICE, 9);
        publish_pro(&mut bus, 9);
        give(&mut bus, ANI, 300_000);
        bus.tell("request-s", "s", request_command("s", ANI, PRICE)).expect("accepted");
        bus.settle(order);
        becomes_ready(&mut bus, "s").expect("ready");
        bus.settle(order);
        bus.tell("up", "s", AnyCommand::Subscription(to_pro())).expect("started");
        bus.settle(order);
        fails(&mut bus);
        bus.settle(order);
        comes_up(&mut bus);
        bus.settle(order);
        assert_eq!(
            (balance(&bus), held(&bus, PLAN), held(&bus, PRO)),
            (275_000, true, false),
            "{:?}",
            steps(&bus, "s")
        );
        bus.tell("again", "s", AnyCommand::Subscription(to_pro())).expect("started");
        bus.settle(order);
        comes_up(&mut bus);
        bus.settle(order);
        assert_eq!((balance(&bus), held(&bus, PLAN), held(&bus, PRO)), (275_000 - DIFFERENCE, false, true));
        assert_eq!((bus.count("WalletDebited"), bus.count("WalletRefunded")), (3, 1));
    });
}

fn pro() -> PlanDetails {
    PlanDetails { variant: "pro".into(), cpu_limit: "2".into(), volume_size: Some("9Gi".into()), ..n8n() }
}

/// An active subscription of the one plan, and another plan with so many slots.
fn shop_of_two(capacity: i64, order: Order) -> MemoryBus {
    let mut bus = active(order);
    // The whole first period is left, whatever the clock did before.
    publish_pro(&mut bus, capacity);
    bus
}

fn publish_pro(bus: &mut MemoryBus, capacity: i64) {
    let publish =
        PlanCommand::Publish { details: pro(), monthly_price: Rupiah::new(PRO_PRICE), capacity: Capacity(capacity) };
    bus.ask("publish-pro", PRO, AnyCommand::Plan(publish)).expect("published");
}

fn change(plan: &str, details: &PlanDetails, price: i64, by_administrator: bool) -> SubscriptionCommand {
    let to = details::snapshot(plan, details, Rupiah::new(price), BillingCycle::Monthly).expect("counts");
    SubscriptionCommand::ChangePlan { to, by_administrator, reason: Some(Sensitive::Open("growth".into())) }
}

fn to_pro() -> SubscriptionCommand {
    change(PRO, &pro(), PRO_PRICE, false)
}

fn upgrade(bus: &mut MemoryBus, key: &str) -> Result<(), Refused> {
    subscription(bus, key, "s", to_pro())
}

fn on_pro(order: Order) -> MemoryBus {
    let mut bus = shop_of_two(1, order);
    upgrade(&mut bus, "up").expect("started");
    bus.settle(order);
    comes_up(&mut bus);
    bus.settle(order);
    bus
}

fn schedule_down(bus: &mut MemoryBus) {
    let to = details::snapshot(PLAN, &n8n(), Rupiah::new(PRICE), BillingCycle::Monthly).expect("counts");
    let schedule = SubscriptionCommand::ScheduleDowngrade { to, reason: None };
    subscription(bus, "schedule", "s", schedule).expect("scheduled");
}

/// The end of the period and the minutes after it, in which the cluster does what it is asked for.
fn pass_end(bus: &mut MemoryBus, order: Order) {
    bus.advance(Duration::from_hours(24 * 30));
    for _ in 0..6 {
        bus.settle(order);
        comes_up(bus);
        bus.settle(order);
        bus.advance(Duration::from_secs(2));
    }
    bus.settle(order);
}

fn requests(bus: &MemoryBus) -> Option<(InstanceSpec, u32)> {
    bus.log().iter().rev().find_map(|logged| match &logged.event {
        Event::Instance(
            InstanceEvent::InstanceResizeRequested { spec, generation, .. }
            | InstanceEvent::InstanceStartRequested { spec, generation, .. }
            | InstanceEvent::InstanceProvisionRequested { spec, generation, .. },
        ) if logged.aggregate_id == instance_of("s") => Some((spec.clone(), *generation)),
        _ => None,
    })
}

fn spec(bus: &MemoryBus) -> InstanceSpec {
    requests(bus).expect("an instance").0
}

/// The cluster did what was asked for last; whether that was news.
fn comes_up(bus: &mut MemoryBus) -> bool {
    let generation = requests(bus).map_or(1, |(_, generation)| generation);
    let applied = InstanceCommand::RecordApplied {
        generation,
        namespace: format!("customer-{ANI}"),
        workload: "w".into(),
        internal_url: "http://flows".into(),
        external_url: "https://flows".into(),
        volume_claim: None,
        simulated: true,
        program: None,
    };
    let before = bus.log().len();
    drop(report(bus, "s", applied));
    drop(report(bus, "s", InstanceCommand::RecordReady { generation, external_url: "https://flows".into() }));
    bus.log().len() > before
}

fn fails(bus: &mut MemoryBus) {
    let generation = requests(bus).map_or(1, |(_, generation)| generation);
    report(bus, "s", InstanceCommand::RecordFailed { generation, detail: "no room".into() }).expect("reported");
}

fn held(bus: &MemoryBus, plan: &str) -> bool {
    bus.holder(&format!("slot/{plan}/s")).is_some()
}

fn assert_unchanged(bus: &MemoryBus, left: i64) {
    assert_eq!((balance(bus), held(bus, PLAN), held(bus, PRO)), (left, true, false), "{:?}", steps(bus, "s"));
    assert_eq!(bus.count("SubscriptionPlanChanged"), 0);
    assert_eq!(bus.timers(), [life_timer("s")]);
}
