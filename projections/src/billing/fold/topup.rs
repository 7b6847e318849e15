//! How a top-up's facts move its row and its own line of the history.

use minispod_events::{RefundMethod, TopUpEvent};
use minispod_kernel::{Rupiah, Timestamp};

use super::{
    super::rows::{CURRENCY, OrderRow, TopUpRow, TopUpStatus, TransactionRow, TransactionStatus, TransactionType},
    Books, history,
};

impl Books {
    pub(super) fn enter_topup(&mut self, id: &str, event: &TopUpEvent) {
        match event {
            TopUpEvent::TopUpRequested { user_id, amount, order_id, expires_at, occurred_at } => {
                self.topups.put(requested(id, user_id, *amount, order_id, *expires_at, *occurred_at));
                self.transactions.put(pending_line(id, user_id, *amount, order_id, *occurred_at));
                self.note_order(id, order_id, 1, *occurred_at);
            }
            TopUpEvent::TopUpAttemptStarted { attempt, order_id, expires_at, occurred_at } => {
                self.note_order(id, order_id, *attempt, *occurred_at);
                if let Some(topup) = self.topups.edit(id).filter(|topup| topup.status != TopUpStatus::Paid) {
                    topup.status = TopUpStatus::Pending;
                    topup.order_id.clone_from(order_id);
                    topup.attempt = *attempt;
                    topup.expires_at = *expires_at;
                    topup.has_token = false;
                    topup.under_review = false;
                }
            }
            other => self.move_topup(id, other),
        }
        let at = minispod_kernel::Event::occurred_at(event);
        if let Some(topup) = self.topups.edit(id) {
            topup.updated_at = at;
        }
        self.follow(id, at);
    }

    fn move_topup(&mut self, id: &str, event: &TopUpEvent) {
        let Some(topup) = self.topups.edit(id) else { return };
        match event {
            TopUpEvent::TopUpPaymentTokenIssued { order_id, .. } => {
                topup.has_token = topup.has_token || topup.order_id == *order_id;
            }
            TopUpEvent::TopUpAwaitingPayment { order_id, payment_type, .. } if is_open(topup, order_id) => {
                topup.payment_type = Some(payment_type.clone());
            }
            TopUpEvent::TopUpHeld { order_id, payment_type, .. } if is_open(topup, order_id) => {
                topup.payment_type = Some(payment_type.clone());
                topup.under_review = true;
            }
            // A second paid attempt is credited too, but the top-up keeps the order that paid it first.
            TopUpEvent::TopUpConfirmed { order_id, payment_type, transaction_id, occurred_at, .. }
                if topup.status != TopUpStatus::Paid =>
            {
                topup.status = TopUpStatus::Paid;
                topup.order_id.clone_from(order_id);
                topup.payment_type = Some(payment_type.clone());
                topup.transaction_id = Some(transaction_id.clone());
                topup.under_review = false;
                topup.paid_at = Some(*occurred_at);
            }
            TopUpEvent::TopUpDenied { order_id, .. } => end(topup, order_id, TopUpStatus::Failed),
            TopUpEvent::TopUpExpired { order_id, .. } => end(topup, order_id, TopUpStatus::Expired),
            TopUpEvent::TopUpCancelled { order_id, .. } | TopUpEvent::TopUpWithdrawn { order_id, .. } => {
                end(topup, order_id, TopUpStatus::Cancelled);
            }
            TopUpEvent::TopUpReversed { amount, .. }
            | TopUpEvent::TopUpRefunded { amount, .. }
            | TopUpEvent::TopUpChargedBack { amount, .. } => {
                topup.taken_back = topup.taken_back.checked_add(*amount).unwrap_or(topup.taken_back);
            }
            // The refund desk takes as soon as it is asked; what is not possible after all is there again.
            TopUpEvent::TopUpRefundOpened { amount, method, .. } if *method != RefundMethod::WalletCredit => {
                topup.taken_back = topup.taken_back.checked_add(*amount).unwrap_or(topup.taken_back);
            }
            TopUpEvent::TopUpRefundDeclined { amount, method, .. }
            | TopUpEvent::TopUpRefundFailed { amount, method, .. }
                if *method != RefundMethod::WalletCredit =>
            {
                topup.taken_back = topup.taken_back.checked_sub(*amount).unwrap_or(topup.taken_back);
            }
            TopUpEvent::TopUpQuarantined { reason, .. } => topup.quarantine = Some(reason.clone()),
            TopUpEvent::TopUpQuarantineClosed { .. } => topup.quarantine = None,
            _ => {}
        }
    }

