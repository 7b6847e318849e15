//! Stories of subscriptions: the way forward, and every way back.

use minispod_kernel::{Sensitive, Timestamp};
use time::macros::datetime;

use super::*;

mod changing;
mod discounting;
mod life;
mod renewing;
mod settings;
mod standing;

use crate::{
    AnyCommand,
    story::{given, given_nothing, noon},
};

#[test]
fn a_request_claims_the_offering_and_the_subdomain() {
    given_nothing::<Subscription>().when(request(25_000)).then(vec![requested(25_000)]);
    assert_eq!(
        Subscription::consequences("s", &requested(25_000)),
        vec![
            Consequence::Hold { key: "live/ani/n8n".into() },
            Consequence::Hold { key: "subdomain/n8n/ani-flows".into() }
        ]
    );
    given::<Subscription>(vec![requested(1)]).when(request(1)).then_refused(SubscriptionRefusal::AlreadyRequested);
}

#[test]
fn a_request_must_keep_the_rules() {
    for subdomain in ["ab", "Ani", "-ani", "ani-", "a.b.c", "", &"a".repeat(41)] {
        given_nothing::<Subscription>()
            .when(request_with(1, subdomain, &[]))
            .then_refused(SubscriptionRefusal::InvalidSubdomain);
    }
    given_nothing::<Subscription>().when(request(-1)).then_refused(SubscriptionRefusal::NegativePrice);
    let numbered: Vec<String> = (0..=MAX_OVERRIDES).map(|number| format!("NAME_{number:03}")).collect();
    let many: Vec<&str> = numbered.iter().map(String::as_str).collect();
    for overrides in [&["NOT-A-NAME"][..], &["B", "A"], &["A", "A"], &many] {
        given_nothing::<Subscription>()
            .when(request_with(1, "ani", overrides))
            .then_refused(SubscriptionRefusal::InvalidOverrides);
    }
}

#[test]
fn nothing_can_be_asked_of_a_subscription_that_does_not_exist() {
    given_nothing::<Subscription>().when(SubscriptionCommand::StartRenewal).then_refused(SubscriptionRefusal::NotFound);
}

#[test]
fn slot_charge_and_provisioning_follow_one_another() {
    given::<Subscription>(vec![requested(25_000)]).when(confirm_slot()).then(vec![slot_held(25_000)]);
    let events = given::<Subscription>(vec![requested(25_000), slot_held(25_000)])
        .when(SubscriptionCommand::ConfirmCharge)
        .events();
    let [
        SubscriptionEvent::SubscriptionCharged { amount, .. },
        SubscriptionEvent::SubscriptionProvisioningStarted { deadline, .. },
    ] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!(*amount, Rupiah::new(25_000));
    assert_eq!(*deadline, noon().plus(PROVISIONING_DEADLINE));
}

#[test]
fn confirming_twice_changes_nothing_whatever_happened_since() {
    for past in [provisioning(25_000), active(25_000), failed_and_refunded(25_000)] {
        given::<Subscription>(past.clone()).when(confirm_slot()).then_nothing();
        given::<Subscription>(past).when(SubscriptionCommand::ConfirmCharge).then_nothing();
    }
}

#[test]
fn a_slot_or_a_charge_that_comes_after_the_end_is_refused_so_that_it_goes_back() {
    let past = vec![requested(25_000), cancelled(false, 0, customer())];
    given::<Subscription>(past.clone()).when(confirm_slot()).then_refused(SubscriptionRefusal::WrongState);
    given::<Subscription>(past).when(SubscriptionCommand::ConfirmCharge).then_refused(SubscriptionRefusal::WrongState);
}

#[test]
fn the_deadline_is_a_timer_that_activation_or_failure_forgets() {
    let started = provisioning(25_000).pop().expect("started");
    let timers = Subscription::consequences("s", &started);
    let [Consequence::SetTimer { id, due, command, .. }] = timers.as_slice() else { panic!("{timers:?}") };
    assert_eq!((id.as_str(), *due), ("subscription/s/deadline", noon().plus(PROVISIONING_DEADLINE)));
    let command: AnyCommand = serde_json::from_value(command.clone()).expect("a command");
    assert_eq!(command, AnyCommand::Subscription(SubscriptionCommand::PassDeadline));
    for event in [activated(), provisioning_failed(25_000)] {
        let forget = Consequence::CancelTimer { id: "subscription/s/deadline".into() };
        assert_eq!(Subscription::consequences("s", &event)[0], forget);
    }
}

