//! Stories of sales with a coupon: less for the first period, full price after it, and the use back when it never ran.

use minispod_events::{CouponAsked, Discount};

use super::*;

const HALF: Discount = Discount::Percent { percent: 50 };

fn asked() -> SubscriptionEvent {
    let mut event = requested(25_000);
    if let SubscriptionEvent::SubscriptionRequested { coupon_id, .. } = &mut event {
        *coupon_id = Some("c".into());
    }
    event
}

fn held() -> SubscriptionEvent {
    let mut event = slot_held(25_000);
    if let SubscriptionEvent::SubscriptionSlotHeld { coupon, .. } = &mut event {
        let (offering, variant) = ("n8n".to_owned(), snapshot(1).variant);
        *coupon = Some(CouponAsked { coupon_id: "c".into(), offering, variant, cycle: BillingCycle::Monthly });
    }
    event
}

fn discounted(discount: i64) -> SubscriptionEvent {
    SubscriptionEvent::SubscriptionDiscounted {
        user_id: "ani".into(),
        coupon_id: "c".into(),
        less: HALF,
        list_price: Rupiah::new(25_000),
        discount: Rupiah::new(discount),
        price: Rupiah::new(25_000 - discount),
        occurred_at: noon(),
    }
}

fn apply(coupon_id: &str, less: Discount) -> SubscriptionCommand {
    SubscriptionCommand::ApplyDiscount { coupon_id: coupon_id.into(), less }
}

/// The past and what each command made of it.
fn after(past: Vec<SubscriptionEvent>, commands: Vec<SubscriptionCommand>) -> Vec<SubscriptionEvent> {
    commands.into_iter().fold(past, |past, command| {
        let events = given::<Subscription>(past.clone()).when(command).events();
        [past, events].concat()
    })
}

