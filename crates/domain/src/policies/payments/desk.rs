//! What follows from the refund desk: the wallet's money is reserved, given back, or credited by hand.

use minispod_events::{Account, EntryCause, RefundMethod, TopUpEvent};
use minispod_kernel::Rupiah;

use super::Reaction;
use crate::{AnyCommand, OnRefusal, RefundCommand, TopUpCommand, WalletCommand};

pub fn after_refund(topup_id: &str, event: &TopUpEvent) -> Vec<Reaction> {
    match event {
        TopUpEvent::TopUpRefundOpened { user_id, order_id, refund_key, amount, method, .. }
            if *method != RefundMethod::WalletCredit =>
        {
            vec![reserve(topup_id, user_id, order_id, refund_key, *amount, *method)]
        }
        TopUpEvent::TopUpRefundDeclined { user_id, order_id, refund_key, amount, method, .. }
            if *method != RefundMethod::WalletCredit =>
        {
            vec![give_back(topup_id, user_id, order_id, refund_key, *amount, *method)]
        }
        TopUpEvent::TopUpRefundFailed { user_id, order_id, refund_key, amount, method, returned: true, .. } => {
            vec![give_back(topup_id, user_id, order_id, refund_key, *amount, *method)]
        }
        TopUpEvent::TopUpRefundReady {
            user_id,
            order_id,
            refund_key,
            amount,
            method: RefundMethod::WalletCredit,
            ..
        } => {
            let cause = EntryCause::TopUpCreditedByHand {
                topup_id: topup_id.to_owned(),
                order_id: order_id.clone(),
                refund_key: refund_key.clone(),
            };
            let counter_account = Account::GatewayClearing;
            let credit = AnyCommand::Wallet(WalletCommand::PayIn { amount: *amount, cause, counter_account });
            vec![Reaction::new("credit-by-hand", user_id, credit).inline()]
        }
        _ => Vec::new(),
    }
}

/// A command to the desk of a top-up.
pub fn to_desk(policy: &'static str, topup_id: &str, command: RefundCommand) -> Reaction {
    Reaction::new(policy, topup_id, AnyCommand::TopUp(TopUpCommand::Desk(command))).inline()
}

fn reserve(
    topup_id: &str,
    user_id: &str,
    order_id: &str,
    refund_key: &str,
    amount: Rupiah,
    method: RefundMethod,
) -> Reaction {
    let (topup_id, refund_key) = (topup_id.to_owned(), refund_key.to_owned());
    let cause = EntryCause::TopUpRefund {
        topup_id: topup_id.clone(),
        order_id: order_id.to_owned(),
        refund_key: refund_key.clone(),
    };
    let pay_out = WalletCommand::PayOut { amount, cause, counter_account: other_side(method) };
    Reaction::new("reserve-refund", user_id, AnyCommand::Wallet(pay_out))
        .or(OnRefusal::FailRefund { topup_id, refund_key })
        .inline()
}

fn give_back(
    topup_id: &str,
    user_id: &str,
    order_id: &str,
    refund_key: &str,
    amount: Rupiah,
    method: RefundMethod,
) -> Reaction {
    let cause = EntryCause::TopUpRefundReturned {
        topup_id: topup_id.to_owned(),
        order_id: order_id.to_owned(),
        refund_key: refund_key.to_owned(),
    };
    let pay_in = WalletCommand::PayIn { amount, cause, counter_account: other_side(method) };
    Reaction::new("return-refund", user_id, AnyCommand::Wallet(pay_in)).inline()
}

/// Where the money of a refund lies while it is on its way.
const fn other_side(method: RefundMethod) -> Account {
    match method {
        RefundMethod::Gateway | RefundMethod::WalletCredit => Account::GatewayClearing,
        RefundMethod::BankTransfer => Account::BankClearing,
    }
}