#[test]
fn a_refused_first_step_ends_it_and_gives_back_what_it_held() {
    let reject = |reason| SubscriptionCommand::Reject { reason };
    given::<Subscription>(vec![requested(25_000)]).when(reject(CancelReason::SoldOut)).then(vec![cancelled(
        false,
        0,
        CancelReason::SoldOut,
    )]);
    given::<Subscription>(vec![requested(25_000), slot_held(25_000)])
        .when(reject(CancelReason::InsufficientBalance))
        .then(vec![cancelled(true, 0, CancelReason::InsufficientBalance)]);
    given::<Subscription>(vec![requested(25_000), cancelled(false, 0, CancelReason::SoldOut)])
        .when(reject(CancelReason::SoldOut))
        .then_nothing();
    given::<Subscription>(active(25_000))
        .when(reject(CancelReason::SoldOut))
        .then_refused(SubscriptionRefusal::WrongState);
}

#[test]
fn the_end_gives_the_offering_and_the_subdomain_free() {
    assert_eq!(
        Subscription::consequences("s", &cancelled(true, 0, customer())),
        vec![
            Consequence::Release { key: "live/ani/n8n".into() },
            Consequence::Release { key: "subdomain/n8n/ani-flows".into() }
        ]
    );
}

#[test]
fn the_period_runs_from_activation_on_the_jakarta_day() {
    let late = Timestamp::new(datetime!(2027-01-30 18:30 UTC));
    let events = given::<Subscription>(provisioning(25_000)).at(late).when(activate()).events();
    let [SubscriptionEvent::SubscriptionActivated { period, anchor_day, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(*anchor_day, 31);
    assert_eq!(period.end, Timestamp::new(datetime!(2027-02-28 01:30 +7)));
    given::<Subscription>(active(25_000)).when(activate()).then_nothing();
}

#[test]
fn a_failure_refunds_then_ends() {
    let fail = SubscriptionCommand::FailProvisioning { detail: "no image".into() };
    given::<Subscription>(provisioning(25_000)).when(fail.clone()).then(vec![provisioning_failed(25_000)]);
    let compensating = [provisioning(25_000), vec![provisioning_failed(25_000)]].concat();
    given::<Subscription>(compensating.clone())
        .when(SubscriptionCommand::ConfirmRefund { period: 1 })
        .then(vec![refunded(25_000), cancelled(true, 25_000, no_image())]);
    given::<Subscription>(compensating).when(fail.clone()).then_nothing();
    given::<Subscription>(failed_and_refunded(25_000)).when(fail).then_nothing();
    given::<Subscription>(failed_and_refunded(25_000))
        .when(SubscriptionCommand::ConfirmRefund { period: 1 })
        .then_nothing();
}

#[test]
fn a_free_service_that_fails_ends_at_once() {
    given::<Subscription>(provisioning(0))
        .when(SubscriptionCommand::FailProvisioning { detail: "no image".into() })
        .then(vec![provisioning_failed(0), cancelled(true, 0, no_image())]);
}

#[test]
fn the_deadline_fails_what_is_not_ready_and_leaves_what_is() {
    let events = given::<Subscription>(provisioning(25_000)).when(SubscriptionCommand::PassDeadline).events();
    assert!(matches!(events.as_slice(), [SubscriptionEvent::SubscriptionProvisioningFailed { .. }]));
    for past in [active(25_000), failed_and_refunded(25_000)] {
        given::<Subscription>(past).when(SubscriptionCommand::PassDeadline).then_nothing();
    }
}

#[test]
fn what_is_refunded_is_never_activated_and_what_is_active_never_fails() {
    let compensating = [provisioning(25_000), vec![provisioning_failed(25_000)]].concat();
    for past in [compensating, failed_and_refunded(25_000), vec![requested(25_000)]] {
        given::<Subscription>(past).when(activate()).then_refused(SubscriptionRefusal::WrongState);
    }
    given::<Subscription>(active(25_000))
        .when(SubscriptionCommand::FailProvisioning { detail: "late".into() })
        .then_refused(SubscriptionRefusal::WrongState);
}

#[test]
fn cancelling_ends_an_active_subscription_without_a_refund() {
    let cancel = SubscriptionCommand::Cancel { reason: customer() };
    given::<Subscription>(active(25_000)).when(cancel.clone()).then(vec![cancelled_later(true, customer())]);
    given::<Subscription>([active(25_000), vec![cancelled(true, 0, customer())]].concat()).when(cancel).then_nothing();
}

#[test]
fn cancelling_what_was_never_ready_gives_the_money_back() {
    let events =
        given::<Subscription>(provisioning(25_000)).when(SubscriptionCommand::Cancel { reason: customer() }).events();
    let [SubscriptionEvent::SubscriptionProvisioningFailed { refund, .. }, end] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((*refund, end), (Rupiah::new(25_000), &cancelled(true, 25_000, customer())));
    let past = [provisioning(25_000), events].concat();
    given::<Subscription>(past.clone())
        .when(SubscriptionCommand::ConfirmRefund { period: 1 })
        .then(vec![refunded(25_000)]);
    given::<Subscription>([past, vec![refunded(25_000)]].concat())
        .when(SubscriptionCommand::ConfirmRefund { period: 1 })
        .then_nothing();
}

#[test]
fn renewals_follow_one_another_on_the_anchor_day() {
    let mut past = active(25_000);
    let end = Timestamp::new(datetime!(2026-12-22 10:00 +7));
    let next = Timestamp::new(datetime!(2027-01-22 10:00 +7));
    let period = Period { number: 2, start: end, end: next };
    given::<Subscription>(past.clone()).when(SubscriptionCommand::StartRenewal).then(vec![renewal(period)]);
    past.push(renewal(period));
    given::<Subscription>(past.clone()).when(SubscriptionCommand::StartRenewal).then_nothing();
    given::<Subscription>(past.clone())
        .when(SubscriptionCommand::ConfirmRenewal { period: 2 })
        .then(vec![renewed(period)]);
    past.push(renewed(period));
    given::<Subscription>(past.clone()).when(SubscriptionCommand::ConfirmRenewal { period: 2 }).then_nothing();
    let events = given::<Subscription>(past).when(SubscriptionCommand::StartRenewal).events();
    assert!(matches!(events.as_slice(), [SubscriptionEvent::SubscriptionRenewalStarted { period, .. }]
        if period.number == 3 && period.start == next));
}

#[test]
fn a_renewal_in_grace_leaves_no_gap_and_a_later_one_begins_today() {
    let in_grace = Timestamp::new(datetime!(2026-12-24 10:00 +7));
    let much_later = Timestamp::new(datetime!(2027-03-05 10:00 +7));
    for (now, start) in [(in_grace, datetime!(2026-12-22 10:00 +7)), (much_later, datetime!(2027-03-05 10:00 +7))] {
        let events = given::<Subscription>(active(25_000)).at(now).when(SubscriptionCommand::StartRenewal).events();
        assert!(
            matches!(events.as_slice(), [SubscriptionEvent::SubscriptionRenewalStarted { period, .. }]
                if period.start == Timestamp::new(start)),
            "{events:?}"
        );
    }
}

#[test]
fn a_yearly_cycle_runs_twelve_months() {
    let events = given::<Subscription>(vec![yearly(requested(300_000)), slot_held(300_000)])
        .when(SubscriptionCommand::ConfirmCharge)
        .events();
    assert!(matches!(&events[0], SubscriptionEvent::SubscriptionCharged { period, .. }
            if period.end == Timestamp::new(datetime!(2027-11-22 10:00 +7))));
}

#[test]
fn a_renewal_that_fails_may_be_tried_again() {
    let period = Period { number: 2, start: noon(), end: noon() };
    let past = [active(25_000), vec![renewal(period)]].concat();
    let fail = SubscriptionCommand::FailRenewal { period: 2, code: "wallet-insufficient-balance".into() };
    let failed = SubscriptionEvent::SubscriptionRenewalFailed {
        user_id: "ani".into(),
        period: 2,
        code: "wallet-insufficient-balance".into(),
        life_due: Some(Timestamp::new(datetime!(2026-12-15 10:00 +7))),
        occurred_at: noon(),
    };
    given::<Subscription>(past.clone()).when(fail.clone()).then(vec![failed.clone()]);
    let past = [past, vec![failed]].concat();
    given::<Subscription>(past.clone()).when(fail).then_nothing();
    assert_eq!(given::<Subscription>(past).when(SubscriptionCommand::StartRenewal).events().len(), 1);
}

#[test]
fn only_an_active_subscription_is_renewed() {
    for past in [vec![requested(1)], provisioning(1), failed_and_refunded(1)] {
        given::<Subscription>(past)
            .when(SubscriptionCommand::StartRenewal)
            .then_refused(SubscriptionRefusal::WrongState);
    }
}

#[test]
fn a_renewal_paid_after_the_end_is_refused_so_that_the_money_goes_back() {
    let period = Period { number: 2, start: noon(), end: noon() };
    let past = [active(25_000), vec![renewal(period), cancelled(true, 0, customer())]].concat();
    given::<Subscription>(past)
        .when(SubscriptionCommand::ConfirmRenewal { period: 2 })
        .then_refused(SubscriptionRefusal::WrongState);
}

fn customer() -> CancelReason {
    CancelReason::Customer { text: Sensitive::Open("no longer needed".into()) }
}

fn no_image() -> CancelReason {
    CancelReason::ProvisioningFailed { detail: "no image".into() }
}

fn snapshot(price: i64) -> PlanSnapshot {
    let details = crate::plan::details::tests::n8n();
    crate::plan::details::snapshot("p", &details, Rupiah::new(price), BillingCycle::Monthly).expect("counts")
}

fn request(price: i64) -> SubscriptionCommand {
    request_with(price, "ani-flows", &[])
}

fn request_with(price: i64, subdomain: &str, overrides: &[&str]) -> SubscriptionCommand {
    SubscriptionCommand::Request {
        user_id: "ani".into(),
        instance_id: "i".into(),
        plan: snapshot(price),
        cycle: BillingCycle::Monthly,
        subdomain: subdomain.into(),
        overrides: overrides.iter().map(|name| (*name).to_owned()).collect(),
        auto_renew: true,
        coupon_id: None,
    }
}

fn requested(price: i64) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionRequested {
        user_id: "ani".into(),
        instance_id: "i".into(),
        plan: snapshot(price),
        cycle: BillingCycle::Monthly,
        subdomain: "ani-flows".into(),
        overrides: Vec::new(),
        auto_renew: true,
        coupon_id: None,
        occurred_at: noon(),
    }
}

fn yearly(mut event: SubscriptionEvent) -> SubscriptionEvent {
    if let SubscriptionEvent::SubscriptionRequested { cycle, .. } = &mut event {
        *cycle = BillingCycle::Yearly;
    }
    event
}

fn slot_held(price: i64) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionSlotHeld {
        user_id: "ani".into(),
        price: Rupiah::new(price),
        coupon: None,
        occurred_at: noon(),
    }
}