fn returned(events: &[SubscriptionEvent]) -> Vec<Option<String>> {
    let of = |event: &SubscriptionEvent| match event {
        SubscriptionEvent::SubscriptionCancelled { returned_coupon_id, .. } => Some(returned_coupon_id.clone()),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

fn provisioning_for_half() -> Vec<SubscriptionEvent> {
    after(vec![asked(), held(), discounted(12_500)], vec![SubscriptionCommand::ConfirmCharge])
}

fn active_for_half() -> Vec<SubscriptionEvent> {
    after(provisioning_for_half(), vec![SubscriptionCommand::Activate { external_url: "https://flows".into() }])
}

#[test]
fn the_coupon_is_asked_for_with_the_slot_and_applied_once() {
    given::<Subscription>(vec![asked()]).when(confirm_slot()).then(vec![held()]);
    given::<Subscription>(vec![asked(), held()]).when(apply("c", HALF)).then(vec![discounted(12_500)]);
    given::<Subscription>(vec![asked(), held(), discounted(12_500)])
        .when(apply("c", HALF))
        .then_refused(SubscriptionRefusal::WrongState);
}

#[test]
fn a_discount_that_comes_too_early_too_late_or_of_another_coupon_is_refused_so_that_it_goes_back() {
    let ended = vec![asked(), held(), cancelled(true, 0, customer())];
    for past in [vec![asked()], ended, provisioning_for_half(), active_for_half()] {
        given::<Subscription>(past).when(apply("c", HALF)).then_refused(SubscriptionRefusal::WrongState);
    }
    given::<Subscription>(vec![asked(), held()])
        .when(apply("other", HALF))
        .then_refused(SubscriptionRefusal::WrongState);
    given::<Subscription>(vec![requested(25_000), slot_held(25_000)])
        .when(apply("c", HALF))
        .then_refused(SubscriptionRefusal::WrongState);
}

#[test]
fn what_is_charged_and_given_back_is_what_it_cost() {
    let charged = provisioning_for_half();
    let [.., SubscriptionEvent::SubscriptionCharged { amount, discount, .. }, _] = charged.as_slice() else {
        panic!("{charged:?}")
    };
    assert_eq!((amount.amount(), discount.amount()), (12_500, 12_500));
    let fail = SubscriptionCommand::FailProvisioning { detail: "no image".into() };
    let failed = given::<Subscription>(charged.clone()).when(fail.clone()).events();
    assert!(matches!(failed.as_slice(),
        [SubscriptionEvent::SubscriptionProvisioningFailed { refund, .. }] if refund.amount() == 12_500));
    let ended = after(charged, vec![fail, SubscriptionCommand::ConfirmRefund { period: 1 }]);
    assert_eq!(returned(&ended), [Some("c".to_owned())]);
}

#[test]
fn what_cost_nothing_ends_at_once_and_gives_the_use_back() {
    let past = after(vec![asked(), held()], vec![apply("c", Discount::FreePeriod), SubscriptionCommand::ConfirmCharge]);
    let fail = SubscriptionCommand::FailProvisioning { detail: "no image".into() };
    let ended = given::<Subscription>(past).when(fail).events();
    assert_eq!(returned(&ended), [Some("c".to_owned())]);
}

#[test]
fn a_use_goes_back_only_when_it_was_taken_and_nothing_ran() {
    let reject = SubscriptionCommand::Reject { reason: CancelReason::InsufficientBalance };
    let cancel = SubscriptionCommand::Cancel { reason: customer() };
    let ends = |past, command| returned(&given::<Subscription>(past).when(command).events());
    let taken = || vec![asked(), held(), discounted(12_500)];
    assert_eq!(ends(taken(), reject.clone()), [Some("c".to_owned())]);
    assert_eq!(ends(taken(), cancel.clone()), [Some("c".to_owned())]);
    assert_eq!(ends(provisioning_for_half(), cancel.clone()), [Some("c".to_owned())]);
    // The coupon's own refusal: there is nothing to give back.
    assert_eq!(ends(vec![asked(), held()], reject), [None]);
    assert_eq!(ends(active_for_half(), cancel), [None]);
}

#[test]
fn the_next_period_costs_what_the_plan_does() {
    let renewed = renewed_ahead();
    let amounts = renewed.iter().filter_map(|event| match event {
        SubscriptionEvent::SubscriptionRenewed { amount, .. } => Some(amount.amount()),
        _ => None,
    });
    assert_eq!(amounts.collect::<Vec<_>>(), [25_000]);
    // While both run, one price would count what was never paid; then the full one counts.
    given::<Subscription>(renewed.clone()).when(to_a_dearer_plan()).then_refused(SubscriptionRefusal::DiscountedPeriod);
    let over = noon().plus_months(1, noon().jakarta_date().day());
    assert_eq!(old_price_of_a_change(renewed, over), 25_000);
}

fn renewed_ahead() -> Vec<SubscriptionEvent> {
    let commands = vec![SubscriptionCommand::StartRenewal, SubscriptionCommand::ConfirmRenewal { period: 2 }];
    after(active_for_half(), commands)
}

fn to_a_dearer_plan() -> SubscriptionCommand {
    let to = PlanSnapshot { plan_id: "dear".into(), ..snapshot(50_000) };
    SubscriptionCommand::ChangePlan { to, by_administrator: false, reason: None }
}

/// What a change of plan counts as the price of the current period.
fn old_price_of_a_change(past: Vec<SubscriptionEvent>, now: Timestamp) -> i64 {
    let events = given::<Subscription>(past).at(now).when(to_a_dearer_plan()).events();
    let [SubscriptionEvent::SubscriptionPlanChangeStarted { proration, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    proration.old_price.amount()
}

#[test]
fn another_plan_counts_what_was_paid_of_the_period_and_not_what_it_lists_at() {
    assert_eq!(old_price_of_a_change(active_for_half(), noon()), 12_500);
    let events = given::<Subscription>(active_for_half()).when(to_a_dearer_plan()).events();
    let [SubscriptionEvent::SubscriptionPlanChangeStarted { proration, direction, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((proration.old_price.amount(), proration.net.amount()), (12_500, 37_500));
    assert_eq!(*direction, minispod_events::PlanChangeDirection::Upgrade);
}
