//! Stories of changes of plan: each step, each refusal, and each way back.

use std::time::Duration;

use minispod_events::PlanChangeDirection;

use super::*;

#[test]
fn slot_charge_and_resources_follow_one_another_and_the_sum_is_the_prorations() {
    let started = start(pro(), false).events();
    let [SubscriptionEvent::SubscriptionPlanChangeStarted { change: 1, direction, proration, deadline, .. }] =
        started.as_slice()
    else {
        panic!("{started:?}")
    };
    assert_eq!((*direction, proration.net), (PlanChangeDirection::Upgrade, Rupiah::new(40_000)));
    assert_eq!(*deadline, noon().plus(CHANGE_DEADLINE));
    let held = follow([active(25_000), started].concat(), slot("pro"));
    assert!(matches!(held.last(), Some(SubscriptionEvent::SubscriptionPlanChangeSlotHeld { charge, .. })
        if *charge == Rupiah::new(40_000)));
    let paid = follow(held, charge(1));
    assert!(matches!(paid.last(), Some(SubscriptionEvent::SubscriptionPlanChangePaid { to, .. }) if *to == pro()));
    let done = follow(paid, resized(1));
    let Some(SubscriptionEvent::SubscriptionPlanChanged { plan, from_plan_id, charged, refunded, .. }) = done.last()
    else {
        panic!("{done:?}")
    };
    assert_eq!((plan, from_plan_id.as_str()), (&pro(), "p"));
    assert_eq!((*charged, *refunded), (Rupiah::new(40_000), Rupiah::ZERO));
    let renewal = follow(done, SubscriptionCommand::StartRenewal);
    assert!(
        matches!(renewal.last(), Some(SubscriptionEvent::SubscriptionRenewalStarted { amount, .. })
        if *amount == Rupiah::new(65_000)),
        "the next period costs what the new plan does"
    );
}

#[test]
fn each_step_twice_changes_nothing() {
    for (past, command) in
        [(held(), slot("pro")), (paid(), slot("pro")), (paid(), charge(1)), (done(), charge(1)), (done(), resized(1))]
    {
        given::<Subscription>(past).when(command).then_nothing();
    }
    given::<Subscription>(done()).when(slot("pro")).then_nothing();
    given::<Subscription>(active(25_000)).when(resized(7)).then_nothing();
}

#[test]
fn w14_a_customer_moves_to_a_cheaper_plan_with_the_next_period_and_an_administrator_now() {
    start(free(), false).then_refused(SubscriptionRefusal::CheaperPlan);
    let events = start(free(), true).events();
    assert!(matches!(events.as_slice(), [SubscriptionEvent::SubscriptionPlanChangeStarted {
        direction: PlanChangeDirection::Downgrade, by_administrator: true, proration, .. }]
        if proration.net == Rupiah::new(-25_000)));
    let done = follow(follow(follow([active(25_000), events].concat(), slot("free")), charge(1)), resized(1));
    assert!(matches!(done.last(), Some(SubscriptionEvent::SubscriptionPlanChanged { charged, refunded, .. })
        if (*charged, *refunded) == (Rupiah::ZERO, Rupiah::new(25_000))));
}

#[test]
fn w15_no_other_offering_and_not_the_same_plan() {
    let ghost = PlanSnapshot { offering: "ghost".into(), ..pro() };
    start(ghost, false).then_refused(SubscriptionRefusal::OtherOffering);
    start(snapshot(25_000), false).then_refused(SubscriptionRefusal::SamePlan);
}

#[test]
fn w18_the_sum_is_over_the_paid_period_and_not_over_its_whole_life() {
    let next = Period { number: 2, start: first_period().end, end: first_period().end.plus_months(1, 22) };
    let past = [active(25_000), vec![renewal(next), renewed(next)]].concat();
    let command = SubscriptionCommand::ChangePlan { to: pro(), by_administrator: false, reason: None };
    let halfway = next.start.plus(Duration::from_hours(24 * 15));
    let events = given::<Subscription>(past).at(halfway).when(command).events();
    assert!(
        matches!(events.as_slice(), [SubscriptionEvent::SubscriptionPlanChangeStarted { proration, .. }]
        if (proration.total_days, proration.remaining_days) == (31, 16)),
        "{events:?}"
    );
}

