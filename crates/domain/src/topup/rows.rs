//! The gateway's status table, row by row: what each answer makes of an order, and that a repeat makes nothing more.

use std::time::Duration;

use minispod_events::TopUpEvent;
use minispod_kernel::Rupiah;

use super::*;
use crate::story::{given, noon};

const ORDER: &str = "TU-t.1";
const AMOUNT: Rupiah = Rupiah::new(150_000);

/// One answer about an order in a state, what follows, and that the same answer again is nothing new.
fn row(past: &[TopUpEvent], status: &GatewayStatus, follows: &[TopUpEvent]) {
    let past = [vec![requested()], past.to_vec()].concat();
    given::<TopUp>(past.clone()).when(hears(status)).then(follows.to_vec());
    given::<TopUp>([past, follows.to_vec()].concat()).when(hears(status)).then_nothing();
}

#[test]
fn row_pending_awaits_the_payment() {
    row(&[], &says("pending", "201", Some("accept")), &[awaiting()]);
    row(&[], &says("pending", "201", None), &[awaiting()]);
}

#[test]
fn row_capture_accept_is_paid() {
    row(&[awaiting()], &says("capture", "200", Some("accept")), &[confirmed()]);
}

#[test]
fn row_capture_challenge_is_held_without_money() {
    row(&[awaiting()], &says("capture", "201", Some("challenge")), &[held()]);
}

#[test]
fn row_capture_deny_is_denied_whatever_its_code() {
    for code in ["200", "201", "202"] {
        row(&[held()], &says("capture", code, Some("deny")), &[denied()]);
    }
}

#[test]
fn row_authorize_is_held_without_money() {
    for code in ["200", "201"] {
        row(&[], &says("authorize", code, Some("accept")), &[held()]);
    }
}

#[test]
fn row_settlement_is_paid_and_nothing_more_after_a_capture() {
    row(&[awaiting()], &says("settlement", "200", Some("accept")), &[confirmed()]);
    row(&[awaiting()], &says("settlement", "200", None), &[confirmed()]);
    row(&[confirmed()], &says("settlement", "200", Some("accept")), &[]);
}

#[test]
fn row_deny_is_denied_although_fraud_says_accept_and_stays_open_for_another_payment() {
    row(&[awaiting()], &says("deny", "202", Some("accept")), &[denied()]);
    row(&[awaiting(), denied()], &says("settlement", "200", Some("accept")), &[confirmed()]);
}

#[test]
fn row_deny_after_settlement_takes_the_credit_back() {
    row(&[confirmed()], &says("deny", "202", Some("accept")), &[reversed()]);
}

#[test]
fn row_cancel_is_cancelled() {
    for code in ["200", "202"] {
        row(&[awaiting()], &says("cancel", code, Some("accept")), &[cancelled()]);
    }
}

#[test]
fn row_cancel_after_a_credited_capture_takes_the_credit_back() {
    row(&[held(), confirmed()], &says("cancel", "202", Some("accept")), &[reversed()]);
}

#[test]
fn row_expire_is_expired_under_202_and_under_407() {
    for code in ["202", "407"] {
        row(&[awaiting()], &says("expire", code, Some("accept")), &[expired()]);
    }
}

#[test]
fn row_failure_moves_no_money() {
    row(&[awaiting()], &says("failure", "202", None), &[denied()]);
}

#[test]
fn row_refund_takes_back_on_the_first_notice_and_is_confirmed_on_the_second() {
    let notice = |confirmed| refunding("refund", &[("RF-1", AMOUNT, confirmed)]);
    row(&[confirmed()], &notice(false), &[refunded("RF-1", AMOUNT)]);
    row(&[confirmed(), refunded("RF-1", AMOUNT)], &notice(true), &[bank_confirmed("RF-1")]);
}

#[test]
fn row_partial_refunds_are_taken_back_each_by_its_key() {
    let (first, second) = (Rupiah::new(54_600), Rupiah::new(20_000));
    let one = refunding("partial_refund", &[("RF-1", first, true)]);
    row(&[confirmed()], &one, &[refunded("RF-1", first), bank_confirmed("RF-1")]);
    let past = [confirmed(), refunded("RF-1", first), bank_confirmed("RF-1")];
    let two = refunding("partial_refund", &[("RF-1", first, true), ("RF-2", second, false)]);
    row(&past, &two, &[refunded("RF-2", second)]);
}

