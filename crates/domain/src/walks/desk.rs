//! Refunds of the desk in every order of news: the wallet pays once, and what was not possible is there again.

use minispod_events::RefundMethod;
use minispod_kernel::{Rupiah, Sensitive};

use super::{
    payments::{AMOUNT, REFUND, Word, hear, paid, permutations, with_refund},
    setting::*,
};
use crate::{
    AnyCommand, RefundCommand, TopUpCommand,
    memory_bus::{MemoryBus, Order},
};

const KEY: &str = "RF-t-01";

#[test]
fn the_wallet_pays_a_refund_once_whatever_the_gateway_says_first() {
    for order in permutations(3) {
        for seed in 0..8 {
            let mut bus = paid_shop(seed);
            open(&mut bus, RefundMethod::Gateway, 1_000_000);
            bus.settle(Order::Shuffled(seed));
            assert_eq!(balance(&bus), AMOUNT - REFUND, "reserved");
            for step in &order {
                match step {
                    0 => report(&mut bus, RefundCommand::RecordSubmitted { refund_key: KEY.into() }),
                    1 => hears(&mut bus, false),
                    _ => hears(&mut bus, true),
                }
                bus.settle(Order::Shuffled(seed));
            }
            assert_eq!(balance(&bus), AMOUNT - REFUND, "{order:?}");
            assert_eq!((bus.count("WalletReversed"), bus.count("TopUpRefundConfirmed")), (0, 1), "{order:?}");
        }
    }
}

#[test]
fn a_refund_that_was_given_up_is_in_the_wallet_again_and_costs_once_when_it_happened_all_the_same() {
    for seed in 0..8 {
        let mut bus = paid_shop(seed);
        open(&mut bus, RefundMethod::Gateway, 1_000_000);
        bus.settle(Order::Shuffled(seed));
        report(&mut bus, RefundCommand::Fail { refund_key: KEY.into(), reason: "no".into() });
        bus.settle(Order::Shuffled(seed));
        assert_eq!(balance(&bus), AMOUNT);
        for confirmed in [false, true] {
            hears(&mut bus, confirmed);
            bus.settle(Order::Shuffled(seed));
            assert_eq!(balance(&bus), AMOUNT - REFUND);
        }
    }
}

#[test]
fn what_waits_for_a_second_yes_moves_nothing_at_the_gateway_and_a_no_gives_it_back() {
    let mut bus = paid_shop(0);
    open(&mut bus, RefundMethod::Gateway, 1_000);
    bus.settle(Order::InTurn);
    assert_eq!((balance(&bus), bus.count("TopUpRefundReady")), (AMOUNT - REFUND, 0));
    let reason = Sensitive::Open("no".to_owned());
    report(&mut bus, RefundCommand::Decline { refund_key: KEY.into(), by: "budi".into(), reason });
    bus.settle(Order::InTurn);
    assert_eq!((balance(&bus), bus.count("TopUpRefundReady")), (AMOUNT, 0));
}

#[test]
fn a_wallet_that_does_not_hold_the_sum_ends_the_refund() {
    let mut bus = paid_shop(0);
    request(&mut bus, "s", ANI, PRICE).expect("bought");
    bus.settle(Order::InTurn);
    let before = balance(&bus);
    let command = RefundCommand::Open {
        order_id: None,
        amount: Rupiah::new(AMOUNT),
        method: None,
        reason: Sensitive::Open("why".to_owned()),
        by: "adi".into(),
        approval_above: Rupiah::new(1_000_000),
    };
    report(&mut bus, command);
    bus.settle(Order::InTurn);
    assert_eq!((balance(&bus), bus.count("TopUpRefundFailed"), bus.count("TopUpRefundReady")), (before, 1, 0));
}

/// A customer whose top-up was paid and credited.
fn paid_shop(seed: u64) -> MemoryBus {
    let mut bus = shop(PRICE, 1);
    top_up(&mut bus, "t", AMOUNT);
    let mut word = paid();
    word.status.payment_type = "gopay".into();
    hear(&mut bus, &word);
    bus.settle(Order::Shuffled(seed));
    bus
}

fn news(bank_confirmed: bool) -> Word {
    let mut word = with_refund("partial_refund", bank_confirmed);
    word.status.refunds[0].refund_key = KEY.into();
    word
}

/// The gateway's word under a key of its own: a notice that changes nothing must not answer for the next.
fn hears(bus: &mut MemoryBus, bank_confirmed: bool) {
    let key = format!("news-{bank_confirmed}-{}", bus.log().len());
    let command = TopUpCommand::ApplyGatewayStatus { status: news(bank_confirmed).status, after: None };
    bus.tell(&key, "t", AnyCommand::TopUp(command)).expect("applied");
}

fn open(bus: &mut MemoryBus, method: RefundMethod, approval_above: i64) {
    let command = RefundCommand::Open {
        order_id: None,
        amount: Rupiah::new(REFUND),
        method: Some(method),
        reason: Sensitive::Open("why".to_owned()),
        by: "adi".into(),
        approval_above: Rupiah::new(approval_above),
    };
    report(bus, command);
}

fn report(bus: &mut MemoryBus, command: RefundCommand) {
    let key = format!("desk-{}", bus.log().len());
    bus.tell(&key, "t", AnyCommand::TopUp(TopUpCommand::Desk(command))).expect("the desk takes it");
}
