//! Stories of the refund desk: who may, how much, by which way, and where the money is at each step.

use std::time::Duration;

use minispod_events::{RefundMethod, TopUpEvent};
use minispod_kernel::{Rupiah, Sensitive, Timestamp};

use super::*;
use crate::{
    TopUp, TopUpCommand,
    story::{Given, given, noon},
    topup::{GatewayRefund, GatewayStatus},
};

const ORDER: &str = "TU-t.1";
const KEY: &str = "RF-t-01";
const AMOUNT: Rupiah = Rupiah::new(150_000);
const PART: Rupiah = Rupiah::new(60_000);
const LIMIT: Rupiah = Rupiah::new(100_000);

#[test]
fn a_refund_goes_through_the_channel_that_was_paid_with_where_it_gives_back() {
    paid("gopay").when(open(PART, None)).then(vec![opened(PART, RefundMethod::Gateway, "gopay", false)]);
    for by_hand in ["bank_transfer", "echannel", "cstore"] {
        let transfer = opened(PART, RefundMethod::BankTransfer, by_hand, false);
        paid(by_hand).when(open(PART, None)).then(vec![transfer]);
        paid(by_hand).when(open(PART, Some(RefundMethod::Gateway))).then_refused(TopUpRefusal::RefundChannel);
    }
    let late = noon().plus(Duration::from_hours(24 * 45));
    paid("gopay").at(late).when(open(PART, Some(RefundMethod::Gateway))).then_refused(TopUpRefusal::RefundWindowOver);
    for whole_only in ["shopeepay", "ovo"] {
        let refused = open(PART, Some(RefundMethod::Gateway));
        paid(whole_only).when(refused).then_refused(TopUpRefusal::RefundInParts);
        let whole = opened(AMOUNT, RefundMethod::Gateway, whole_only, true);
        paid(whole_only).when(open(AMOUNT, Some(RefundMethod::Gateway))).then(vec![whole]);
    }
}

#[test]
fn nothing_goes_back_of_what_was_never_paid_or_is_gone_already() {
    given::<TopUp>(vec![requested()]).of("t").when(open(PART, None)).then_refused(TopUpRefusal::NotPaid);
    for amount in [Rupiah::ZERO, Rupiah::new(-1), Rupiah::new(150_001)] {
        paid("gopay").when(open(amount, None)).then_refused(TopUpRefusal::RefundBeyondPayment);
    }
    let half = || opened(Rupiah::new(100_000), RefundMethod::Gateway, "gopay", false);
    let rest = Rupiah::new(50_001);
    after("gopay", vec![half()]).when(open(rest, None)).then_refused(TopUpRefusal::RefundBeyondPayment);
    let whole = opened(AMOUNT, RefundMethod::Gateway, "gopay", true);
    let past = vec![whole, failed(AMOUNT, RefundMethod::Gateway, false)];
    let again = after("gopay", past).when(open(AMOUNT, None)).events();
    assert!(matches!(&again[..], [TopUpEvent::TopUpRefundOpened { refund_key, .. }] if refund_key == "RF-t-02"));
}

#[test]
fn a_small_refund_is_ready_as_soon_as_its_money_is_reserved() {
    let past = vec![opened(PART, RefundMethod::Gateway, "gopay", false)];
    let follows = vec![reserved(), ready(PART, RefundMethod::Gateway, "gopay")];
    after("gopay", past.clone())
        .when(desk(RefundCommand::RecordReserved { refund_key: KEY.into() }))
        .then(follows.clone());
    let past = [past, follows].concat();
    after("gopay", past.clone()).when(desk(RefundCommand::RecordReserved { refund_key: KEY.into() })).then_nothing();
    after("gopay", past.clone()).when(approve("budi")).then_refused(TopUpRefusal::RefundState);
    let submitted = TopUpEvent::TopUpRefundSubmitted { refund_key: KEY.into(), occurred_at: noon() };
    let submit = || desk(RefundCommand::RecordSubmitted { refund_key: KEY.into() });
    after("gopay", past.clone()).when(submit()).then(vec![submitted.clone()]);
    after("gopay", [past, vec![submitted]].concat()).when(submit()).then_nothing();
}