#[test]
fn row_partial_chargeback_and_then_the_chargeback_of_the_rest() {
    let part = Rupiah::new(30_000);
    let partial = refunding("partial_chargeback", &[("CB-1", part, false)]);
    row(&[confirmed()], &partial, &[charged_back("CB-1", part)]);
    let rest = Rupiah::new(120_000);
    let whole = says("chargeback", "200", None);
    row(&[confirmed(), charged_back("CB-1", part)], &whole, &[charged_back("remainder", rest)]);
}

#[test]
fn row_anything_else_is_for_a_person_and_moves_no_money() {
    row(&[awaiting()], &says("teleported", "200", Some("accept")), &[odd("unknown status teleported")]);
    row(&[awaiting()], &says("settlement", "201", Some("accept")), &[odd("settlement with code 201 and fraud accept")]);
}

#[test]
fn w23_another_amount_currency_or_merchant_is_quarantined_and_never_credited() {
    let paid = || says("settlement", "200", Some("accept"));
    let wrong = GatewayStatus { gross_amount: Some(Rupiah::new(15_000)), ..paid() };
    row(&[awaiting()], &wrong, &[odd("amount 15000 instead of 150000")]);
    let unreadable = GatewayStatus { gross_amount: None, ..paid() };
    row(&[awaiting()], &unreadable, &[odd("an amount that cannot be read")]);
    row(&[awaiting()], &GatewayStatus { currency: "USD".into(), ..paid() }, &[odd("currency USD")]);
    row(&[awaiting()], &GatewayStatus { merchant_matches: false, ..paid() }, &[odd("another merchant")]);
}

#[test]
fn w23_a_notification_is_compared_with_its_order_and_a_misfit_is_shown_to_a_person() {
    let receive = |said: NotificationSays| {
        let command = TopUpCommand::ReceiveNotification { order_id: ORDER.into(), inbox_id: "i".into(), said };
        given::<TopUp>(vec![requested()]).when(command)
    };
    let fitting =
        || NotificationSays { gross_amount: Some(AMOUNT), currency: Some("IDR".into()), merchant_matches: true };
    receive(fitting()).then(vec![noticed()]);
    receive(NotificationSays { currency: None, ..fitting() }).then(vec![noticed()]);
    for (said, misfit) in [
        (NotificationSays { gross_amount: Some(Rupiah::new(15_000)), ..fitting() }, "amount 15000 instead of 150000"),
        (NotificationSays { gross_amount: None, ..fitting() }, "an amount that cannot be read"),
        (NotificationSays { currency: Some("USD".into()), ..fitting() }, "currency USD"),
        (NotificationSays { merchant_matches: false, ..fitting() }, "another merchant"),
    ] {
        receive(said).then(vec![noticed(), odd(&format!("a notification with {misfit}"))]);
    }
    let unknown =
        TopUpCommand::ReceiveNotification { order_id: "TU-x.1".into(), inbox_id: "i".into(), said: fitting() };
    given::<TopUp>(vec![requested()]).when(unknown).then_refused(TopUpRefusal::UnknownOrder);
}

#[test]
fn news_of_a_lower_rank_comes_too_late_to_change_anything() {
    let late = |past: &[TopUpEvent], word: &str| {
        let past = [vec![requested()], past.to_vec()].concat();
        given::<TopUp>(past).when(hears(&says(word, "200", Some("accept")))).then_nothing();
    };
    for end in [cancelled(), expired()] {
        for word in ["pending", "deny", "authorize", "failure"] {
            late(&[awaiting(), end.clone()], word);
        }
    }
    late(&[awaiting(), denied()], "pending");
    late(&[awaiting(), confirmed()], "pending");
    late(&[awaiting(), confirmed()], "authorize");
    let past = [confirmed(), refunded("RF-1", AMOUNT)];
    late(&past, "settlement");
    late(&past, "pending");
}

