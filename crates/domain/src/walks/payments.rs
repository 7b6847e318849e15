//! Top-ups in every delivery order: the wallet is what the gateway's last word implies.

use minispod_kernel::Rupiah;

use super::setting::*;
use crate::{
    AnyCommand, GatewayRefund, GatewayStatus, TopUpCommand,
    memory_bus::{MemoryBus, Order},
};

pub const AMOUNT: i64 = 185_000;
pub const REFUND: i64 = 54_600;
const ORDER_ID: &str = "TU-t.1";

/// What the gateway says at one point of its own history, and what the wallet must then be.
#[derive(Debug, Clone)]
pub struct Word {
    pub status: GatewayStatus,
    wallet: i64,
}

#[test]
fn the_wallet_is_what_the_gateways_last_word_implies_in_every_delivery_order() {
    for history in histories() {
        for delivery in permutations(history.len()) {
            // Notifications arrive in any order; each is answered by what GET status says then. The gateway's own
            // history has gone `seen` words far when the n-th notification is looked at.
            for lead in 0..history.len() {
                let mut bus = shop(PRICE, 1);
                top_up(&mut bus, "t", AMOUNT);
                let mut seen = 0;
                for (turn, notification) in delivery.iter().enumerate() {
                    seen = seen.max(turn + lead).max(*notification).min(history.len() - 1);
                    notify(&mut bus, *notification);
                    hear(&mut bus, &history[seen]);
                    bus.settle(Order::Shuffled(turn as u64));
                }
                // The daily sweep asks once more.
                let last = history.last().expect("a history");
                hear(&mut bus, last);
                bus.settle(Order::InTurn);
                assert_eq!(balance(&bus), last.wallet, "{delivery:?} lead {lead} of {history:?}");
                assert!(bus.count("WalletCredited") <= 1, "credited twice");
            }
        }
    }
}

#[test]
fn a_notification_that_comes_five_times_credits_once() {
    let mut bus = shop(PRICE, 1);
    top_up(&mut bus, "t", AMOUNT);
    for _ in 0..5 {
        notify(&mut bus, 0);
        hear(&mut bus, &paid());
    }
    bus.settle(Order::InTurn);
    assert_eq!((balance(&bus), bus.count("TopUpNotificationRecorded"), bus.count("InvoiceIssued")), (AMOUNT, 1, 1));
}

#[test]
fn even_stale_answers_never_credit_twice_nor_take_back_more_than_was_paid() {
    let words = [pending(), paid(), paid(), denied(0), refunded(false), refunded(true)];
    for order in permutations(words.len()) {
        let mut bus = shop(PRICE, 1);
        top_up(&mut bus, "t", AMOUNT);
        for word in order {
            hear(&mut bus, &words[word]);
            bus.settle(Order::InTurn);
            assert!((0..=AMOUNT).contains(&balance(&bus)));
        }
        assert_eq!(bus.count("WalletCredited"), 1);
    }
}

#[test]
fn two_paid_attempts_are_both_credited_with_an_invoice_each() {
    let mut bus = shop(PRICE, 1);
    top_up(&mut bus, "t", AMOUNT);
    hear(&mut bus, &denied(0));
    let expires_at = crate::story::noon().plus(std::time::Duration::from_hours(1));
    bus.ask("again", "t", AnyCommand::TopUp(TopUpCommand::StartAttempt { expires_at })).expect("a second attempt");
    let mut second = paid();
    second.status.order_id = "TU-t.2".into();
    hear(&mut bus, &second);
    hear(&mut bus, &paid());
    bus.settle(Order::InTurn);
    assert_eq!((balance(&bus), bus.count("WalletCredited"), bus.count("InvoiceIssued")), (2 * AMOUNT, 2, 2));
}