#[test]
fn a_large_refund_waits_for_another_administrator() {
    let large = || vec![opened(AMOUNT, RefundMethod::Gateway, "gopay", true), reserved()];
    let reserve = desk(RefundCommand::RecordReserved { refund_key: KEY.into() });
    let past = vec![opened(AMOUNT, RefundMethod::Gateway, "gopay", true)];
    after("gopay", past.clone()).when(reserve.clone()).then(vec![reserved()]);
    after("gopay", large()).when(approve("adi")).then_refused(TopUpRefusal::SameAdministrator);
    let ready = ready(AMOUNT, RefundMethod::Gateway, "gopay");
    after("gopay", large()).when(approve("budi")).then(vec![approved(), ready.clone()]);
    // Approved before the money was there: it is ready with the money.
    after("gopay", past.clone()).when(approve("budi")).then(vec![approved()]);
    after("gopay", [past, vec![approved()]].concat()).when(reserve).then(vec![reserved(), ready]);
    let exactly = open(LIMIT, None);
    let events = paid("gopay").when(exactly).events();
    assert!(matches!(&events[..], [TopUpEvent::TopUpRefundOpened { needs_approval: false, .. }]));
}

#[test]
fn what_waits_for_approval_may_be_declined_and_what_is_under_way_may_not() {
    let decline = || desk(RefundCommand::Decline { refund_key: KEY.into(), by: "budi".into(), reason: reason() });
    let declined = TopUpEvent::TopUpRefundDeclined {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        refund_key: KEY.into(),
        amount: AMOUNT,
        method: RefundMethod::Gateway,
        declined_by: "budi".into(),
        reason: reason(),
        occurred_at: noon(),
    };
    let large = vec![opened(AMOUNT, RefundMethod::Gateway, "gopay", true)];
    after("gopay", large.clone()).when(decline()).then_refused(TopUpRefusal::RefundState);
    let held = [large, vec![reserved()]].concat();
    after("gopay", held.clone()).when(decline()).then(vec![declined.clone()]);
    let over = [held.clone(), vec![declined]].concat();
    after("gopay", over.clone()).when(approve("cici")).then_refused(TopUpRefusal::RefundState);
    assert_eq!(after("gopay", over).when(open(AMOUNT, None)).events().len(), 1, "the payment is whole again");
    let under_way = [held, vec![approved(), ready(AMOUNT, RefundMethod::Gateway, "gopay")]].concat();
    after("gopay", under_way).when(decline()).then_refused(TopUpRefusal::RefundState);
}

#[test]
fn a_refund_that_fails_gives_back_what_was_reserved_and_no_more() {
    let fail = || desk(RefundCommand::Fail { refund_key: KEY.into(), reason: "no".into() });
    let past = vec![opened(PART, RefundMethod::Gateway, "gopay", false)];
    after("gopay", past.clone()).when(fail()).then(vec![failed(PART, RefundMethod::Gateway, false)]);
    let under_way = [past.clone(), vec![reserved(), ready(PART, RefundMethod::Gateway, "gopay")]].concat();
    let back = failed(PART, RefundMethod::Gateway, true);
    after("gopay", under_way.clone()).when(fail()).then(vec![back.clone()]);
    after("gopay", [under_way.clone(), vec![back]].concat()).when(fail()).then_nothing();
    after("gopay", [under_way, vec![bank_confirmed()]].concat()).when(fail()).then_refused(TopUpRefusal::RefundState);
    // The wallet's money came when the refund was over: back too.
    let over = [past, vec![failed(PART, RefundMethod::Gateway, false)]].concat();
    let events = after("gopay", over).when(desk(RefundCommand::RecordReserved { refund_key: KEY.into() })).events();
    assert!(matches!(&events[..], [TopUpEvent::TopUpRefundFailed { returned: true, .. }]));
}

#[test]
fn a_reversal_in_between_takes_what_a_failed_refund_gives_back() {
    let under_way = vec![
        opened(PART, RefundMethod::Gateway, "gopay", false),
        reserved(),
        ready(PART, RefundMethod::Gateway, "gopay"),
    ];
    let denied = TopUpCommand::ApplyGatewayStatus { status: says("deny", "202", &[]), after: None };
    let reversed = |amount: Rupiah, key: &str| TopUpEvent::TopUpReversed {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        amount,
        key: key.into(),
        occurred_at: noon(),
    };
    let rest = reversed(Rupiah::new(90_000), "reversal");
    after("gopay", under_way.clone()).when(denied).then(vec![rest.clone()]);
    let fail = desk(RefundCommand::Fail { refund_key: KEY.into(), reason: "no".into() });
    after("gopay", [under_way, vec![rest]].concat())
        .when(fail)
        .then(vec![failed(PART, RefundMethod::Gateway, true), reversed(PART, "reversal:RF-t-01")]);
}

