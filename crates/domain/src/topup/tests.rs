//! Stories of top-ups: what the gateway says, and what becomes of the money.

use std::time::Duration;

use minispod_events::TopUpEvent;
use minispod_kernel::{Aggregate, Consequence, Rupiah, Timestamp};

use super::*;
use crate::story::{given, given_nothing, noon};

const ORDER: &str = "TU-t.1";
const SECOND: &str = "TU-t.2";
const AMOUNT: i64 = 150_000;

#[test]
fn a_top_up_begins_with_its_first_order_and_claims_it() {
    given_nothing::<TopUp>().of("t").when(request(AMOUNT)).then(vec![requested()]);
    assert_eq!(TopUp::consequences("t", &requested()), vec![Consequence::Hold { key: "order/TU-t.1".into() }]);
    given::<TopUp>(vec![requested()]).of("t").when(request(AMOUNT)).then_refused(TopUpRefusal::AlreadyRequested);
}

#[test]
fn a_top_up_is_ten_thousand_to_ten_million() {
    for amount in [9_999, 10_000_001, 0, -1] {
        given_nothing::<TopUp>().when(request(amount)).then_refused(TopUpRefusal::AmountOutOfRange);
    }
    for amount in [10_000, 10_000_000] {
        assert_eq!(given_nothing::<TopUp>().when(request(amount)).events().len(), 1);
    }
}

#[test]
fn nothing_can_be_asked_of_a_top_up_or_an_order_that_does_not_exist() {
    given_nothing::<TopUp>().when(apply(says("settlement"))).then_refused(TopUpRefusal::NotFound);
    let other = GatewayStatus { order_id: "TU-x.1".into(), ..says("settlement") };
    given::<TopUp>(vec![requested()]).when(apply(other)).then_refused(TopUpRefusal::UnknownOrder);
}

#[test]
fn an_answer_that_another_one_has_overtaken_is_refused_and_asked_for_again() {
    let deny_asked_after = |after| TopUpCommand::ApplyGatewayStatus { status: says("deny"), after: Some(after) };
    let paid = || given::<TopUp>(vec![requested(), confirmed(ORDER)]).of("t");
    paid().when(deny_asked_after(0)).then_refused(TopUpRefusal::StatusOvertaken);
    paid().when(deny_asked_after(1)).then(vec![reversed(AMOUNT)]);
    let again = crate::OnRefusal::AskGatewayAgain { topup_id: "t".into(), order_id: ORDER.into() };
    let request = again.to_request("effect.1.digest", "topup-status-overtaken");
    let crate::AnyCommand::TopUp(command) = request.command else { panic!("it goes to the top-up") };
    assert_eq!(paid().when(command).events().len(), 1, "a new look at the gateway is recorded");
}

#[test]
fn a_payment_page_is_given_once() {
    let command = TopUpCommand::RecordPaymentToken { order_id: ORDER.into() };
    let issued = TopUpEvent::TopUpPaymentTokenIssued { order_id: ORDER.into(), occurred_at: noon() };
    given::<TopUp>(vec![requested()]).when(command.clone()).then(vec![issued.clone()]);
    given::<TopUp>(vec![requested(), issued]).when(command).then_nothing();
}

#[test]
fn the_same_notification_is_recorded_once() {
    let command = TopUpCommand::RecordNotification { order_id: ORDER.into(), inbox_id: "hash".into() };
    let events = given::<TopUp>(vec![requested()]).when(command).events();
    assert_eq!(TopUp::consequences("t", &events[0]), vec![Consequence::Once { key: "notification/hash".into() }]);
}

#[test]
fn paying_again_waits_for_the_open_attempt_and_then_starts_another() {
    let again = TopUpCommand::StartAttempt { expires_at: end() };
    given::<TopUp>(vec![requested()]).of("t").when(again.clone()).then_nothing();
    given::<TopUp>(vec![requested(), denied()]).of("t").when(again.clone()).then(vec![attempt(2)]);
    given::<TopUp>(vec![requested(), denied(), attempt(2)]).of("t").when(again).then_nothing();
}

#[test]
fn an_attempt_whose_time_is_over_makes_way_for_another() {
    let events = given::<TopUp>(vec![requested()])
        .of("t")
        .at(end())
        .when(TopUpCommand::StartAttempt { expires_at: end() })
        .events();
    assert!(matches!(events.as_slice(), [TopUpEvent::TopUpAttemptStarted { attempt: 2, .. }]));
}

