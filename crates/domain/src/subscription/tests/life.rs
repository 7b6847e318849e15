//! Stories of notices, ends, and what is kept after them.

use std::time::Duration;

use minispod_events::ExpiryCause;

use super::*;

#[test]
fn each_notice_is_given_once_and_sets_the_next_look() {
    for (days, next) in [(7, before_end(3)), (3, before_end(1)), (1, end())] {
        let told = given::<Subscription>(active(25_000)).at(before_end(days)).when(pass()).events();
        assert!(
            matches!(told.as_slice(), [SubscriptionEvent::SubscriptionEndApproaching { days_left, life_due, amount, auto_renew: true, .. }]
            if i64::from(*days_left) == days && *life_due == next && *amount == Rupiah::new(25_000)),
            "{told:?}"
        );
        let again = [active(25_000), told].concat();
        given::<Subscription>(again).at(before_end(days).plus(HOUR)).when(pass()).then_nothing();
    }
}

#[test]
fn after_an_outage_only_the_last_useful_notice_is_given() {
    let late = before_end(3).plus(HOUR * 30);
    let told = given::<Subscription>(active(1)).at(late).when(pass()).events();
    assert!(
        matches!(told.as_slice(), [SubscriptionEvent::SubscriptionEndApproaching { days_left: 3, life_due, .. }]
        if *life_due == before_end(1)),
        "{told:?}"
    );
}

#[test]
fn the_notices_of_the_next_period_are_its_own() {
    let told = given::<Subscription>(active(1)).at(before_end(1)).when(pass()).events();
    let next = Period { number: 2, start: end(), end: end().plus(HOUR * 24 * 31) };
    let past = [active(1), told, vec![renewal(next), renewed(next)]].concat();
    let at = Timestamp::from_unix_millis(next.end.unix_millis() - 7 * DAY_MS);
    let told = given::<Subscription>(past).at(at).when(pass()).events();
    assert!(matches!(told.as_slice(), [SubscriptionEvent::SubscriptionEndApproaching { days_left: 7, period: 2, .. }]));
}

#[test]
fn at_its_end_it_is_renewed_once_however_late_the_timer_is() {
    for late in [Duration::ZERO, HOUR * 48, HOUR * 24 * 90] {
        let past = active(25_000);
        let events = given::<Subscription>(past.clone()).at(end().plus(late)).when(pass()).events();
        assert!(
            matches!(events.as_slice(), [SubscriptionEvent::SubscriptionRenewalStarted { period, .. }]
            if period.number == 2),
            "{events:?}"
        );
        given::<Subscription>([past, events].concat()).at(end().plus(late)).when(pass()).then_nothing();
    }
}

#[test]
fn what_nobody_wants_renewed_expires_at_its_end() {
    let events = given::<Subscription>(not_renewed()).at(end()).when(pass()).events();
    assert!(
        matches!(events.as_slice(), [SubscriptionEvent::SubscriptionExpired {
        cause: ExpiryCause::NotRenewed, held_slot: true, data_until: Some(until), amount: None, .. }]
        if *until == end().plus(RETENTION)),
        "{events:?}"
    );
}

#[test]
fn a_scheduled_end_comes_with_the_period_and_can_be_withdrawn() {
    let schedule = SubscriptionCommand::ScheduleCancellation { reason: customer() };
    let scheduled = given::<Subscription>(active(1)).when(schedule.clone()).events();
    assert!(matches!(scheduled.as_slice(), [SubscriptionEvent::SubscriptionCancellationScheduled { at, .. }]
        if *at == end()));
    let past = [active(1), scheduled].concat();
    given::<Subscription>(past.clone()).when(schedule.clone()).then_nothing();
    let over = given::<Subscription>(past.clone()).at(end()).when(pass()).events();
    assert!(
        matches!(
            over.as_slice(),
            [SubscriptionEvent::SubscriptionCancelled {
                reason: CancelReason::Customer { .. },
                data_until: Some(_),
                ..
            }]
        ),
        "{over:?}"
    );
    let keep = SubscriptionCommand::Configure { auto_renew: Some(true), overrides: None };
    given::<Subscription>(past.clone()).when(keep).then(vec![withdrawn()]);
    let goes_on = given::<Subscription>([past, vec![withdrawn()]].concat()).at(end()).when(pass()).events();
    assert!(matches!(goes_on.as_slice(), [SubscriptionEvent::SubscriptionRenewalStarted { .. }]));
    given::<Subscription>(active(1)).at(end()).when(schedule.clone()).then_refused(SubscriptionRefusal::PeriodOver);
    for past in [vec![requested(1)], provisioning(1), failed_and_refunded(1)] {
        given::<Subscription>(past).when(schedule.clone()).then_refused(SubscriptionRefusal::WrongState);
    }
}