fn first_period() -> Period {
    Period { number: 1, start: noon(), end: Timestamp::new(datetime!(2026-12-22 10:00 +7)) }
}

fn provisioning(price: i64) -> Vec<SubscriptionEvent> {
    let charged = SubscriptionEvent::SubscriptionCharged {
        user_id: "ani".into(),
        display_name: "N8N - Basic".into(),
        amount: Rupiah::new(price),
        discount: Rupiah::ZERO,
        period: first_period(),
        occurred_at: noon(),
    };
    let started = SubscriptionEvent::SubscriptionProvisioningStarted {
        user_id: "ani".into(),
        instance_id: "i".into(),
        plan: snapshot(price),
        subdomain: "ani-flows".into(),
        overrides: Vec::new(),
        deadline: noon().plus(PROVISIONING_DEADLINE),
        occurred_at: noon(),
    };
    vec![requested(price), slot_held(price), charged, started]
}

fn activate() -> SubscriptionCommand {
    SubscriptionCommand::Activate { external_url: "https://ani-flows.n8n.example".into() }
}

fn activated() -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionActivated {
        user_id: "ani".into(),
        display_name: "N8N - Basic".into(),
        period: first_period(),
        anchor_day: 22,
        external_url: "https://ani-flows.n8n.example".into(),
        occurred_at: noon(),
    }
}