#[test]
fn what_is_paid_is_not_paid_again() {
    given::<TopUp>(vec![requested(), confirmed(ORDER)])
        .when(TopUpCommand::StartAttempt { expires_at: end() })
        .then_refused(TopUpRefusal::AlreadyPaid);
    given::<TopUp>(vec![requested(), confirmed(ORDER)])
        .at(end())
        .when(TopUpCommand::Expire { order_id: ORDER.into() })
        .then_refused(TopUpRefusal::AlreadyPaid);
}

#[test]
fn a_top_up_is_tried_ninety_nine_times_at_most() {
    let ended = |number| TopUpEvent::TopUpDenied { order_id: order_id("t", number), occurred_at: noon() };
    let past = (1..=MAX_ATTEMPTS).flat_map(|number| {
        let started = if number == 1 { requested() } else { attempt(number) };
        [started, ended(number)]
    });
    given::<TopUp>(past.collect())
        .of("t")
        .when(TopUpCommand::StartAttempt { expires_at: end() })
        .then_refused(TopUpRefusal::TooManyAttempts);
}

#[test]
fn an_order_the_gateway_never_saw_expires_by_our_clock_and_not_before() {
    let expire = TopUpCommand::Expire { order_id: ORDER.into() };
    given::<TopUp>(vec![requested()]).when(expire.clone()).then_refused(TopUpRefusal::OrderStillOpen);
    let expired = TopUpEvent::TopUpExpired { order_id: ORDER.into(), occurred_at: end() };
    given::<TopUp>(vec![requested()]).at(end()).when(expire.clone()).then(vec![expired.clone()]);
    given::<TopUp>(vec![requested(), expired]).at(end()).when(expire.clone()).then_nothing();
    given::<TopUp>(vec![requested(), pending()]).at(end()).when(expire).then_refused(TopUpRefusal::OrderStillOpen);
}

#[test]
fn a_settlement_credits_once_and_late_news_changes_nothing() {
    given::<TopUp>(vec![requested(), pending()]).when(apply(says("settlement"))).then(vec![confirmed(ORDER)]);
    for late in ["settlement", "capture", "pending"] {
        given::<TopUp>(vec![requested(), confirmed(ORDER)]).when(apply(says(late))).then_nothing();
    }
}

#[test]
fn a_denied_cancelled_or_expired_order_may_still_be_paid() {
    let cancelled = TopUpEvent::TopUpCancelled { order_id: ORDER.into(), occurred_at: noon() };
    let expired = TopUpEvent::TopUpExpired { order_id: ORDER.into(), occurred_at: noon() };
    for ended in [denied(), cancelled, expired] {
        given::<TopUp>(vec![requested(), ended]).when(apply(says("settlement"))).then(vec![confirmed(ORDER)]);
    }
}

#[test]
fn a_customer_cancels_what_is_not_paid_and_a_late_settlement_still_credits() {
    let withdrawn = TopUpEvent::TopUpWithdrawn { order_id: ORDER.into(), occurred_at: noon() };
    for past in [vec![requested()], vec![requested(), pending()], vec![requested(), denied()]] {
        given::<TopUp>(past.clone()).when(TopUpCommand::Withdraw).then(vec![withdrawn.clone()]);
        let past = [past, vec![withdrawn.clone()]].concat();
        given::<TopUp>(past.clone()).when(TopUpCommand::Withdraw).then_nothing();
        given::<TopUp>(past.clone()).when(apply(says("pending"))).then_nothing();
        given::<TopUp>(past.clone()).when(apply(says("settlement"))).then(vec![confirmed(ORDER)]);
        let again = TopUpCommand::StartAttempt { expires_at: end() };
        given::<TopUp>(past).of("t").when(again).then(vec![attempt(2)]);
    }
    let paid = vec![requested(), confirmed(ORDER)];
    given::<TopUp>(paid).when(TopUpCommand::Withdraw).then_refused(TopUpRefusal::AlreadyPaid);
    let held = TopUpEvent::TopUpHeld { order_id: ORDER.into(), payment_type: "qris".into(), occurred_at: noon() };
    given::<TopUp>(vec![requested(), held]).when(TopUpCommand::Withdraw).then_refused(TopUpRefusal::UnderReview);
}