#[test]
fn who_pays_for_more_does_not_want_it_to_end() {
    let scheduled = given::<Subscription>(active(25_000))
        .when(SubscriptionCommand::ScheduleCancellation { reason: customer() })
        .events();
    let next = Period { number: 2, start: end(), end: end().plus(HOUR * 24 * 31) };
    given::<Subscription>([active(25_000), scheduled, vec![renewal(next)]].concat())
        .when(SubscriptionCommand::ConfirmRenewal { period: 2 })
        .then(vec![renewed(next), withdrawn()]);
}

#[test]
fn w29_what_ended_keeps_its_data_for_one_time_and_then_it_is_deleted() {
    let expired = given::<Subscription>(not_renewed()).at(end()).when(pass()).events();
    let cancelled = given::<Subscription>(active(1)).at(end()).when(SubscriptionCommand::Cancel { reason: customer() });
    for (mut past, ran_out) in [(expired, true), (cancelled.events(), false)] {
        past = [if ran_out { not_renewed() } else { active(1) }, past].concat();
        let until = end().plus(RETENTION);
        for days in [7_u8, 3, 1] {
            let at = Timestamp::from_unix_millis(until.unix_millis() - i64::from(days) * DAY_MS);
            let told = given::<Subscription>(past.clone()).at(at).when(pass()).events();
            assert!(
                matches!(told.as_slice(), [SubscriptionEvent::SubscriptionDataEndApproaching { days_left, data_until, .. }]
                if *days_left == days && *data_until == until),
                "{told:?}"
            );
            past.extend(told);
        }
        let purged = given::<Subscription>(past.clone()).at(until).when(pass()).events();
        let [SubscriptionEvent::SubscriptionPurged { expired, .. }] = purged.as_slice() else { panic!("{purged:?}") };
        assert_eq!(*expired, ran_out);
        let releases = Subscription::consequences("s", &purged[0]);
        assert_eq!(releases.contains(&Consequence::Release { key: "live/ani/n8n".into() }), ran_out, "{releases:?}");
        past.extend(purged);
        given::<Subscription>(past.clone()).at(until).when(pass()).then_nothing();
        for command in [SubscriptionCommand::StartRenewal, SubscriptionCommand::Cancel { reason: customer() }] {
            given::<Subscription>(past.clone()).when(command).then_refused(SubscriptionRefusal::WrongState);
        }
    }
}

#[test]
fn what_never_ran_has_no_data_to_keep() {
    for past in [vec![requested(1)], provisioning(1)] {
        let events = given::<Subscription>(past).when(SubscriptionCommand::Cancel { reason: customer() }).events();
        assert!(matches!(events.last(), Some(SubscriptionEvent::SubscriptionCancelled { data_until: None, .. })));
    }
}

#[test]
fn what_is_suspended_is_not_charged_and_runs_out_after_the_grace() {
    let suspended =
        given::<Subscription>(active(1)).when(SubscriptionCommand::Suspend { reason: Sensitive::Forgotten }).events();
    let past = [active(1), suspended].concat();
    for early in [before_end(7), end()] {
        given::<Subscription>(past.clone()).at(early).when(pass()).then_nothing();
    }
    let events = given::<Subscription>(past).at(end().plus(GRACE)).when(pass()).events();
    assert!(matches!(
        events.as_slice(),
        [SubscriptionEvent::SubscriptionExpired { cause: ExpiryCause::NotRenewed, held_slot: false, .. }]
    ));
}

#[test]
fn one_timer_looks_at_its_life_and_its_command_reads_back() {
    let timer = |event: &SubscriptionEvent| {
        Subscription::consequences("s", event).into_iter().find_map(|consequence| match consequence {
            Consequence::SetTimer { id, due, command, .. } if id == "subscription/s/life" => Some((due, command)),
            _ => None,
        })
    };
    let (due, command) = timer(&activated()).expect("a timer");
    assert_eq!(due, before_end(7));
    let command: AnyCommand = serde_json::from_value(command).expect("a command");
    assert_eq!(command, AnyCommand::Subscription(SubscriptionCommand::PassMilestone));
    let expired = given::<Subscription>(not_renewed()).at(end()).when(pass()).events();
    let until = end().plus(RETENTION);
    let first = Timestamp::from_unix_millis(until.unix_millis() - 7 * DAY_MS);
    assert_eq!(timer(&expired[0]).map(|(due, _)| due), Some(first));
}

const HOUR: Duration = Duration::from_hours(1);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn pass() -> SubscriptionCommand {
    SubscriptionCommand::PassMilestone
}

fn end() -> Timestamp {
    first_period().end
}

fn before_end(days: i64) -> Timestamp {
    Timestamp::from_unix_millis(end().unix_millis() - days * DAY_MS)
}

fn not_renewed() -> Vec<SubscriptionEvent> {
    let off = SubscriptionEvent::SubscriptionAutoRenewChanged {
        user_id: "ani".into(),
        auto_renew: false,
        occurred_at: noon(),
    };
    [active(1), vec![off]].concat()
}

fn withdrawn() -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionCancellationWithdrawn { user_id: "ani".into(), occurred_at: noon() }
}