#[test]
fn the_gateways_news_of_the_desks_own_refund_takes_nothing_more_and_confirms_it() {
    let under_way = vec![
        opened(PART, RefundMethod::Gateway, "gopay", false),
        reserved(),
        ready(PART, RefundMethod::Gateway, "gopay"),
    ];
    let news = |confirmed| TopUpCommand::ApplyGatewayStatus {
        status: says("partial_refund", "200", &[(KEY, PART, confirmed)]),
        after: None,
    };
    after("gopay", under_way.clone()).when(news(false)).then_nothing();
    after("gopay", under_way.clone()).when(news(true)).then(vec![bank_confirmed()]);
    after("gopay", [under_way.clone(), vec![bank_confirmed()]].concat()).when(news(true)).then_nothing();
    // One that we gave up and that happened all the same is taken from the wallet like any other.
    let given_up = [under_way, vec![failed(PART, RefundMethod::Gateway, true)]].concat();
    after("gopay", given_up).when(news(false)).then(vec![TopUpEvent::TopUpRefunded {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        refund_key: KEY.into(),
        amount: PART,
        occurred_at: noon(),
    }]);
}

#[test]
fn a_bank_transfer_is_made_or_not_by_a_persons_word() {
    let transfer = RefundMethod::BankTransfer;
    let under_way = vec![opened(PART, transfer, "cstore", false), reserved(), ready(PART, transfer, "cstore")];
    let word = |made| desk(RefundCommand::RecordTransfer { refund_key: KEY.into(), made });
    after("cstore", under_way.clone()).when(word(true)).then(vec![bank_confirmed()]);
    after("cstore", [under_way.clone(), vec![bank_confirmed()]].concat()).when(word(true)).then_nothing();
    let events = after("cstore", under_way.clone()).when(word(false)).events();
    assert!(matches!(&events[..], [TopUpEvent::TopUpRefundFailed { returned: true, .. }]));
    let early = vec![opened(PART, transfer, "cstore", false)];
    after("cstore", early).when(word(true)).then_refused(TopUpRefusal::RefundState);
    let of_gateway = vec![
        opened(PART, RefundMethod::Gateway, "gopay", false),
        reserved(),
        ready(PART, RefundMethod::Gateway, "gopay"),
    ];
    after("gopay", of_gateway).when(word(false)).then_refused(TopUpRefusal::RefundState);
}

#[test]
fn money_that_never_fitted_its_order_is_credited_by_hand() {
    let by_hand = RefundMethod::WalletCredit;
    paid("gopay").when(open(PART, Some(by_hand))).then_refused(TopUpRefusal::NotInDoubt);
    let doubt =
        TopUpEvent::TopUpQuarantined { order_id: ORDER.into(), reason: "paid again".into(), occurred_at: noon() };
    after("gopay", vec![doubt.clone()])
        .when(open(PART, Some(by_hand)))
        .then(vec![opened(PART, by_hand, "gopay", false), ready(PART, by_hand, "gopay")]);
    let beyond = open(Rupiah::new(150_001), Some(by_hand));
    after("gopay", vec![doubt.clone()]).when(beyond).then_refused(TopUpRefusal::RefundBeyondPayment);
    let large = vec![doubt, opened(AMOUNT, by_hand, "gopay", true)];
    after("gopay", large.clone()).when(approve("budi")).then(vec![approved(), ready(AMOUNT, by_hand, "gopay")]);
    let done = [large, vec![approved(), ready(AMOUNT, by_hand, "gopay")]].concat();
    let twice = open(Rupiah::new(1), Some(by_hand));
    after("gopay", done.clone()).when(twice).then_refused(TopUpRefusal::RefundBeyondPayment);
    let complete = desk(RefundCommand::Complete { refund_key: KEY.into() });
    after("gopay", done).when(complete).then(vec![bank_confirmed()]);
}

#[test]
fn a_doubt_that_somebody_has_looked_at_is_closed_until_there_is_another() {
    let doubt = |reason: &str| TopUpEvent::TopUpQuarantined {
        order_id: ORDER.into(),
        reason: reason.into(),
        occurred_at: noon(),
    };
    let close = || desk(RefundCommand::CloseQuarantine { by: "adi".into(), reason: reason() });
    let closed = TopUpEvent::TopUpQuarantineClosed {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        reason: reason(),
        closed_by: "adi".into(),
        occurred_at: noon(),
    };
    let again = |reason: &str| TopUpCommand::Quarantine { order_id: ORDER.into(), reason: reason.into() };
    paid("gopay").when(close()).then_refused(TopUpRefusal::NotInDoubt);
    after("gopay", vec![doubt("paid again")]).when(close()).then(vec![closed.clone()]);
    let past = vec![doubt("paid again"), closed.clone()];
    after("gopay", past.clone()).when(close()).then_refused(TopUpRefusal::NotInDoubt);
    after("gopay", past.clone()).when(again("paid again")).then_nothing();
    let by_hand = open(PART, Some(RefundMethod::WalletCredit));
    after("gopay", past.clone()).when(by_hand).then_refused(TopUpRefusal::NotInDoubt);
    after("gopay", past.clone()).when(again("another")).then(vec![doubt("another")]);
    after("gopay", [past, vec![doubt("another")]].concat()).when(close()).then(vec![closed]);
}