#[test]
fn two_paid_attempts_are_both_credited() {
    let past = vec![requested(), denied(), attempt(2), confirmed(SECOND)];
    given::<TopUp>(past).when(apply(says("settlement"))).then(vec![confirmed(ORDER)]);
}

#[test]
fn a_denial_or_cancellation_after_payment_takes_everything_back_once() {
    let reversed = reversed(AMOUNT);
    for word in ["deny", "cancel"] {
        given::<TopUp>(vec![requested(), confirmed(ORDER)]).when(apply(says(word))).then(vec![reversed.clone()]);
        given::<TopUp>(vec![requested(), confirmed(ORDER), reversed.clone()]).when(apply(says(word))).then_nothing();
    }
}

#[test]
fn another_attempt_on_the_same_page_neither_reverses_nor_closes_what_is_paid() {
    let past = || given::<TopUp>(vec![requested(), confirmed(ORDER)]);
    for word in ["deny", "cancel", "expire", "failure", "pending", "authorize"] {
        past().when(apply(of_another(says(word)))).then_nothing();
    }
    // Its own transaction still does, and so does an answer that names none.
    past().when(apply(says("deny"))).then(vec![reversed(AMOUNT)]);
    let unnamed = GatewayStatus { transaction_id: String::new(), ..says("deny") };
    past().when(apply(unnamed)).then(vec![reversed(AMOUNT)]);
}

#[test]
fn money_of_another_transaction_is_for_a_person_to_look_at_once() {
    for status in [says("settlement"), with_refunds("partial_refund", &[("r1", 54_600, true)]), says("chargeback")] {
        let past = vec![requested(), confirmed(ORDER)];
        let events = given::<TopUp>(past.clone()).when(apply(of_another(status.clone()))).events();
        assert!(matches!(events.as_slice(), [TopUpEvent::TopUpQuarantined { .. }]), "{status:?}: {events:?}");
        given::<TopUp>([past, events].concat()).when(apply(of_another(status))).then_nothing();
    }
}

#[test]
fn an_order_that_another_transaction_was_denied_on_is_still_paid() {
    given::<TopUp>(vec![requested(), denied()]).when(apply(of_another(says("settlement")))).then(vec![
        TopUpEvent::TopUpConfirmed {
            user_id: "ani".into(),
            order_id: ORDER.into(),
            amount: Rupiah::new(AMOUNT),
            payment_type: "qris".into(),
            transaction_id: "another".into(),
            occurred_at: noon(),
        },
    ]);
}

#[test]
fn a_denial_after_a_partial_refund_takes_back_only_what_is_left() {
    given::<TopUp>(vec![requested(), confirmed(ORDER), refunded("r1", 50_000)])
        .when(apply(says("deny")))
        .then(vec![reversed(AMOUNT - 50_000)]);
}

#[test]
fn a_payment_after_its_reversal_is_for_a_person_to_look_at() {
    let past = vec![requested(), confirmed(ORDER), reversed(AMOUNT)];
    let events = given::<TopUp>(past.clone()).when(apply(says("settlement"))).events();
    assert!(matches!(events.as_slice(), [TopUpEvent::TopUpQuarantined { .. }]));
    given::<TopUp>([past, events].concat()).when(apply(says("settlement"))).then_nothing();
}

#[test]
fn an_expiry_after_payment_is_for_a_person_to_look_at() {
    let events = given::<TopUp>(vec![requested(), confirmed(ORDER)]).when(apply(says("expire"))).events();
    assert!(matches!(events.as_slice(), [TopUpEvent::TopUpQuarantined { .. }]));
}

#[test]
fn a_refund_takes_back_once_per_key_and_is_confirmed_by_the_second_notice() {
    let past = vec![requested(), confirmed(ORDER)];
    let first = with_refunds("partial_refund", &[("r1", 54_600, false)]);
    let second = with_refunds("partial_refund", &[("r1", 54_600, true)]);
    given::<TopUp>(past.clone()).when(apply(first.clone())).then(vec![refunded("r1", 54_600)]);
    let past = [past, vec![refunded("r1", 54_600)]].concat();
    given::<TopUp>(past.clone()).when(apply(first)).then_nothing();
    given::<TopUp>(past.clone()).when(apply(second.clone())).then(vec![bank_confirmed("r1")]);
    given::<TopUp>([past, vec![bank_confirmed("r1")]].concat()).when(apply(second)).then_nothing();
}

