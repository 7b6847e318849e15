//! Facts about one top-up: its attempts at the gateway and what the gateway said of each.

use minispod_kernel::{Rupiah, Sensitive, SensitiveSlot, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::contract;

/// By which way money of a paid order goes back, or comes after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefundMethod {
    /// Through the channel that was paid with.
    Gateway,
    /// A bank transfer that people make.
    BankTransfer,
    /// The inverse: money that lies at the gateway and was never credited, because it did not fit its order.
    WalletCredit,
}

/// Facts about one top-up; the aggregate id is the top-up id. Order ids are `TU-<id>.<attempt>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum TopUpEvent {
    /// Attempt 1 begins.
    TopUpRequested {
        user_id: String,
        amount: Rupiah,
        order_id: String,
        expires_at: Timestamp,
        occurred_at: Timestamp,
    },
    /// A later attempt, after the one before was denied, cancelled or expired.
    TopUpAttemptStarted {
        attempt: u32,
        order_id: String,
        expires_at: Timestamp,
        occurred_at: Timestamp,
    },
    /// The gateway gave a payment page; the token itself is in the vault (`topup/<id>`, `<order id>`).
    TopUpPaymentTokenIssued {
        order_id: String,
        occurred_at: Timestamp,
    },
    /// A signed notification was kept; `inbox_id` is its place in `ops.inbox`.
    TopUpNotificationRecorded {
        order_id: String,
        inbox_id: String,
        occurred_at: Timestamp,
    },
    /// The gateway says: chosen, not yet paid.
    TopUpAwaitingPayment {
        order_id: String,
        payment_type: String,
        occurred_at: Timestamp,
    },
    /// The gateway holds it for review; no money.
    TopUpHeld {
        order_id: String,
        payment_type: String,
        occurred_at: Timestamp,
    },
    /// Paid: credit once per order.
    TopUpConfirmed {
        user_id: String,
        order_id: String,
        amount: Rupiah,
        payment_type: String,
        transaction_id: String,
        occurred_at: Timestamp,
    },
    TopUpDenied {
        order_id: String,
        occurred_at: Timestamp,
    },
    TopUpExpired {
        order_id: String,
        occurred_at: Timestamp,
    },
    TopUpCancelled {
        order_id: String,
        occurred_at: Timestamp,
    },
    /// A paid order was taken back by the gateway (rare denial after settlement, cancelled capture).
    TopUpReversed {
        user_id: String,
        order_id: String,
        amount: Rupiah,
        key: String,
        occurred_at: Timestamp,
    },
    TopUpRefundRequested {
        order_id: String,
        refund_key: String,
        amount: Rupiah,
        reason: String,
        occurred_at: Timestamp,
    },
    /// Seen at the gateway; money leaves the wallet once per `refund_key`.
    TopUpRefunded {
        user_id: String,
        order_id: String,
        refund_key: String,
        amount: Rupiah,
        occurred_at: Timestamp,
    },
    /// The bank confirmed a refund seen before.
    TopUpRefundConfirmed {
        order_id: String,
        refund_key: String,
        occurred_at: Timestamp,
    },
    TopUpChargedBack {
        user_id: String,
        order_id: String,
        key: String,
        amount: Rupiah,
        occurred_at: Timestamp,
    },
    /// The gateway's word does not fit the order; a person must look.
    TopUpQuarantined {
        order_id: String,
        reason: String,
        occurred_at: Timestamp,
    },
    /// A person has looked at it and nothing is left to do; another doubt opens it again.
    TopUpQuarantineClosed {
        user_id: String,
        order_id: String,
        reason: Sensitive<String>,
        closed_by: String,
        occurred_at: Timestamp,
    },
    /// The customer will not pay this order any more; it is cancelled at the gateway. A payment that was faster counts.
    TopUpWithdrawn {
        order_id: String,
        occurred_at: Timestamp,
    },
    /// The refund desk was asked to give money of a paid order back; the wallet's money for it is reserved next.
    TopUpRefundOpened {
        user_id: String,
        order_id: String,
        refund_key: String,
        amount: Rupiah,
        method: RefundMethod,
        /// What the order was paid with.
        payment_type: String,
        reason: Sensitive<String>,
        requested_by: String,
        /// Whether another administrator must approve.
        needs_approval: bool,
        occurred_at: Timestamp,
    },
    /// By another administrator than the one who asked.
    TopUpRefundApproved {
        refund_key: String,
        approved_by: String,
        occurred_at: Timestamp,
    },
    /// By an administrator; the reserved money goes back into the wallet.
    TopUpRefundDeclined {
        user_id: String,
        order_id: String,
        refund_key: String,
        amount: Rupiah,
        method: RefundMethod,
        declined_by: String,
        reason: Sensitive<String>,
        occurred_at: Timestamp,
    },
    /// The wallet holds its money no more.
    TopUpRefundReserved {
        refund_key: String,
        occurred_at: Timestamp,
    },
    /// Reserved and approved: it is carried out now.
    TopUpRefundReady {
        user_id: String,
        order_id: String,
        refund_key: String,
        amount: Rupiah,
        method: RefundMethod,
        payment_type: String,
        occurred_at: Timestamp,
    },
    /// The gateway has taken it; the bank's confirmation is [`TopUpEvent::TopUpRefundConfirmed`].
    TopUpRefundSubmitted {
        refund_key: String,
        occurred_at: Timestamp,
    },
    /// It was not possible; what was reserved (`returned`) goes back into the wallet.
    TopUpRefundFailed {
        user_id: String,
        order_id: String,
        refund_key: String,
        amount: Rupiah,
        method: RefundMethod,
        /// Whether the wallet's money had been taken.
        returned: bool,
        reason: String,
        occurred_at: Timestamp,
    },
}

contract!(
    TopUpEvent,
    "billing",
    "topup",
    [
        TopUpRequested,
        TopUpAttemptStarted,
        TopUpPaymentTokenIssued,
        TopUpNotificationRecorded,
        TopUpAwaitingPayment,
        TopUpHeld,
        TopUpConfirmed,
        TopUpDenied,
        TopUpExpired,
        TopUpCancelled,
        TopUpReversed,
        TopUpRefundRequested,
        TopUpRefunded,
        TopUpRefundConfirmed,
        TopUpChargedBack,
        TopUpQuarantined,
        TopUpQuarantineClosed,
        TopUpWithdrawn,
        TopUpRefundOpened,
        TopUpRefundApproved,
        TopUpRefundDeclined,
        TopUpRefundReserved,
        TopUpRefundReady,
        TopUpRefundSubmitted,
        TopUpRefundFailed,
    ],
    sensitive(this) {
        match this {
            Self::TopUpRefundOpened { user_id, reason, .. }
            | Self::TopUpRefundDeclined { user_id, reason, .. }
            | Self::TopUpQuarantineClosed { user_id, reason, .. } => {
                vec![SensitiveSlot { field: "reason", person: Some(user_id.clone()), value: reason }]
            }
            _ => Vec::new(),
        }
    }
);