#[test]
fn there_is_no_refund_that_nobody_opened() {
    for command in [
        RefundCommand::Approve { refund_key: KEY.into(), by: "budi".into() },
        RefundCommand::RecordReserved { refund_key: KEY.into() },
        RefundCommand::RecordTransfer { refund_key: KEY.into(), made: true },
    ] {
        paid("gopay").when(desk(command)).then_refused(TopUpRefusal::NoSuchRefund);
    }
}

fn desk(command: RefundCommand) -> TopUpCommand {
    TopUpCommand::Desk(command)
}

fn open(amount: Rupiah, method: Option<RefundMethod>) -> TopUpCommand {
    let by = "adi".to_owned();
    desk(RefundCommand::Open { order_id: None, amount, method, reason: reason(), by, approval_above: LIMIT })
}

fn approve(by: &str) -> TopUpCommand {
    desk(RefundCommand::Approve { refund_key: KEY.into(), by: by.into() })
}

fn reason() -> Sensitive<String> {
    Sensitive::Open("moved house".to_owned())
}

/// A top-up that was paid with `payment_type`.
fn paid(payment_type: &str) -> Given<TopUp> {
    after(payment_type, Vec::new())
}

fn after(payment_type: &str, events: Vec<TopUpEvent>) -> Given<TopUp> {
    let confirmed = TopUpEvent::TopUpConfirmed {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        amount: AMOUNT,
        payment_type: payment_type.into(),
        transaction_id: "trx".into(),
        occurred_at: noon(),
    };
    given::<TopUp>([vec![requested(), confirmed], events].concat()).of("t")
}

fn requested() -> TopUpEvent {
    TopUpEvent::TopUpRequested {
        user_id: "ani".into(),
        amount: AMOUNT,
        order_id: ORDER.into(),
        expires_at: end(),
        occurred_at: noon(),
    }
}

fn end() -> Timestamp {
    noon().plus(Duration::from_hours(24))
}

fn opened(amount: Rupiah, method: RefundMethod, payment_type: &str, needs_approval: bool) -> TopUpEvent {
    TopUpEvent::TopUpRefundOpened {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        refund_key: KEY.into(),
        amount,
        method,
        payment_type: payment_type.into(),
        reason: reason(),
        requested_by: "adi".into(),
        needs_approval,
        occurred_at: noon(),
    }
}

fn approved() -> TopUpEvent {
    TopUpEvent::TopUpRefundApproved { refund_key: KEY.into(), approved_by: "budi".into(), occurred_at: noon() }
}

fn reserved() -> TopUpEvent {
    TopUpEvent::TopUpRefundReserved { refund_key: KEY.into(), occurred_at: noon() }
}

fn ready(amount: Rupiah, method: RefundMethod, payment_type: &str) -> TopUpEvent {
    TopUpEvent::TopUpRefundReady {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        refund_key: KEY.into(),
        amount,
        method,
        payment_type: payment_type.into(),
        occurred_at: noon(),
    }
}

fn failed(amount: Rupiah, method: RefundMethod, returned: bool) -> TopUpEvent {
    TopUpEvent::TopUpRefundFailed {
        user_id: "ani".into(),
        order_id: ORDER.into(),
        refund_key: KEY.into(),
        amount,
        method,
        returned,
        reason: "no".into(),
        occurred_at: noon(),
    }
}

fn bank_confirmed() -> TopUpEvent {
    TopUpEvent::TopUpRefundConfirmed { order_id: ORDER.into(), refund_key: KEY.into(), occurred_at: noon() }
}

fn says(word: &str, code: &str, refunds: &[(&str, Rupiah, bool)]) -> GatewayStatus {
    let refund = |(key, amount, bank_confirmed): &(&str, Rupiah, bool)| GatewayRefund {
        refund_key: (*key).into(),
        amount: *amount,
        bank_confirmed: *bank_confirmed,
    };
    GatewayStatus {
        order_id: ORDER.into(),
        transaction_status: word.into(),
        status_code: code.into(),
        fraud_status: Some("accept".into()),
        gross_amount: Some(AMOUNT),
        currency: "IDR".into(),
        merchant_matches: true,
        payment_type: "gopay".into(),
        transaction_id: "trx".into(),
        refunds: refunds.iter().map(refund).collect(),
    }
}