#[test]
fn partial_refunds_add_up_to_the_whole_and_never_beyond() {
    let past = vec![requested(), confirmed(ORDER), refunded("r1", 100_000)];
    let rest = with_refunds("refund", &[("r1", 100_000, false), ("r2", 50_000, false)]);
    given::<TopUp>(past.clone()).when(apply(rest)).then(vec![refunded("r2", 50_000)]);
    let beyond = with_refunds("partial_refund", &[("r1", 100_000, false), ("r2", 50_001, false)]);
    let events = given::<TopUp>(past).when(apply(beyond)).events();
    assert!(matches!(events.as_slice(), [TopUpEvent::TopUpQuarantined { .. }]));
}

#[test]
fn a_whole_refund_that_lists_nothing_takes_back_what_is_left() {
    let past = vec![requested(), confirmed(ORDER), refunded("r1", 54_600)];
    let rest = refunded("remainder", AMOUNT - 54_600);
    given::<TopUp>(past.clone()).when(apply(says("refund"))).then(vec![rest.clone()]);
    let listed_later = with_refunds("refund", &[("r1", 54_600, false), ("r2", AMOUNT - 54_600, false)]);
    given::<TopUp>([past, vec![rest]].concat()).when(apply(listed_later)).then_nothing();
}

#[test]
fn a_partial_refund_without_an_amount_is_for_a_person_to_look_at() {
    let events = given::<TopUp>(vec![requested(), confirmed(ORDER)]).when(apply(says("partial_refund"))).events();
    assert!(matches!(events.as_slice(), [TopUpEvent::TopUpQuarantined { .. }]));
}

#[test]
fn a_refund_seen_before_its_payment_credits_and_takes_back() {
    given::<TopUp>(vec![requested()]).when(apply(with_refunds("partial_refund", &[("r1", 54_600, true)]))).then(vec![
        confirmed(ORDER),
        refunded("r1", 54_600),
        bank_confirmed("r1"),
    ]);
}

#[test]
fn a_chargeback_takes_back_what_the_bank_names_or_the_whole() {
    let charged = |key: &str, amount: i64| TopUpEvent::TopUpChargedBack {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        key: key.into(),
        amount: Rupiah::new(amount),
        occurred_at: noon(),
    };
    let past = vec![requested(), confirmed(ORDER)];
    let partial = with_refunds("partial_chargeback", &[("c1", 30_000, false)]);
    given::<TopUp>(past.clone()).when(apply(partial)).then(vec![charged("c1", 30_000)]);
    given::<TopUp>(past).when(apply(says("chargeback"))).then(vec![charged("remainder", AMOUNT)]);
    given::<TopUp>(vec![requested()])
        .when(apply(says("chargeback")))
        .then(vec![confirmed(ORDER), charged("remainder", AMOUNT)]);
}

#[test]
fn a_challenge_holds_and_may_end_either_way() {
    let challenge =
        GatewayStatus { status_code: "201".into(), fraud_status: Some("challenge".into()), ..says("capture") };
    let held = TopUpEvent::TopUpHeld { order_id: ORDER.into(), payment_type: "qris".into(), occurred_at: noon() };
    given::<TopUp>(vec![requested(), pending()]).when(apply(challenge)).then(vec![held.clone()]);
    given::<TopUp>(vec![requested(), held.clone()]).when(apply(says("pending"))).then_nothing();
    given::<TopUp>(vec![requested(), held.clone()]).when(apply(says("deny"))).then(vec![denied()]);
    given::<TopUp>(vec![requested(), held]).when(apply(says("capture"))).then(vec![confirmed(ORDER)]);
}

#[test]
fn an_answer_that_does_not_fit_is_quarantined_once_and_moves_no_money() {
    let wrong = GatewayStatus { gross_amount: Some(Rupiah::new(15_000)), ..says("settlement") };
    let events = given::<TopUp>(vec![requested()]).when(apply(wrong.clone())).events();
    assert!(matches!(events.as_slice(), [TopUpEvent::TopUpQuarantined { .. }]));
    given::<TopUp>([vec![requested()], events].concat()).when(apply(wrong)).then_nothing();
}

