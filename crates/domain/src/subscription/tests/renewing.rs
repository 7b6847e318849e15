//! Stories of renewals: not covered, in grace, after the end, and by money that arrives.

use std::time::Duration;

use minispod_events::ExpiryCause;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn what_is_not_covered_at_its_end_runs_on_for_the_grace_which_begins_once() {
    let past = in_grace();
    let Some(SubscriptionEvent::SubscriptionGraceStarted { until, period: 2, amount, .. }) = past.last() else {
        panic!("{past:?}")
    };
    assert_eq!((*until, *amount), (end().plus(GRACE), Rupiah::new(25_000)));
    let again = follow(past, end().plus(HOUR), SubscriptionCommand::StartRenewal);
    let events = given::<Subscription>(again).at(end().plus(HOUR)).when(fail(2)).events();
    assert!(
        matches!(events.as_slice(), [SubscriptionEvent::SubscriptionRenewalFailed { life_due: None, .. }]),
        "{events:?}"
    );
}

#[test]
fn at_the_end_of_the_grace_it_tries_once_more_and_then_runs_out_unpaid() {
    let until = end().plus(GRACE);
    given::<Subscription>(in_grace()).at(end().plus(HOUR)).when(SubscriptionCommand::PassMilestone).then_nothing();
    let last = follow(in_grace(), until, SubscriptionCommand::PassMilestone);
    assert!(matches!(last.last(), Some(SubscriptionEvent::SubscriptionRenewalStarted { period, .. })
        if period.start == end() && period.number == 2));
    let events = given::<Subscription>(last).at(until).when(fail(2)).events();
    assert!(
        matches!(
            events.as_slice(),
            [
                SubscriptionEvent::SubscriptionRenewalFailed { .. },
                SubscriptionEvent::SubscriptionExpired {
                    cause: ExpiryCause::Unpaid,
                    held_slot: true,
                    amount: Some(_),
                    ..
                }
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn an_outage_longer_than_the_grace_leaves_one_try() {
    let late = end().plus(GRACE + HOUR);
    let tried = follow(active(25_000), late, SubscriptionCommand::PassMilestone);
    let events = given::<Subscription>(tried).at(late).when(fail(2)).events();
    assert!(matches!(
        events.as_slice(),
        [_, SubscriptionEvent::SubscriptionExpired { cause: ExpiryCause::Unpaid, .. }]
    ));
}

#[test]
fn a_renewal_by_hand_that_meets_the_wished_for_end_and_fails_ends_it() {
    let scheduled = SubscriptionCommand::ScheduleCancellation { reason: customer() };
    let past = follow(active(25_000), noon(), scheduled);
    let tried = follow(past, end(), SubscriptionCommand::StartRenewal);
    let events = given::<Subscription>(tried).at(end()).when(fail(2)).events();
    assert!(matches!(events.as_slice(), [_, SubscriptionEvent::SubscriptionCancelled { .. }]), "{events:?}");
}

#[test]
fn money_that_arrives_renews_what_it_let_down_and_nothing_else() {
    let funded = SubscriptionCommand::RenewFunded;
    let events = given::<Subscription>(in_grace()).at(end().plus(HOUR)).when(funded.clone()).events();
    assert!(matches!(events.as_slice(), [SubscriptionEvent::SubscriptionRenewalStarted { period, .. }]
        if period.start == end()));
    let events = given::<Subscription>(unpaid()).at(end().plus(GRACE + HOUR)).when(funded.clone()).events();
    assert!(
        matches!(events.as_slice(), [SubscriptionEvent::SubscriptionResumeStarted { renews: true, .. }]),
        "{events:?}"
    );
    let renewing = follow(in_grace(), end(), SubscriptionCommand::StartRenewal);
    let cancelled = follow(unpaid(), end(), SubscriptionCommand::Cancel { reason: customer() });
    let by_administrator =
        SubscriptionCommand::Expire { cause: ExpiryCause::Administrator { text: Sensitive::Forgotten } };
    let expired = follow(active(25_000), noon(), by_administrator);
    let off = SubscriptionCommand::Configure { auto_renew: Some(false), overrides: None };
    let unwanted = follow(in_grace(), end(), off);
    for past in [active(25_000), renewing, cancelled, expired, unwanted] {
        given::<Subscription>(past).at(end()).when(funded.clone()).then_nothing();
    }
}

#[test]
fn what_expired_takes_a_slot_then_pays_then_runs_from_today() {
    let now = end().plus(GRACE + HOUR * 24 * 10);
    let asked = follow(unpaid(), now, SubscriptionCommand::StartRenewal);
    assert!(matches!(asked.last(), Some(SubscriptionEvent::SubscriptionResumeStarted { renews: true, .. })));
    given::<Subscription>(asked.clone()).at(now).when(SubscriptionCommand::StartRenewal).then_nothing();
    let with_slot = follow(asked, now, confirm_slot());
    let Some(SubscriptionEvent::SubscriptionRenewalStarted { period, .. }) = with_slot.last() else {
        panic!("{with_slot:?}")
    };
    assert_eq!((period.number, period.start), (2, now));
    given::<Subscription>(with_slot.clone()).at(now).when(confirm_slot()).then_nothing();
    // Only the wallet's word ends it now.
    let late = SubscriptionCommand::FailResume { code: "subscription-resume-timed-out".into() };
    given::<Subscription>(with_slot.clone()).at(now).when(late).then_nothing();
    let confirm = SubscriptionCommand::ConfirmRenewal { period: 2 };
    let events = given::<Subscription>(with_slot).at(now).when(confirm).events();
    assert!(matches!(
        events.as_slice(),
        [SubscriptionEvent::SubscriptionRenewed { .. }, SubscriptionEvent::SubscriptionResumed { .. }]
    ));
}

#[test]
fn a_refused_charge_of_what_expired_gives_the_slot_back_and_it_may_be_tried_again() {
    let now = end().plus(GRACE + HOUR);
    let tried = follow(follow(unpaid(), now, SubscriptionCommand::StartRenewal), now, confirm_slot());
    let failed = follow(tried, now, fail(2));
    assert!(
        matches!(failed.last(), Some(SubscriptionEvent::SubscriptionResumeFailed { released_plan_id: Some(plan), .. })
        if plan == "p")
    );
    let again = given::<Subscription>(failed.clone()).at(now).when(SubscriptionCommand::StartRenewal).events();
    assert!(matches!(again.as_slice(), [SubscriptionEvent::SubscriptionResumeStarted { .. }]));
    let over = given::<Subscription>(failed).at(now).when(SubscriptionCommand::Cancel { reason: customer() }).events();
    assert!(matches!(over.as_slice(), [SubscriptionEvent::SubscriptionCancelled { held_slot: false, .. }]));
}

#[test]
fn what_money_came_for_asks_for_a_slot_again_until_it_has_one_or_nobody_wants_it() {
    let now = end().plus(GRACE + HOUR);
    let sold_out = || SubscriptionCommand::FailResume { code: "plan-sold-out".into() };
    let refused = follow(follow(unpaid(), now, SubscriptionCommand::RenewFunded), now, sold_out());
    let later = now.plus(super::super::standing::SLOT_RETRY);
    let Some(SubscriptionEvent::SubscriptionResumeFailed { life_due, .. }) = refused.last() else {
        panic!("{refused:?}")
    };
    assert_eq!(*life_due, Some(later));
    let asks = given::<Subscription>(refused.clone()).at(later).when(SubscriptionCommand::PassMilestone).events();
    assert!(matches!(asks.as_slice(), [SubscriptionEvent::SubscriptionResumeStarted { renews: true, .. }]), "{asks:?}");
    // A notice of the data's end and the question go together.
    let week = ends_of_data(&refused).0;
    let both = given::<Subscription>(refused.clone()).at(week).when(SubscriptionCommand::PassMilestone).events();
    assert!(matches!(
        both.as_slice(),
        [SubscriptionEvent::SubscriptionDataEndApproaching { .. }, SubscriptionEvent::SubscriptionResumeStarted { .. }]
    ));
    // Nobody wants it any more: it is asked no more, and its data still ends on its day.
    let off = SubscriptionCommand::Configure { auto_renew: Some(false), overrides: None };
    let unwanted = follow(follow(refused, now, off), later, SubscriptionCommand::PassMilestone);
    let Some(SubscriptionEvent::SubscriptionResumeFailed { life_due: Some(due), .. }) = unwanted.last() else {
        panic!("{unwanted:?}")
    };
    assert_eq!(*due, ends_of_data(&unwanted).0);
    given::<Subscription>(unwanted).at(later.plus(HOUR)).when(SubscriptionCommand::PassMilestone).then_nothing();
}

#[test]
fn what_the_wallet_let_down_again_waits_for_money_and_not_for_a_slot() {
    let now = end().plus(GRACE + HOUR);
    let tried = follow(follow(unpaid(), now, SubscriptionCommand::RenewFunded), now, confirm_slot());
    let failed = follow(tried, now, fail(2));
    let Some(SubscriptionEvent::SubscriptionResumeFailed { life_due, .. }) = failed.last() else {
        panic!("{failed:?}")
    };
    assert_eq!(*life_due, Some(ends_of_data(&failed).0));
}

/// When the first notice of the data's end is due, and that end.
fn ends_of_data(past: &[SubscriptionEvent]) -> (Timestamp, Timestamp) {
    let until = past.iter().find_map(|event| match event {
        SubscriptionEvent::SubscriptionExpired { data_until, .. } => *data_until,
        _ => None,
    });
    let until = until.expect("it has expired");
    (Timestamp::from_unix_millis(until.unix_millis() - 7 * 24 * 60 * 60 * 1_000), until)
}

#[test]
fn an_end_while_it_pays_gives_the_new_slot_back() {
    let now = end().plus(GRACE + HOUR);
    let pays = follow(follow(unpaid(), now, SubscriptionCommand::StartRenewal), now, confirm_slot());
    let over = follow(pays, now, SubscriptionCommand::Cancel { reason: customer() });
    assert!(matches!(over.last(), Some(SubscriptionEvent::SubscriptionCancelled { held_slot: true, .. })));
    given::<Subscription>(over)
        .when(SubscriptionCommand::ConfirmRenewal { period: 2 })
        .then_refused(SubscriptionRefusal::WrongState);
}

#[test]
fn what_an_administrator_resumes_is_not_renewed_meanwhile() {
    let expire = SubscriptionCommand::Expire { cause: ExpiryCause::Administrator { text: Sensitive::Forgotten } };
    let resume = SubscriptionCommand::StartResume { reason: Sensitive::Forgotten };
    let past = follow(follow(active(1), noon(), expire), noon(), resume);
    given::<Subscription>(past).when(SubscriptionCommand::StartRenewal).then_refused(SubscriptionRefusal::WrongState);
}

fn end() -> Timestamp {
    first_period().end
}

fn fail(period: u32) -> SubscriptionCommand {
    SubscriptionCommand::FailRenewal { period, code: "wallet-insufficient-balance".into() }
}

/// The past and what `command` adds to it.
fn follow(past: Vec<SubscriptionEvent>, at: Timestamp, command: SubscriptionCommand) -> Vec<SubscriptionEvent> {
    let events = given::<Subscription>(past.clone()).at(at).when(command).events();
    [past, events].concat()
}

fn in_grace() -> Vec<SubscriptionEvent> {
    follow(follow(active(25_000), end(), SubscriptionCommand::PassMilestone), end(), fail(2))
}

fn unpaid() -> Vec<SubscriptionEvent> {
    let until = end().plus(GRACE);
    follow(follow(in_grace(), until, SubscriptionCommand::PassMilestone), until, fail(2))
}