#[test]
fn only_what_is_paid_and_runs_changes_its_plan_and_only_one_change_at_a_time() {
    let command = SubscriptionCommand::ChangePlan { to: pro(), by_administrator: true, reason: None };
    let refused = |past: Vec<SubscriptionEvent>, at, refusal| {
        given::<Subscription>(past).at(at).when(command.clone()).then_refused(refusal);
    };
    let suspended = follow(active(25_000), SubscriptionCommand::Suspend { reason: Sensitive::Forgotten });
    for past in [vec![requested(1)], provisioning(1), failed_and_refunded(1), suspended] {
        refused(past, noon(), SubscriptionRefusal::WrongState);
    }
    refused(held(), noon(), SubscriptionRefusal::PlanChangeUnderWay);
    let renewing = follow(active(25_000), SubscriptionCommand::StartRenewal);
    refused(renewing, noon(), SubscriptionRefusal::RenewalUnderWay);
    refused(active(25_000), first_period().end, SubscriptionRefusal::PeriodOver);
    let dear = PlanSnapshot { price: Rupiah::new(Rupiah::MAX_MAGNITUDE), ..pro() };
    let far = Period { number: 1, start: noon(), end: noon() };
    let mut past = active(25_000);
    past.push(renewal(far));
    past.push(renewed(Period { number: 2, start: first_period().end, end: first_period().end }));
    given::<Subscription>(past)
        .when(SubscriptionCommand::ChangePlan { to: dear, by_administrator: true, reason: None })
        .then_refused(SubscriptionRefusal::Uncountable);
}

#[test]
fn what_changes_its_plan_is_left_alone_for_that_moment() {
    let expire = SubscriptionCommand::Expire { cause: minispod_events::ExpiryCause::NotRenewed };
    for command in [
        SubscriptionCommand::Suspend { reason: Sensitive::Forgotten },
        SubscriptionCommand::Extend { days: 1, reason: Sensitive::Forgotten },
        SubscriptionCommand::StartRenewal,
        expire,
        SubscriptionCommand::ScheduleDowngrade { to: free(), reason: None },
    ] {
        for past in [started(), held(), paid()] {
            given::<Subscription>(past).when(command.clone()).then_refused(SubscriptionRefusal::PlanChangeUnderWay);
        }
    }
    given::<Subscription>(paid()).at(first_period().end).when(SubscriptionCommand::PassMilestone).then_nothing();
}

#[test]
fn before_it_is_paid_a_refusal_leaves_everything_as_it_was() {
    for (past, held_slot) in [(started(), false), (held(), true)] {
        let failed = given::<Subscription>(past.clone()).when(fail("plan-sold-out")).events();
        assert!(matches!(failed.as_slice(), [SubscriptionEvent::SubscriptionPlanChangeFailed { held_slot: held, .. }]
            if *held == held_slot));
        let after = [past, failed].concat();
        given::<Subscription>(after.clone()).when(fail("plan-sold-out")).then_nothing();
        given::<Subscription>(after.clone()).when(slot("pro")).then_refused(SubscriptionRefusal::WrongState);
        let again = follow(after, SubscriptionCommand::ChangePlan { to: pro(), by_administrator: false, reason: None });
        assert!(matches!(again.last(), Some(SubscriptionEvent::SubscriptionPlanChangeStarted { change: 2, .. })));
    }
}

