//! Stories of suspending, resuming, extending and expiring.

use std::time::Duration;

use minispod_events::ExpiryCause;

use super::*;

#[test]
fn an_active_subscription_is_suspended_once() {
    given::<Subscription>(active(1)).when(suspend()).then(vec![suspended()]);
    given::<Subscription>(rests()).when(suspend()).then_nothing();
}

#[test]
fn what_does_not_run_cannot_be_suspended() {
    for past in [vec![requested(1)], provisioning(1), expired_one(), failed_and_refunded(1), resuming(0)] {
        given::<Subscription>(past).when(suspend()).then_refused(SubscriptionRefusal::WrongState);
    }
}

#[test]
fn resuming_waits_for_a_slot_and_then_runs() {
    given::<Subscription>(rests()).when(resume()).then(vec![resume_started(0)]);
    given::<Subscription>(expired_one()).when(resume()).then(vec![resume_started(0)]);
    given::<Subscription>(resuming(0)).when(resume()).then_nothing();
    given::<Subscription>(resuming(0)).when(confirm_slot()).then(vec![resumed()]);
    let again = [resuming(0), vec![resumed()]].concat();
    given::<Subscription>(again.clone()).when(confirm_slot()).then_nothing();
    given::<Subscription>(again.clone()).when(resume()).then_nothing();
    given::<Subscription>(again).when(suspend()).then(vec![suspended()]);
}

#[test]
fn no_slot_leaves_it_as_it_was() {
    let fail = SubscriptionCommand::FailResume { code: "plan-sold-out".into() };
    given::<Subscription>(resuming(0)).when(fail.clone()).then(vec![resume_failed()]);
    let past = [resuming(0), vec![resume_failed()]].concat();
    given::<Subscription>(past.clone()).when(fail.clone()).then_nothing();
    given::<Subscription>(past.clone()).when(suspend()).then_nothing();
    given::<Subscription>(past).when(resume()).then(vec![resume_started(0)]);
    for past in [active(1), [resuming(0), vec![resumed()]].concat(), [resuming(0), vec![end(false)]].concat()] {
        given::<Subscription>(past).when(fail.clone()).then_nothing();
    }
}

#[test]
fn a_slot_that_nobody_waits_for_any_more_is_refused_so_that_it_goes_back() {
    for past in [[resuming(0), vec![resume_failed()]].concat(), [resuming(0), vec![end(false)]].concat()] {
        given::<Subscription>(past).when(confirm_slot()).then_refused(SubscriptionRefusal::WrongState);
    }
}

#[test]
fn the_wait_for_a_slot_is_a_timer_that_its_end_forgets() {
    let timers = Subscription::consequences("s", &resume_started(0));
    let [Consequence::SetTimer { id, due, command, .. }] = timers.as_slice() else { panic!("{timers:?}") };
    assert_eq!((id.as_str(), *due), ("subscription/s/resume", noon().plus(RESUME_DEADLINE)));
    let command: AnyCommand = serde_json::from_value(command.clone()).expect("a command");
    let late = SubscriptionCommand::FailResume { code: "subscription-resume-timed-out".into() };
    assert_eq!(command, AnyCommand::Subscription(late));
    for event in [resumed(), resume_failed()] {
        let forget = Consequence::CancelTimer { id: "subscription/s/resume".into() };
        assert_eq!(Subscription::consequences("s", &event)[0], forget);
    }
}

#[test]
fn time_that_is_over_is_not_resumed_but_in_grace_it_is() {
    for past in [rests(), expired_one()] {
        let given = |at| given::<Subscription>(past.clone()).at(at);
        let end = first_period().end;
        given(end.plus(GRACE)).when(resume()).then_refused(SubscriptionRefusal::PeriodOver);
        let last = Timestamp::from_unix_millis(end.plus(GRACE).unix_millis() - 1);
        assert_eq!(given(last).when(resume()).events().len(), 1);
    }
}

