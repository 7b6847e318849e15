//! Suspending, resuming, extending and expiring among everything else that happens to a subscription.

use std::time::Duration;

use minispod_events::{CancelReason, ExpiryCause, Role};
use minispod_kernel::{RefusalKind, Sensitive};

use super::{
    setting::*,
    subscriptions::{active, active_of, in_many_orders},
};
use crate::{
    AnyCommand, InstanceCommand, PlanCommand, SubscriptionCommand,
    memory_bus::{MemoryBus, Order, Refused},
    subscription::{RESUME_DEADLINE, resume_timer},
};

#[test]
fn suspending_gives_the_slot_back_at_once_and_stops_and_locks_the_instance() {
    in_many_orders(|order| {
        let mut bus = active(order);
        ask(&mut bus, "suspend", "s", suspend()).expect("suspended");
        assert_eq!(used_slots(&bus, &["s"]), 0, "in the request");
        bus.settle(order);
        let instance = instance_steps(&bus, "s");
        assert!(instance.ends_with(&["InstanceStopRequested", "InstanceLocked"]), "{instance:?}");
        let refused = bus.tell("start", &instance_of("s"), AnyCommand::Instance(InstanceCommand::Start));
        assert_eq!(refused.expect_err("locked").code, "instance-locked");
        assert_eq!(bus.holder("live/ani/n8n"), Some("s"), "it is still the customer's one");
    });
}

#[test]
fn resuming_takes_a_slot_first_and_then_starts() {
    in_many_orders(|order| {
        let mut bus = active(order);
        ask(&mut bus, "suspend", "s", suspend()).expect("suspended");
        ask(&mut bus, "resume", "s", resume()).expect("resumed");
        assert_eq!((steps(&bus, "s").last(), used_slots(&bus, &["s"])), (Some(&"Resumed"), 1));
        bus.settle(order);
        let instance = instance_steps(&bus, "s");
        assert!(instance.ends_with(&["InstanceUnlocked", "InstanceStartRequested"]), "{instance:?}");
        assert_eq!(bus.timers(), ["subscription/s/life"]);
        assert_eq!((bus.count("PlanSlotAllocated"), bus.count("PlanSlotReleased")), (2, 1));
    });
}

#[test]
fn w08_a_sold_out_plan_refuses_the_resumption_and_nothing_has_changed() {
    in_many_orders(|order| {
        let mut bus = active(order);
        ask(&mut bus, "suspend", "s", suspend()).expect("suspended");
        bus.settle(order);
        register(&mut bus, "budi", Role::User);
        give(&mut bus, "budi", PRICE);
        request(&mut bus, "other", "budi", PRICE).expect("the freed slot is sold");
        for number in 0..2 {
            let refused = ask(&mut bus, &format!("resume-{number}"), "s", resume()).expect_err("sold out");
            assert_eq!((refused.code.as_str(), refused.kind), ("plan-sold-out", RefusalKind::Conflict));
        }
        let refused = ask(&mut bus, "expire", "s", expire()).and_then(|()| ask(&mut bus, "extend", "s", extend(30)));
        assert_eq!(refused.expect_err("sold out").code, "plan-sold-out");
        bus.settle(order);
        assert_eq!(used_slots(&bus, &["s", "other"]), 1);
        assert_eq!((bus.count("SubscriptionResumed"), bus.count("SubscriptionExtended")), (0, 0));
        assert_eq!(bus.count("InstanceUnlocked"), 0);
        assert_eq!(bus.timers(), ["subscription/other/deadline", "subscription/s/life"]);
    });
}

#[test]
fn without_the_api_the_roles_finish_suspension_and_resumption() {
    in_many_orders(|order| {
        let mut bus = active(order);
        tell(&mut bus, "suspend", "s", suspend()).expect("suspended");
        bus.settle(order);
        tell(&mut bus, "resume", "s", resume()).expect("started");
        bus.settle(order);
        assert_eq!((steps(&bus, "s").last(), used_slots(&bus, &["s"])), (Some(&"Resumed"), 1));
    });
}

#[test]
fn a_resumption_that_overtakes_its_suspension_gives_up_and_works_the_next_time() {
    let mut bus = active_of(2, Order::InTurn);
    tell(&mut bus, "suspend", "s", suspend()).expect("suspended");
    // The slot of before is still held when the new one is asked for, so nobody answers.
    ask(&mut bus, "resume", "s", resume()).expect("started");
    bus.settle(Order::InTurn);
    assert_eq!(steps(&bus, "s").last(), Some(&"ResumeStarted"));
    assert_eq!(bus.timers(), [crate::subscription::life_timer("s"), resume_timer("s")]);
    bus.advance(RESUME_DEADLINE);
    bus.settle(Order::InTurn);
    assert_eq!((steps(&bus, "s").last(), used_slots(&bus, &["s"])), (Some(&"ResumeFailed"), 0));
    ask(&mut bus, "resume-again", "s", resume()).expect("resumed");
    assert_eq!((steps(&bus, "s").last(), used_slots(&bus, &["s"])), (Some(&"Resumed"), 1));
}

