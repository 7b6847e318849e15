//! The rows of the books.

use minispod_kernel::{Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use super::booking::EntryKind;
use crate::rows::Row;

/// One transaction, as the wallet sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRow {
    /// Derived from the cause, as the line of the customer's history is.
    pub id: String,
    /// Of its event in the log.
    pub position: i64,
    pub event_id: String,
    pub user_id: String,
    pub kind: EntryKind,
    /// `EntryCause::key`; unique over all wallets.
    pub cause: String,
    /// What the wallet gained, or lost when negative.
    pub amount: Rupiah,
    /// How much of it is money that was given and not paid in.
    pub promotional: Rupiah,
    pub balance_before: Rupiah,
    pub balance_after: Rupiah,
    /// Our account on the other side.
    pub counter_account: String,
    pub topup_id: Option<String>,
    pub order_id: Option<String>,
    pub subscription_id: Option<String>,
    pub period: Option<u32>,
    /// Of an adjustment.
    pub reason: Option<String>,
    /// The Jakarta day of `created_at`, `YYYY-MM-DD`.
    pub day: String,
    pub created_at: Timestamp,
}

impl Row for TransactionRow {
    const TABLE: &'static str = "ledger_transactions";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "position",
        "event_id",
        "user_id",
        "kind",
        "cause",
        "amount",
        "promotional",
        "balance_before",
        "balance_after",
        "counter_account",
        "topup_id",
        "order_id",
        "subscription_id",
        "period",
        "reason",
        "day",
        "created_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

/// One account's part of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LegRow {
    pub id: String,
    pub transaction_id: String,
    pub account: String,
    pub amount: Rupiah,
}

impl Row for LegRow {
    const TABLE: &'static str = "ledger_legs";
    const COLUMNS: &'static [&'static str] = &["id", "transaction_id", "account", "amount"];
    fn key(&self) -> &str {
        &self.id
    }
}

/// What an account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceRow {
    pub account: String,
    /// Of a wallet.
    pub user_id: Option<String>,
    pub balance: Rupiah,
    /// How many legs it is the sum of.
    pub entries: i64,
    pub updated_at: Timestamp,
}

impl Row for BalanceRow {
    const TABLE: &'static str = "ledger_balances";
    const COLUMNS: &'static [&'static str] = &["account", "user_id", "balance", "entries", "updated_at"];
    fn key(&self) -> &str {
        &self.account
    }
}