fn active(price: i64) -> Vec<SubscriptionEvent> {
    [provisioning(price), vec![activated()]].concat()
}

fn provisioning_failed(refund: i64) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionProvisioningFailed {
        user_id: "ani".into(),
        instance_id: "i".into(),
        detail: "no image".into(),
        refund: Rupiah::new(refund),
        occurred_at: noon(),
    }
}

fn refunded(amount: i64) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionRefunded {
        user_id: "ani".into(),
        display_name: "N8N - Basic".into(),
        amount: Rupiah::new(amount),
        period: 1,
        occurred_at: noon(),
    }
}

fn failed_and_refunded(price: i64) -> Vec<SubscriptionEvent> {
    let end = vec![provisioning_failed(price), refunded(price), cancelled(true, price, no_image())];
    [provisioning(price), end].concat()
}

fn confirm_slot() -> SubscriptionCommand {
    SubscriptionCommand::ConfirmSlot { plan_id: None }
}

/// The end of what ran: its data is kept for the retention time.
fn cancelled_later(held_slot: bool, by: CancelReason) -> SubscriptionEvent {
    let mut end = cancelled(held_slot, 0, by);
    if let SubscriptionEvent::SubscriptionCancelled { data_until, .. } = &mut end {
        *data_until = Some(noon().plus(RETENTION));
    }
    end
}

fn cancelled(held_slot: bool, refunded: i64, reason: CancelReason) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionCancelled {
        user_id: "ani".into(),
        instance_id: "i".into(),
        plan_id: "p".into(),
        offering: "n8n".into(),
        subdomain: "ani-flows".into(),
        display_name: "N8N - Basic".into(),
        held_slot,
        refunded: Rupiah::new(refunded),
        reason,
        returned_coupon_id: None,
        data_until: None,
        occurred_at: noon(),
    }
}

fn renewal(period: Period) -> SubscriptionEvent {
    let amount = Rupiah::new(25_000);
    SubscriptionEvent::SubscriptionRenewalStarted { user_id: "ani".into(), period, amount, occurred_at: noon() }
}

fn renewed(period: Period) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionRenewed {
        user_id: "ani".into(),
        display_name: "N8N - Basic".into(),
        period,
        amount: Rupiah::new(25_000),
        occurred_at: noon(),
    }
}