#[test]
fn w17_after_it_is_paid_a_failure_takes_everything_back() {
    let reverted = given::<Subscription>(paid()).when(fail("instance-resize-failed")).events();
    let [SubscriptionEvent::SubscriptionPlanChangeReverted { given_back, from, to_plan_id, .. }] = reverted.as_slice()
    else {
        panic!("{reverted:?}")
    };
    assert_eq!((*given_back, from, to_plan_id.as_str()), (Rupiah::new(40_000), &snapshot(25_000), "pro"));
    let after = [paid(), reverted].concat();
    given::<Subscription>(after.clone()).when(resized(1)).then_nothing();
    given::<Subscription>(after.clone()).when(charge(1)).then_nothing();
    let renewal = follow(after, SubscriptionCommand::StartRenewal);
    assert!(matches!(renewal.last(), Some(SubscriptionEvent::SubscriptionRenewalStarted { amount, .. })
        if *amount == Rupiah::new(25_000)));
}

#[test]
fn a_charge_that_comes_after_the_change_was_given_up_is_refused_so_that_it_goes_back() {
    for give_up in [fail(TIMED_OUT), SubscriptionCommand::Cancel { reason: customer() }] {
        let past = follow(held(), give_up);
        given::<Subscription>(past).when(charge(1)).then_refused(SubscriptionRefusal::WrongState);
    }
    // The wallet said no itself: nothing is on its way.
    given::<Subscription>(follow(held(), fail("wallet-insufficient-balance"))).when(charge(1)).then_nothing();
}

#[test]
fn an_end_takes_the_change_back_first() {
    for (past, name) in [
        (started(), "SubscriptionPlanChangeFailed"),
        (held(), "SubscriptionPlanChangeFailed"),
        (paid(), "SubscriptionPlanChangeReverted"),
    ] {
        let events = given::<Subscription>(past).when(SubscriptionCommand::Cancel { reason: customer() }).events();
        let names: Vec<_> = events.iter().map(minispod_kernel::Event::name).collect();
        assert_eq!(names, [name, "SubscriptionCancelled"]);
    }
}

#[test]
fn the_deadline_is_a_timer_that_the_outcome_forgets() {
    let timers = Subscription::consequences("s", started().last().expect("started"));
    let [Consequence::SetTimer { id, due, command, .. }] = timers.as_slice() else { panic!("{timers:?}") };
    assert_eq!((id.as_str(), *due), ("subscription/s/change", noon().plus(CHANGE_DEADLINE)));
    let command: AnyCommand = serde_json::from_value(command.clone()).expect("a command");
    assert_eq!(command, AnyCommand::Subscription(fail(TIMED_OUT)));
    for past in [done(), follow(held(), fail("x")), follow(paid(), fail("x"))] {
        let forget = Consequence::CancelTimer { id: "subscription/s/change".into() };
        assert!(Subscription::consequences("s", past.last().expect("an outcome")).contains(&forget));
    }
}

#[test]
fn a_cheaper_plan_is_scheduled_replaced_and_withdrawn() {
    let schedule = |to| SubscriptionCommand::ScheduleDowngrade { to, reason: None };
    let scheduled = follow(active(25_000), schedule(free()));
    assert!(matches!(scheduled.last(), Some(SubscriptionEvent::SubscriptionDowngradeScheduled { at, .. })
        if *at == first_period().end));
    given::<Subscription>(scheduled.clone()).when(schedule(free())).then_nothing();
    let other = PlanSnapshot { plan_id: "lite".into(), price: Rupiah::new(9_000), ..free() };
    let replaced = follow(scheduled, schedule(other.clone()));
    let at_end = follow_at(replaced.clone(), first_period().end, SubscriptionCommand::PassMilestone);
    assert!(matches!(at_end.last(), Some(SubscriptionEvent::SubscriptionPlanChangeStarted {
        to, at_period_end: true, proration, .. }) if *to == other && proration.net == Rupiah::ZERO));
    let withdrawn = follow(replaced, SubscriptionCommand::WithdrawDowngrade);
    given::<Subscription>(withdrawn.clone()).when(SubscriptionCommand::WithdrawDowngrade).then_nothing();
    let at_end = follow_at(withdrawn, first_period().end, SubscriptionCommand::PassMilestone);
    assert!(matches!(at_end.last(), Some(SubscriptionEvent::SubscriptionRenewalStarted { .. })));
    for dearer in [pro(), PlanSnapshot { plan_id: "twin".into(), ..snapshot(25_000) }] {
        given::<Subscription>(active(25_000)).when(schedule(dearer)).then_refused(SubscriptionRefusal::NotCheaper);
    }
    let ghost = PlanSnapshot { offering: "ghost".into(), ..free() };
    given::<Subscription>(active(25_000)).when(schedule(ghost)).then_refused(SubscriptionRefusal::OtherOffering);
}