#[test]
fn a_reversal_may_leave_a_debt_and_nothing_is_sold_on_it() {
    let mut bus = shop(PRICE, 1);
    top_up(&mut bus, "t", AMOUNT);
    hear(&mut bus, &paid());
    bus.settle(Order::InTurn);
    request(&mut bus, "s", ANI, PRICE).expect("bought");
    hear(&mut bus, &denied(0));
    bus.settle(Order::InTurn);
    assert_eq!(balance(&bus), -PRICE);
}

#[test]
fn money_that_comes_before_the_wallet_is_not_lost() {
    let mut bus = MemoryBus::new(crate::story::noon());
    top_up(&mut bus, "t", AMOUNT);
    hear(&mut bus, &paid());
    bus.settle(Order::InTurn);
    assert_eq!(balance(&bus), AMOUNT);
}

/// The gateway's own histories: each ends with its last word.
fn histories() -> Vec<Vec<Word>> {
    vec![
        vec![pending(), paid(), paid()],
        vec![pending(), denied(0), paid(), paid()],
        vec![pending(), paid(), paid(), denied(0)],
        vec![pending(), paid(), refunded(false), refunded(true)],
        vec![pending(), paid(), refunded(true), denied(0)],
        vec![pending(), said("expire", "407", 0)],
        vec![pending(), said("cancel", "200", 0)],
        vec![held(), paid(), said("cancel", "200", 0)],
        vec![pending(), paid(), refunded(true), said("refund", "200", 0)],
        vec![pending(), paid(), said("chargeback", "200", 0)],
        vec![pending(), paid(), with_refund("partial_chargeback", false), said("chargeback", "200", 0)],
    ]
}

fn said(transaction_status: &str, code: &str, wallet: i64) -> Word {
    let status = GatewayStatus {
        order_id: ORDER_ID.into(),
        transaction_status: transaction_status.into(),
        status_code: code.into(),
        fraud_status: Some("accept".into()),
        gross_amount: Some(Rupiah::new(AMOUNT)),
        currency: "IDR".into(),
        merchant_matches: true,
        payment_type: "bank_transfer".into(),
        transaction_id: "trx".into(),
        refunds: Vec::new(),
    };
    Word { status, wallet }
}

fn pending() -> Word {
    said("pending", "201", 0)
}

pub fn paid() -> Word {
    said("settlement", "200", AMOUNT)
}

fn denied(wallet: i64) -> Word {
    said("deny", "202", wallet)
}

fn held() -> Word {
    let mut word = said("capture", "201", 0);
    word.status.fraud_status = Some("challenge".into());
    word
}

fn refunded(bank_confirmed: bool) -> Word {
    with_refund("partial_refund", bank_confirmed)
}

pub fn with_refund(transaction_status: &str, bank_confirmed: bool) -> Word {
    let mut word = said(transaction_status, "200", AMOUNT - REFUND);
    let refund_key = "RF-1".to_owned();
    word.status.refunds = vec![GatewayRefund { refund_key, amount: Rupiah::new(REFUND), bank_confirmed }];
    word
}

fn notify(bus: &mut MemoryBus, number: usize) {
    let command = TopUpCommand::RecordNotification { order_id: ORDER_ID.into(), inbox_id: format!("inbox-{number}") };
    let key = format!("notify-{}-{}", number, bus.log().len());
    bus.tell(&key, "t", AnyCommand::TopUp(command)).expect("recorded");
}

pub fn hear(bus: &mut MemoryBus, word: &Word) {
    let key = format!("hear-{}-{}", word.status.transaction_status, bus.log().len());
    let command = TopUpCommand::ApplyGatewayStatus { status: word.status.clone(), after: None };
    bus.tell(&key, "t", AnyCommand::TopUp(command)).expect("applied");
}

/// Every order of `0..count`.
pub fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    permutations(count - 1)
        .into_iter()
        .flat_map(|shorter| {
            (0..=shorter.len()).map(move |at| {
                let mut longer = shorter.clone();
                longer.insert(at, count - 1);
                longer
            })
        })
        .collect()
}