#[test]
fn an_operators_quarantine_is_said_once() {
    let command = TopUpCommand::Quarantine { order_id: ORDER.into(), reason: "odd".into() };
    let quarantined =
        TopUpEvent::TopUpQuarantined { order_id: ORDER.into(), reason: "odd".into(), occurred_at: noon() };
    given::<TopUp>(vec![requested()]).when(command.clone()).then(vec![quarantined.clone()]);
    given::<TopUp>(vec![requested(), quarantined]).when(command).then_nothing();
}

#[test]
fn an_order_id_names_its_top_up() {
    assert_eq!(topup_of("TU-c123.1"), Some("c123"));
    for other in ["TU-c123", "TU-c123.", "TU-c123.100", "TU-C123.1", "X-c123.1", "TU-.1", "TU-a.b.1"] {
        assert_eq!(topup_of(other), None, "{other}");
    }
}

fn end() -> Timestamp {
    noon().plus(Duration::from_hours(24))
}

fn request(amount: i64) -> TopUpCommand {
    TopUpCommand::Request { user_id: "ani".into(), amount: Rupiah::new(amount), expires_at: end() }
}

fn requested() -> TopUpEvent {
    TopUpEvent::TopUpRequested {
        user_id: "ani".into(),
        amount: Rupiah::new(AMOUNT),
        order_id: ORDER.into(),
        expires_at: end(),
        occurred_at: noon(),
    }
}

fn attempt(attempt: u32) -> TopUpEvent {
    let order_id = order_id("t", attempt);
    TopUpEvent::TopUpAttemptStarted { attempt, order_id, expires_at: end(), occurred_at: noon() }
}

fn pending() -> TopUpEvent {
    TopUpEvent::TopUpAwaitingPayment { order_id: ORDER.into(), payment_type: "qris".into(), occurred_at: noon() }
}

fn denied() -> TopUpEvent {
    TopUpEvent::TopUpDenied { order_id: ORDER.into(), occurred_at: noon() }
}

fn confirmed(order: &str) -> TopUpEvent {
    TopUpEvent::TopUpConfirmed {
        user_id: "ani".into(),
        order_id: order.into(),
        amount: Rupiah::new(AMOUNT),
        payment_type: "qris".into(),
        transaction_id: "trx".into(),
        occurred_at: noon(),
    }
}

fn reversed(amount: i64) -> TopUpEvent {
    TopUpEvent::TopUpReversed {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        amount: Rupiah::new(amount),
        key: "reversal".into(),
        occurred_at: noon(),
    }
}

fn refunded(key: &str, amount: i64) -> TopUpEvent {
    TopUpEvent::TopUpRefunded {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        refund_key: key.into(),
        amount: Rupiah::new(amount),
        occurred_at: noon(),
    }
}

fn bank_confirmed(key: &str) -> TopUpEvent {
    TopUpEvent::TopUpRefundConfirmed { order_id: ORDER.into(), refund_key: key.into(), occurred_at: noon() }
}

fn apply(status: GatewayStatus) -> TopUpCommand {
    TopUpCommand::ApplyGatewayStatus { status, after: None }
}

fn says(transaction_status: &str) -> GatewayStatus {
    GatewayStatus {
        order_id: ORDER.into(),
        transaction_status: transaction_status.into(),
        status_code: "200".into(),
        fraud_status: Some("accept".into()),
        gross_amount: Some(Rupiah::new(AMOUNT)),
        currency: "IDR".into(),
        merchant_matches: true,
        payment_type: "qris".into(),
        transaction_id: "trx".into(),
        refunds: Vec::new(),
    }
}

fn of_another(status: GatewayStatus) -> GatewayStatus {
    GatewayStatus { transaction_id: "another".into(), ..status }
}

fn with_refunds(transaction_status: &str, refunds: &[(&str, i64, bool)]) -> GatewayStatus {
    let refunds = refunds
        .iter()
        .map(|(key, amount, bank_confirmed)| GatewayRefund {
            refund_key: (*key).into(),
            amount: Rupiah::new(*amount),
            bank_confirmed: *bank_confirmed,
        })
        .collect();
    GatewayStatus { refunds, ..says(transaction_status) }
}
