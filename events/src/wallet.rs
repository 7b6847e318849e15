//! Facts about one customer's rupiah wallet. Every entry is double: the counter-account is named.

use minispod_kernel::{Rupiah, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::contract;

/// The account on the other side of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    GatewayClearing,
    Revenue,
    Refunds,
    Promotions,
    Disputes,
    Adjustments,
    /// The seller's own bank account: transfers in and out that people make.
    BankClearing,
}

/// Why an entry exists; unique over all wallets, so nothing is booked twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum EntryCause {
    /// A paid top-up order.
    TopUp { topup_id: String, order_id: String },
    /// The gateway took a paid order back; `key` names the reversal, refund or chargeback.
    TopUpTakenBack { topup_id: String, order_id: String, key: String },
    /// One period of one subscription.
    SubscriptionPeriod { subscription_id: String, period: u32 },
    /// A charged period given back.
    SubscriptionPeriodRefund { subscription_id: String, period: u32 },
    /// The difference between two plans for the rest of a period; `change` counts the subscription's changes.
    PlanChange { subscription_id: String, change: u32 },
    /// What a change of plan gives back: the difference, or the whole charge of a change that was taken back.
    PlanChangeRefund { subscription_id: String, change: u32 },
    /// Money of a paid order that the refund desk gives back; taken when the refund is asked for.
    TopUpRefund { topup_id: String, order_id: String, refund_key: String },
    /// The same money when the refund was not possible or not approved.
    TopUpRefundReturned { topup_id: String, order_id: String, refund_key: String },
    /// Money that lay at the gateway and did not fit its order, credited by the refund desk.
    TopUpCreditedByHand { topup_id: String, order_id: String, refund_key: String },
    /// A bank transfer that administrators have seen.
    ManualTopUp { manual_topup_id: String },
    /// One use of a coupon that gives money.
    Coupon { coupon_id: String, use_id: String },
    /// An administrator's decision; `key` is the command's key.
    Adjustment { key: String, reason: String },
}

impl EntryCause {
    /// The claim key of this cause.
    pub fn key(&self) -> String {
        match self {
            Self::TopUp { order_id, .. } => format!("topup/{order_id}"),
            Self::TopUpTakenBack { order_id, key, .. } => format!("topup-back/{order_id}/{key}"),
            Self::SubscriptionPeriod { subscription_id, period } => format!("charge/{subscription_id}/{period}"),
            Self::SubscriptionPeriodRefund { subscription_id, period } => format!("refund/{subscription_id}/{period}"),
            Self::PlanChange { subscription_id, change } => format!("plan-change/{subscription_id}/{change}"),
            Self::PlanChangeRefund { subscription_id, change } => {
                format!("plan-change-refund/{subscription_id}/{change}")
            }
            Self::TopUpRefund { order_id, refund_key, .. } => format!("topup-refund/{order_id}/{refund_key}"),
            Self::TopUpRefundReturned { order_id, refund_key, .. } => {
                format!("topup-refund-returned/{order_id}/{refund_key}")
            }
            Self::TopUpCreditedByHand { order_id, refund_key, .. } => format!("topup-by-hand/{order_id}/{refund_key}"),
            // Like a top-up's: the invoice finds the entry by the same key.
            Self::ManualTopUp { manual_topup_id } => format!("topup/{}", manual_order_id(manual_topup_id)),
            Self::Coupon { use_id, .. } => format!("coupon/{use_id}"),
            Self::Adjustment { key, .. } => format!("adjustment/{key}"),
        }
    }
}

/// What stands for an order id on the papers of a manual top-up: `MT-<id>`.
pub fn manual_order_id(manual_topup_id: &str) -> String {
    format!("MT-{manual_topup_id}")
}

/// Facts about one wallet; the aggregate id is the user id. `balance` is the balance after the entry; `promotional` is
/// how much of `amount` is money that was given and not paid in, which is spent on services and never paid out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum WalletEvent {
    WalletOpened {
        occurred_at: Timestamp,
    },
    WalletCredited {
        amount: Rupiah,
        #[serde(default, skip_serializing_if = "Rupiah::is_zero")]
        promotional: Rupiah,
        balance: Rupiah,
        cause: EntryCause,
        counter_account: Account,
        occurred_at: Timestamp,
    },
    WalletDebited {
        amount: Rupiah,
        #[serde(default, skip_serializing_if = "Rupiah::is_zero")]
        promotional: Rupiah,
        balance: Rupiah,
        cause: EntryCause,
        counter_account: Account,
        occurred_at: Timestamp,
    },
    /// Money of a charge given back.
    WalletRefunded {
        amount: Rupiah,
        #[serde(default, skip_serializing_if = "Rupiah::is_zero")]
        promotional: Rupiah,
        balance: Rupiah,
        cause: EntryCause,
        counter_account: Account,
        occurred_at: Timestamp,
    },
    /// Taken back by the gateway; the only entry that may lead below zero.
    WalletReversed {
        amount: Rupiah,
        balance: Rupiah,
        cause: EntryCause,
        counter_account: Account,
        occurred_at: Timestamp,
    },
    /// `amount` may be negative.
    WalletAdjusted {
        amount: Rupiah,
        #[serde(default, skip_serializing_if = "Rupiah::is_zero")]
        promotional: Rupiah,
        balance: Rupiah,
        cause: EntryCause,
        counter_account: Account,
        occurred_at: Timestamp,
    },
    /// A subscription goes on as soon as the balance covers `amount`. Asked again: the later amount holds.
    WalletFundsAwaited {
        subscription_id: String,
        amount: Rupiah,
        occurred_at: Timestamp,
    },
    WalletFundsNoLongerAwaited {
        subscription_id: String,
        occurred_at: Timestamp,
    },
    /// The balance covers what this subscription waits for, after those that waited before it.
    WalletFundsArrived {
        subscription_id: String,
        amount: Rupiah,
        occurred_at: Timestamp,
    },
}

contract!(
    WalletEvent,
    "billing",
    "wallet",
    [
        WalletOpened,
        WalletCredited,
        WalletDebited,
        WalletRefunded,
        WalletReversed,
        WalletAdjusted,
        WalletFundsAwaited,
        WalletFundsNoLongerAwaited,
        WalletFundsArrived,
    ]
);
