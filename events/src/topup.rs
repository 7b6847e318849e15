//! Facts about one top-up: its attempts at the gateway and what the gateway said of each.

use minispod_kernel::{Rupiah, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::contract;

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
    ]
);