#[test]
fn what_rests_can_be_ended_and_leaves_nothing_behind() {
    in_many_orders(|order| {
        for rest in [suspend(), expire()] {
            let mut bus = active(order);
            ask(&mut bus, "rest", "s", rest).expect("rests");
            cancel(&mut bus, "s");
            bus.settle(order);
            assert_eq!((used_slots(&bus, &["s"]), bus.count("PlanSlotReleased")), (0, 1), "nothing twice");
            assert_eq!(bus.holder("live/ani/n8n"), None);
            assert_eq!(instance_steps(&bus, "s").last(), Some(&"InstanceDeletionRequested"));
        }
    });
}

#[test]
fn an_end_in_the_middle_of_a_resumption_gives_the_new_slot_back() {
    in_many_orders(|order| {
        let mut bus = active(order);
        ask(&mut bus, "suspend", "s", suspend()).expect("suspended");
        bus.settle(order);
        tell(&mut bus, "resume", "s", resume()).expect("started");
        if let Order::Shuffled(seed) = order {
            for _ in 0..seed % 3 {
                bus.settle_one(Order::InTurn);
            }
        }
        cancel(&mut bus, "s");
        bus.settle(order);
        assert_eq!(used_slots(&bus, &["s"]), 0, "{:?}", steps(&bus, "s"));
        assert_eq!(instance_steps(&bus, "s").last(), Some(&"InstanceDeletionRequested"));
    });
}

#[test]
fn the_slot_of_a_retired_plan_is_kept_for_those_who_have_it() {
    let mut bus = active(Order::InTurn);
    bus.ask("retire", PLAN, AnyCommand::Plan(PlanCommand::Retire)).expect("retired");
    ask(&mut bus, "suspend", "s", suspend()).expect("suspended");
    ask(&mut bus, "resume", "s", resume()).expect("resumed");
    assert_eq!(used_slots(&bus, &["s"]), 1);
}

#[test]
fn other_settings_reach_the_instance_in_the_order_they_were_given() {
    in_many_orders(|order| {
        let mut bus = active(order);
        for (key, names) in [("first", vec!["A".to_owned(), "B".to_owned()]), ("second", vec!["B".to_owned()])] {
            let command = SubscriptionCommand::Configure { auto_renew: None, overrides: Some(names) };
            ask(&mut bus, key, "s", command).expect("configured");
        }
        bus.settle(order);
        let last = bus.log().iter().rev().find_map(|logged| match &logged.event {
            minispod_events::Event::Instance(minispod_events::InstanceEvent::InstanceRestartRequested {
                spec, ..
            }) => Some(spec.overrides.clone()),
            _ => None,
        });
        assert_eq!(last, Some(vec!["B".to_owned()]));
    });
}

#[test]
fn repeated_without_receipts_suspension_and_resumption_still_add_up() {
    in_many_orders(|order| {
        let mut bus = forgetful_shop(PRICE, 9);
        give(&mut bus, ANI, 100_000);
        bus.tell("request-s", "s", request_command("s", ANI, PRICE)).expect("accepted");
        bus.settle(order);
        becomes_ready(&mut bus, "s").expect("ready");
        bus.settle(order);
        for round in 0..2 {
            tell(&mut bus, &format!("suspend-{round}"), "s", suspend()).expect("suspended");
            bus.settle(order);
            assert_eq!(used_slots(&bus, &["s"]), 0);
            tell(&mut bus, &format!("resume-{round}"), "s", resume()).expect("started");
            bus.settle(order);
            assert_eq!((steps(&bus, "s").last(), used_slots(&bus, &["s"])), (Some(&"Resumed"), 1));
        }
    });
}

