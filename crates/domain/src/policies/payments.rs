//! What follows from top-ups: money in, an invoice, money taken back.

use minispod_events::{
    Account, EntryCause, InvoiceKind, ManualTopUpEvent, TopUpEvent, WalletEvent, wallet::manual_order_id,
};
use minispod_kernel::Rupiah;

use super::{Reaction, documents::draft};
use crate::{AnyCommand, RefundCommand, WalletCommand};

mod desk;

/// What papers call the way a manual top-up was paid.
const MANUAL_TRANSFER: &str = "manual_transfer";

pub fn after_topup(topup_id: &str, event: &TopUpEvent) -> Vec<Reaction> {
    match event {
        TopUpEvent::TopUpConfirmed { user_id, order_id, amount, payment_type, .. } => {
            let cause = EntryCause::TopUp { topup_id: topup_id.to_owned(), order_id: order_id.clone() };
            let credit = AnyCommand::Wallet(WalletCommand::Credit { amount: *amount, cause });
            let subject = InvoiceKind::TopUp {
                topup_id: topup_id.to_owned(),
                order_id: order_id.clone(),
                payment_type: payment_type.clone(),
            };
            vec![
                Reaction::new("credit-wallet", user_id, credit),
                draft(&["topup", order_id], user_id, subject, "Wallet top-up", *amount),
            ]
        }
        TopUpEvent::TopUpReversed { user_id, order_id, amount, key, .. } => {
            vec![take_back(topup_id, user_id, order_id, key.clone(), *amount, Account::GatewayClearing)]
        }
        TopUpEvent::TopUpRefunded { user_id, order_id, refund_key, amount, .. } => {
            let key = format!("refund:{refund_key}");
            vec![take_back(topup_id, user_id, order_id, key, *amount, Account::GatewayClearing)]
        }
        TopUpEvent::TopUpChargedBack { user_id, order_id, key, amount, .. } => {
            vec![take_back(topup_id, user_id, order_id, format!("chargeback:{key}"), *amount, Account::Disputes)]
        }
        TopUpEvent::TopUpRequested { .. }
        | TopUpEvent::TopUpAttemptStarted { .. }
        | TopUpEvent::TopUpPaymentTokenIssued { .. }
        | TopUpEvent::TopUpNotificationRecorded { .. }
        | TopUpEvent::TopUpAwaitingPayment { .. }
        | TopUpEvent::TopUpHeld { .. }
        | TopUpEvent::TopUpDenied { .. }
        | TopUpEvent::TopUpExpired { .. }
        | TopUpEvent::TopUpCancelled { .. }
        | TopUpEvent::TopUpRefundRequested { .. }
        | TopUpEvent::TopUpRefundConfirmed { .. }
        | TopUpEvent::TopUpQuarantined { .. }
        | TopUpEvent::TopUpQuarantineClosed { .. }
        | TopUpEvent::TopUpWithdrawn { .. } => Vec::new(),
        TopUpEvent::TopUpRefundOpened { .. }
        | TopUpEvent::TopUpRefundApproved { .. }
        | TopUpEvent::TopUpRefundDeclined { .. }
        | TopUpEvent::TopUpRefundReserved { .. }
        | TopUpEvent::TopUpRefundReady { .. }
        | TopUpEvent::TopUpRefundSubmitted { .. }
        | TopUpEvent::TopUpRefundFailed { .. } => desk::after_refund(topup_id, event),
    }
}

/// The desk's money has moved: its refund goes on.
pub fn after_wallet(event: &WalletEvent) -> Vec<Reaction> {
    match event {
        WalletEvent::WalletDebited { cause: EntryCause::TopUpRefund { topup_id, refund_key, .. }, .. } => {
            let command = RefundCommand::RecordReserved { refund_key: refund_key.clone() };
            vec![desk::to_desk("confirm-refund-reserved", topup_id, command)]
        }
        WalletEvent::WalletCredited { cause: EntryCause::TopUpCreditedByHand { topup_id, refund_key, .. }, .. } => {
            let command = RefundCommand::Complete { refund_key: refund_key.clone() };
            vec![desk::to_desk("confirm-credited-by-hand", topup_id, command)]
        }
        _ => Vec::new(),
    }
}

/// An approved transfer is money like any other: credited once, with an invoice and its mail.
pub fn after_manual_topup(id: &str, event: &ManualTopUpEvent) -> Vec<Reaction> {
    let ManualTopUpEvent::ManualTopUpApproved { user_id, amount, .. } = event else { return Vec::new() };
    let cause = EntryCause::ManualTopUp { manual_topup_id: id.to_owned() };
    let counter_account = Account::BankClearing;
    let credit = AnyCommand::Wallet(WalletCommand::PayIn { amount: *amount, cause, counter_account });
    let order_id = manual_order_id(id);
    let subject = InvoiceKind::TopUp {
        topup_id: id.to_owned(),
        order_id: order_id.clone(),
        payment_type: MANUAL_TRANSFER.to_owned(),
    };
    vec![
        Reaction::new("credit-wallet", user_id, credit).inline(),
        draft(&["topup", &order_id], user_id, subject, "Wallet top-up", *amount),
    ]
}

fn take_back(
    topup_id: &str,
    user_id: &str,
    order_id: &str,
    key: String,
    amount: Rupiah,
    counter_account: Account,
) -> Reaction {
    let cause = EntryCause::TopUpTakenBack { topup_id: topup_id.to_owned(), order_id: order_id.to_owned(), key };
    // One event takes back once; its refund key keeps several refunds of one order apart in the wallet.
    let command = AnyCommand::Wallet(WalletCommand::Reverse { amount, cause, counter_account });
    Reaction::new("take-back", user_id, command)
}