    /// Brings the top-up's own line up to date. Success is the wallet's word alone, and is never taken back.
    fn follow(&mut self, id: &str, at: Timestamp) {
        let Some(topup) = self.topups.get(id) else { return };
        let status = match topup.status {
            TopUpStatus::Pending | TopUpStatus::Paid => TransactionStatus::Pending,
            TopUpStatus::Expired => TransactionStatus::Expired,
            TopUpStatus::Cancelled => TransactionStatus::Cancelled,
            TopUpStatus::Failed => TransactionStatus::Failed,
        };
        let (order_id, payment_type) = (topup.order_id.clone(), topup.payment_type.clone());
        let Some(line) = self.transactions.edit(&TransactionRow::id_of_topup(id)) else { return };
        if line.status != TransactionStatus::Success {
            line.status = status;
            line.cause = history::topup_cause(&order_id);
            line.reference_id = order_id;
            line.payment_method = payment_type;
            line.updated_at = at;
        } else if line.reference_id == order_id && line.payment_method != payment_type {
            // The wallet's entry overtook the payment's own news.
            line.payment_method = payment_type;
            line.updated_at = super::later(line.updated_at, at);
        }
    }

    fn note_order(&mut self, topup_id: &str, order_id: &str, attempt: u32, at: Timestamp) {
        self.orders.put(OrderRow {
            order_id: order_id.to_owned(),
            topup_id: topup_id.to_owned(),
            attempt,
            created_at: at,
        });
    }
}

fn is_open(topup: &TopUpRow, order_id: &str) -> bool {
    topup.status == TopUpStatus::Pending && topup.order_id == order_id
}

fn end(topup: &mut TopUpRow, order_id: &str, status: TopUpStatus) {
    if is_open(topup, order_id) {
        topup.status = status;
        topup.under_review = false;
    }
}

fn requested(
    id: &str,
    user_id: &str,
    amount: Rupiah,
    order_id: &str,
    expires_at: Timestamp,
    at: Timestamp,
) -> TopUpRow {
    TopUpRow {
        id: id.to_owned(),
        user_id: user_id.to_owned(),
        amount,
        currency: CURRENCY.to_owned(),
        status: TopUpStatus::Pending,
        order_id: order_id.to_owned(),
        attempt: 1,
        has_token: false,
        payment_type: None,
        transaction_id: None,
        under_review: false,
        taken_back: Rupiah::ZERO,
        quarantine: None,
        paid_at: None,
        expires_at,
        created_at: at,
        updated_at: at,
    }
}

fn pending_line(topup_id: &str, user_id: &str, amount: Rupiah, order_id: &str, at: Timestamp) -> TransactionRow {
    TransactionRow {
        id: TransactionRow::id_of_topup(topup_id),
        user_id: user_id.to_owned(),
        kind: TransactionType::TopUp,
        status: TransactionStatus::Pending,
        description: history::TOPUP_TEXT.to_owned(),
        amount,
        currency: CURRENCY.to_owned(),
        reference_id: order_id.to_owned(),
        reference_type: "TOP_UP_TRANSACTION".to_owned(),
        payment_gateway: history::GATEWAY.to_owned(),
        payment_method: None,
        cause: history::topup_cause(order_id),
        topup_id: Some(topup_id.to_owned()),
        subscription_id: None,
        created_at: at,
        updated_at: at,
    }
}