/// Two customers, one slot, and forty steps of chance: whoever runs holds a slot, and nobody else does.
#[test]
fn whatever_is_asked_in_whatever_order_only_what_is_active_holds_a_slot_and_may_run() {
    for seed in 1..=300_u64 {
        let mut chance = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut bus = shop(PRICE, 1);
        register(&mut bus, "budi", Role::User);
        for user in [ANI, "budi"] {
            give(&mut bus, user, 100 * PRICE);
        }
        let mut asked = Vec::new();
        for step in 0..40 {
            walk_one_step(&mut bus, &mut chance, step, &mut asked);
            let used = bus.count("PlanSlotAllocated") - bus.count("PlanSlotReleased");
            assert!(used <= 1, "seed {seed}: never more than there are");
        }
        bus.settle(Order::Shuffled(seed));
        bus.advance(Duration::from_mins(10));
        bus.settle(Order::Shuffled(seed));
        let ids: Vec<&str> = asked.iter().map(String::as_str).collect();
        let running: Vec<&str> = ids.iter().copied().filter(|id| runs(&bus, id)).collect();
        assert_eq!(used_slots(&bus, &ids), running.len(), "seed {seed}");
        for id in ids {
            let (held, steps) = (bus.holder(&format!("slot/{PLAN}/{id}")).is_some(), steps(&bus, id));
            assert_eq!(held, running.contains(&id), "seed {seed}, {id}: {steps:?}");
            let instance = instance_steps(&bus, id);
            let locked = last_of(&instance, "InstanceLocked") > last_of(&instance, "InstanceUnlocked");
            let gone = instance.contains(&"InstanceDeletionRequested");
            assert!(gone || instance.is_empty() || locked != running.contains(&id), "seed {seed}, {id}: {instance:?}");
        }
        let timers = bus.timers();
        assert!(timers.iter().all(|timer| timer.ends_with("/life")), "seed {seed}: {timers:?}");
        let charged = bus.count("WalletDebited") as i64 - bus.count("WalletRefunded") as i64;
        let left: i64 = [ANI, "budi"].iter().map(|user| bus.wallet(user).balance().amount()).sum();
        assert_eq!(left, (200 - charged) * PRICE, "seed {seed}");
    }
}

/// One command of chance, or some of what follows from those before. A refusal is an answer.
fn walk_one_step(bus: &mut MemoryBus, chance: &mut u64, step: u32, asked: &mut Vec<String>) {
    let key = format!("step-{step}");
    let id = asked.get(draw(chance, asked.len().max(1))).cloned().unwrap_or_default();
    let command = match draw(chance, 12) {
        0 => {
            let (id, user) = (format!("s{step}"), [ANI, "budi"][draw(chance, 2)]);
            drop(request(bus, &id, user, PRICE));
            asked.push(id);
            return;
        }
        1..=3 => {
            for _ in 0..draw(chance, 6) {
                bus.settle_one(Order::Shuffled(*chance));
            }
            return;
        }
        4 => {
            bus.advance(Duration::from_secs(draw(chance, 90) as u64));
            return;
        }
        5 => {
            drop(becomes_ready(bus, &id));
            return;
        }
        6 => suspend(),
        7 | 8 => resume(),
        9 => extend(1 + draw(chance, 30) as u16),
        10 => [expire(), SubscriptionCommand::StartRenewal][draw(chance, 2)].clone(),
        _ => {
            let reason = CancelReason::Administrator { text: Sensitive::Forgotten };
            [SubscriptionCommand::Cancel { reason }, suspend(), resume()][draw(chance, 3)].clone()
        }
    };
    // Asked as the api does, or by somebody who dies before what follows.
    drop(if draw(chance, 2) == 0 { ask(bus, &key, &id, command) } else { tell(bus, &key, &id, command) });
}

/// By its history: it was charged, and nothing has ended or stopped it since.
fn runs(bus: &MemoryBus, id: &str) -> bool {
    let mut runs = false;
    for step in steps(bus, id) {
        match step {
            "Activated" | "Resumed" => runs = true,
            "Suspended" | "Expired" | "Cancelled" | "Purged" => runs = false,
            _ => {}
        }
    }
    runs
}

fn last_of(steps: &[&str], name: &str) -> Option<usize> {
    steps.iter().rposition(|step| *step == name)
}

fn instance_steps(bus: &MemoryBus, id: &str) -> Vec<&'static str> {
    bus.names("instance", &instance_of(id))
}

fn ask(bus: &mut MemoryBus, key: &str, id: &str, command: SubscriptionCommand) -> Result<(), Refused> {
    subscription(bus, key, id, command)
}

fn tell(bus: &mut MemoryBus, key: &str, id: &str, command: SubscriptionCommand) -> Result<(), Refused> {
    bus.tell(key, id, AnyCommand::Subscription(command)).map(|_| ())
}

fn suspend() -> SubscriptionCommand {
    SubscriptionCommand::Suspend { reason: Sensitive::Forgotten }
}

fn resume() -> SubscriptionCommand {
    SubscriptionCommand::StartResume { reason: Sensitive::Forgotten }
}

fn extend(days: u16) -> SubscriptionCommand {
    SubscriptionCommand::Extend { days, reason: Sensitive::Forgotten }
}

fn expire() -> SubscriptionCommand {
    SubscriptionCommand::Expire { cause: ExpiryCause::Administrator { text: Sensitive::Forgotten } }
}

/// xorshift64*: a number below `bound`.
fn draw(state: &mut u64, bound: usize) -> usize {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
}