#[test]
fn w03_an_expired_order_is_paid_only_when_the_gateway_itself_says_so() {
    row(&[awaiting(), expired()], &says("settlement", "200", Some("accept")), &[confirmed()]);
    let said = NotificationSays { gross_amount: Some(AMOUNT), currency: None, merchant_matches: true };
    let command = TopUpCommand::ReceiveNotification { order_id: ORDER.into(), inbox_id: "i".into(), said };
    given::<TopUp>(vec![requested(), expired()]).when(command).then(vec![noticed()]);
}

fn hears(status: &GatewayStatus) -> TopUpCommand {
    TopUpCommand::ApplyGatewayStatus { status: status.clone(), after: None }
}

fn says(word: &str, code: &str, fraud: Option<&str>) -> GatewayStatus {
    GatewayStatus {
        order_id: ORDER.into(),
        transaction_status: word.into(),
        status_code: code.into(),
        fraud_status: fraud.map(str::to_owned),
        gross_amount: Some(AMOUNT),
        currency: "IDR".into(),
        merchant_matches: true,
        payment_type: "credit_card".into(),
        transaction_id: "trx".into(),
        refunds: Vec::new(),
    }
}

fn refunding(word: &str, refunds: &[(&str, Rupiah, bool)]) -> GatewayStatus {
    let refund = |(key, amount, bank_confirmed): &(&str, Rupiah, bool)| GatewayRefund {
        refund_key: (*key).into(),
        amount: *amount,
        bank_confirmed: *bank_confirmed,
    };
    GatewayStatus { refunds: refunds.iter().map(refund).collect(), ..says(word, "200", Some("accept")) }
}

fn requested() -> TopUpEvent {
    TopUpEvent::TopUpRequested {
        user_id: "ani".into(),
        amount: AMOUNT,
        order_id: ORDER.into(),
        expires_at: noon().plus(Duration::from_hours(24)),
        occurred_at: noon(),
    }
}

fn noticed() -> TopUpEvent {
    TopUpEvent::TopUpNotificationRecorded { order_id: ORDER.into(), inbox_id: "i".into(), occurred_at: noon() }
}

fn awaiting() -> TopUpEvent {
    TopUpEvent::TopUpAwaitingPayment { order_id: ORDER.into(), payment_type: "credit_card".into(), occurred_at: noon() }
}

fn held() -> TopUpEvent {
    TopUpEvent::TopUpHeld { order_id: ORDER.into(), payment_type: "credit_card".into(), occurred_at: noon() }
}

fn confirmed() -> TopUpEvent {
    TopUpEvent::TopUpConfirmed {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        amount: AMOUNT,
        payment_type: "credit_card".into(),
        transaction_id: "trx".into(),
        occurred_at: noon(),
    }
}

fn denied() -> TopUpEvent {
    TopUpEvent::TopUpDenied { order_id: ORDER.into(), occurred_at: noon() }
}

fn cancelled() -> TopUpEvent {
    TopUpEvent::TopUpCancelled { order_id: ORDER.into(), occurred_at: noon() }
}

fn expired() -> TopUpEvent {
    TopUpEvent::TopUpExpired { order_id: ORDER.into(), occurred_at: noon() }
}

fn reversed() -> TopUpEvent {
    TopUpEvent::TopUpReversed {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        amount: AMOUNT,
        key: "reversal".into(),
        occurred_at: noon(),
    }
}

fn refunded(key: &str, amount: Rupiah) -> TopUpEvent {
    TopUpEvent::TopUpRefunded {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        refund_key: key.into(),
        amount,
        occurred_at: noon(),
    }
}

fn bank_confirmed(key: &str) -> TopUpEvent {
    TopUpEvent::TopUpRefundConfirmed { order_id: ORDER.into(), refund_key: key.into(), occurred_at: noon() }
}

fn charged_back(key: &str, amount: Rupiah) -> TopUpEvent {
    TopUpEvent::TopUpChargedBack {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        key: key.into(),
        amount,
        occurred_at: noon(),
    }
}

fn odd(reason: &str) -> TopUpEvent {
    TopUpEvent::TopUpQuarantined { order_id: ORDER.into(), reason: reason.into(), occurred_at: noon() }
}