#[test]
fn only_what_rests_is_resumed() {
    let over = [active(1), vec![end(true)]].concat();
    for past in [vec![requested(1)], provisioning(1), over] {
        given::<Subscription>(past).when(resume()).then_refused(SubscriptionRefusal::WrongState);
    }
    given::<Subscription>(active(1)).when(resume()).then_nothing();
}

#[test]
fn an_extension_counts_from_the_periods_end_or_from_now_if_that_is_later() {
    let end = first_period().end;
    given::<Subscription>(active(1)).when(extend(7)).then(vec![extended(7, days_after(end, 7), end)]);
    let later = days_after(end, 365);
    given::<Subscription>(rests()).when(extend(365)).then(vec![extended(365, later, later.plus(GRACE))]);
    let late = days_after(end, 40);
    let events = given::<Subscription>(active(1)).at(late).when(extend(1)).events();
    assert!(matches!(events.as_slice(), [SubscriptionEvent::SubscriptionExtended { period, .. }]
        if period.end == days_after(late, 1) && period.start == first_period().start && period.number == 1));
}

#[test]
fn the_next_period_follows_the_extended_one_whole() {
    let past = [active(1), vec![extended(7, days_after(first_period().end, 7), first_period().end)]].concat();
    let events = given::<Subscription>(past).when(SubscriptionCommand::StartRenewal).events();
    let period = Period {
        number: 2,
        start: Timestamp::new(datetime!(2026-12-29 10:00 +7)),
        end: Timestamp::new(datetime!(2027-01-29 10:00 +7)),
    };
    assert!(
        matches!(events.as_slice(), [SubscriptionEvent::SubscriptionRenewalStarted { period: next, .. }]
            if *next == period),
        "{events:?}"
    );
}

#[test]
fn w30_what_has_expired_gets_its_days_from_now_and_a_slot_first() {
    let late = days_after(first_period().end, 40);
    let events = given::<Subscription>(expired_one()).at(late).when(extend(30)).events();
    assert!(matches!(events.as_slice(), [SubscriptionEvent::SubscriptionResumeStarted { extension_days: 30, .. }]));
    let past = [expired_one(), events].concat();
    given::<Subscription>(past.clone()).when(extend(30)).then_refused(SubscriptionRefusal::WrongState);
    let events = given::<Subscription>(past).at(late).when(confirm_slot()).events();
    let [SubscriptionEvent::SubscriptionExtended { period, reason, .. }, SubscriptionEvent::SubscriptionResumed { .. }] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((period.end, reason), (days_after(late, 30), &None));
}

#[test]
fn an_extension_is_one_to_365_days_of_what_was_paid() {
    for days in [0, 366, u16::MAX] {
        given::<Subscription>(active(1)).when(extend(days)).then_refused(SubscriptionRefusal::InvalidDays);
    }
    let over = [active(1), vec![end(true)]].concat();
    for past in [vec![requested(1)], provisioning(1), over, resuming(0)] {
        given::<Subscription>(past).when(extend(1)).then_refused(SubscriptionRefusal::WrongState);
    }
}

#[test]
fn an_expiry_gives_back_the_slot_that_is_held_and_no_other() {
    given::<Subscription>(active(1)).when(expire()).then(vec![expired(true)]);
    given::<Subscription>(rests()).when(expire()).then(vec![expired(false)]);
    given::<Subscription>(expired_one()).when(expire()).then_nothing();
    let over = [active(1), vec![end(true)]].concat();
    for past in [vec![requested(1)], provisioning(1), over, resuming(0)] {
        given::<Subscription>(past).when(expire()).then_refused(SubscriptionRefusal::WrongState);
    }
}

#[test]
fn what_is_being_renewed_is_left_alone_for_that_moment() {
    let past = [active(1), vec![renewal(Period { number: 2, start: noon(), end: noon() })]].concat();
    for command in [suspend(), expire(), extend(1)] {
        given::<Subscription>(past.clone()).when(command).then_refused(SubscriptionRefusal::RenewalUnderWay);
    }
}

#[test]
fn what_is_suspended_is_not_renewed() {
    given::<Subscription>(rests())
        .when(SubscriptionCommand::StartRenewal)
        .then_refused(SubscriptionRefusal::WrongState);
}