#[test]
fn a_scheduled_plan_that_cannot_be_had_leaves_the_old_one_to_be_renewed() {
    let end = first_period().end;
    let schedule = SubscriptionCommand::ScheduleDowngrade { to: free(), reason: None };
    let begun = follow_at(follow(active(25_000), schedule), end, SubscriptionCommand::PassMilestone);
    let failed = follow_at(begun, end, fail("plan-sold-out"));
    let Some(SubscriptionEvent::SubscriptionPlanChangeFailed { life_due, at_period_end: true, .. }) = failed.last()
    else {
        panic!("{failed:?}")
    };
    assert!(*life_due > end, "looked at again at once, at another instant");
    let due = *life_due;
    let next = follow_at(failed, due, SubscriptionCommand::PassMilestone);
    assert!(matches!(next.last(), Some(SubscriptionEvent::SubscriptionRenewalStarted { amount, period, .. })
        if *amount == Rupiah::new(25_000) && period.start == end));
}

#[test]
fn moving_now_ends_the_wish_for_a_cheaper_plan() {
    let schedule = SubscriptionCommand::ScheduleDowngrade { to: free(), reason: None };
    let past = follow(active(25_000), schedule);
    let past = follow(past, SubscriptionCommand::ChangePlan { to: pro(), by_administrator: false, reason: None });
    let done = follow(follow(follow(past, slot("pro")), charge(2)), resized(2));
    assert!(matches!(done.last(), Some(SubscriptionEvent::SubscriptionDowngradeWithdrawn { change: 1, .. })));
}

fn pro() -> PlanSnapshot {
    PlanSnapshot { plan_id: "pro".into(), variant: "pro".into(), ..snapshot(65_000) }
}

fn free() -> PlanSnapshot {
    PlanSnapshot { plan_id: "free".into(), variant: "free".into(), ..snapshot(0) }
}

fn start(to: PlanSnapshot, by_administrator: bool) -> crate::story::Then<Subscription> {
    given::<Subscription>(active(25_000)).when(SubscriptionCommand::ChangePlan { to, by_administrator, reason: None })
}

fn slot(plan: &str) -> SubscriptionCommand {
    SubscriptionCommand::ConfirmSlot { plan_id: Some(plan.into()) }
}

fn charge(change: u32) -> SubscriptionCommand {
    SubscriptionCommand::ConfirmPlanCharge { change }
}

fn resized(change: u32) -> SubscriptionCommand {
    SubscriptionCommand::ConfirmResize { change }
}

fn fail(code: &str) -> SubscriptionCommand {
    SubscriptionCommand::FailPlanChange { change: 1, code: code.into() }
}

fn follow(past: Vec<SubscriptionEvent>, command: SubscriptionCommand) -> Vec<SubscriptionEvent> {
    follow_at(past, noon(), command)
}

fn follow_at(past: Vec<SubscriptionEvent>, at: Timestamp, command: SubscriptionCommand) -> Vec<SubscriptionEvent> {
    let events = given::<Subscription>(past.clone()).at(at).when(command).events();
    [past, events].concat()
}

fn started() -> Vec<SubscriptionEvent> {
    [active(25_000), start(pro(), false).events()].concat()
}

fn held() -> Vec<SubscriptionEvent> {
    follow(started(), slot("pro"))
}

fn paid() -> Vec<SubscriptionEvent> {
    follow(held(), charge(1))
}

fn done() -> Vec<SubscriptionEvent> {
    follow(paid(), resized(1))
}