#[test]
fn w13_the_end_of_what_rests_gives_back_nothing_twice() {
    let cancel = SubscriptionCommand::Cancel { reason: customer() };
    for past in [rests(), expired_one(), resuming(0)] {
        given::<Subscription>(past.clone()).when(cancel.clone()).then(vec![end(false)]);
        given::<Subscription>([past, vec![end(false)]].concat()).when(cancel.clone()).then_nothing();
    }
    given::<Subscription>([resuming(0), vec![resumed()]].concat()).when(cancel).then(vec![end(true)]);
}

#[test]
fn whoever_saw_it_run_before_it_had_to_rest_changes_nothing() {
    for past in [rests(), expired_one(), resuming(0)] {
        given::<Subscription>(past).when(activate()).then_nothing();
    }
}

fn because() -> Sensitive<String> {
    Sensitive::Open("abuse".into())
}

fn suspend() -> SubscriptionCommand {
    SubscriptionCommand::Suspend { reason: because() }
}

fn resume() -> SubscriptionCommand {
    SubscriptionCommand::StartResume { reason: because() }
}

fn extend(days: u16) -> SubscriptionCommand {
    SubscriptionCommand::Extend { days, reason: because() }
}

fn expire() -> SubscriptionCommand {
    SubscriptionCommand::Expire { cause: ExpiryCause::Administrator { text: because() } }
}

fn suspended() -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionSuspended {
        user_id: "ani".into(),
        instance_id: "i".into(),
        plan_id: "p".into(),
        display_name: "N8N - Basic".into(),
        reason: because(),
        life_due: Some(first_period().end.plus(GRACE)),
        occurred_at: noon(),
    }
}

fn rests() -> Vec<SubscriptionEvent> {
    [active(1), vec![suspended()]].concat()
}

fn expired(held_slot: bool) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionExpired {
        user_id: "ani".into(),
        instance_id: "i".into(),
        plan_id: "p".into(),
        display_name: "N8N - Basic".into(),
        held_slot,
        cause: ExpiryCause::Administrator { text: because() },
        data_until: Some(noon().plus(RETENTION)),
        amount: None,
        occurred_at: noon(),
    }
}

fn expired_one() -> Vec<SubscriptionEvent> {
    [active(1), vec![expired(true)]].concat()
}

fn resume_started(extension_days: u16) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionResumeStarted {
        user_id: "ani".into(),
        plan_id: "p".into(),
        extension_days,
        reason: because(),
        funded: false,
        renews: false,
        occurred_at: noon(),
    }
}

fn resuming(extension_days: u16) -> Vec<SubscriptionEvent> {
    [rests(), vec![resume_started(extension_days)]].concat()
}

fn resumed() -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionResumed {
        user_id: "ani".into(),
        instance_id: "i".into(),
        display_name: "N8N - Basic".into(),
        life_due: Some(days_before_end(7)),
        occurred_at: noon(),
    }
}

fn resume_failed() -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionResumeFailed {
        user_id: "ani".into(),
        code: "plan-sold-out".into(),
        life_due: Some(first_period().end.plus(GRACE)),
        released_plan_id: None,
        lacks_slot: None,
        occurred_at: noon(),
    }
}

fn days_before_end(days: i64) -> Timestamp {
    Timestamp::from_unix_millis(first_period().end.unix_millis() - days * 24 * 60 * 60 * 1_000)
}

fn extended(days: u16, end: Timestamp, life_due: Timestamp) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionExtended {
        user_id: "ani".into(),
        display_name: "N8N - Basic".into(),
        days,
        period: Period { end, ..first_period() },
        reason: Some(because()),
        life_due: Some(life_due),
        occurred_at: noon(),
    }
}

fn days_after(at: Timestamp, days: u64) -> Timestamp {
    at.plus(Duration::from_hours(24 * days))
}

fn end(held_slot: bool) -> SubscriptionEvent {
    cancelled_later(held_slot, customer())
}
