//! The rows of the billing read model and the words in them.

use minispod_events::InvoiceLine;
use minispod_kernel::{Rupiah, Timestamp, ids::derived_id};
use serde::{Deserialize, Serialize};

use crate::{rows::Row, words::words};

/// The only currency.
pub(crate) const CURRENCY: &str = "IDR";

words! {
    /// What a line of the history is.
    TransactionType { TopUp = "TOPUP", ServicePurchase = "SERVICE_PURCHASE", Refund = "REFUND", Adjustment = "ADJUSTMENT", Promotion = "PROMOTION" }
}

words! {
    /// How a line of the history stands.
    TransactionStatus {
        Pending = "PENDING", Success = "SUCCESS", Failed = "FAILED", Cancelled = "CANCELLED", Expired = "EXPIRED",
    }
}

words! {
    /// How a top-up stands.
    TopUpStatus {
        Pending = "PENDING", Paid = "PAID", Expired = "EXPIRED", Cancelled = "CANCELLED", Failed = "FAILED",
    }
}

words! {
    /// What an invoice is for.
    InvoiceType { TopUp = "TOPUP", Subscription = "SUBSCRIPTION" }
}

words! {
    /// How an invoice stands. `Sent` and `Overdue` are the contract's words; wallet money never leads to them.
    InvoiceStatus {
        Draft = "DRAFT", Sent = "SENT", Paid = "PAID", Overdue = "OVERDUE", Cancelled = "CANCELLED",
    }
}

/// One wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalletRow {
    pub user_id: String,
    pub balance: Rupiah,
    /// What of it was given and not paid in: spent first, never paid out.
    pub promotional: Rupiah,
    pub currency: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Row for WalletRow {
    const TABLE: &'static str = "wallets";
    const COLUMNS: &'static [&'static str] =
        &["user_id", "balance", "promotional", "currency", "created_at", "updated_at"];
    fn key(&self) -> &str {
        &self.user_id
    }
}

/// One top-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUpRow {
    pub id: String,
    pub user_id: String,
    pub amount: Rupiah,
    pub currency: String,
    pub status: TopUpStatus,
    /// The order that was paid, else the latest attempt's.
    pub order_id: String,
    pub attempt: u32,
    /// Whether the gateway has given a payment page for `order_id`; its token is in the vault.
    pub has_token: bool,
    pub payment_type: Option<String>,
    /// The gateway's own id of the payment.
    pub transaction_id: Option<String>,
    pub under_review: bool,
    /// What went back after it was paid, by the gateway or by the refund desk.
    pub taken_back: Rupiah,
    /// Why a person must look.
    pub quarantine: Option<String>,
    pub paid_at: Option<Timestamp>,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Row for TopUpRow {
    const TABLE: &'static str = "topups";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "user_id",
        "amount",
        "currency",
        "status",
        "order_id",
        "attempt",
        "has_token",
        "payment_type",
        "transaction_id",
        "under_review",
        "taken_back",
        "quarantine",
        "paid_at",
        "expires_at",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

/// One order at the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderRow {
    pub order_id: String,
    pub topup_id: String,
    pub attempt: u32,
    pub created_at: Timestamp,
}

impl Row for OrderRow {
    const TABLE: &'static str = "topup_orders";
    const COLUMNS: &'static [&'static str] = &["order_id", "topup_id", "attempt", "created_at"];
    fn key(&self) -> &str {
        &self.order_id
    }
}

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRow {
    pub id: String,
    pub user_id: String,
    #[serde(rename = "type")]
    pub kind: TransactionType,
    pub status: TransactionStatus,
    pub description: String,
    /// Never negative but for an adjustment that took money away.
    pub amount: Rupiah,
    pub currency: String,
    /// Order id, subscription id or the adjustment's key.
    pub reference_id: String,
    pub reference_type: String,
    pub payment_gateway: String,
    pub payment_method: Option<String>,
    pub cause: String,
    pub topup_id: Option<String>,
    pub subscription_id: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl TransactionRow {
    /// The id of a top-up's own line, known before anything is paid.
    pub fn id_of_topup(topup_id: &str) -> String {
        derived_id(&["transaction", "topup", topup_id])
    }

    /// The id of the line of one wallet entry (`EntryCause::key`).
    pub fn id_of_cause(cause: &str) -> String {
        derived_id(&["transaction", cause])
    }
}

impl Row for TransactionRow {
    const TABLE: &'static str = "transactions";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "user_id",
        "type",
        "status",
        "description",
        "amount",
        "currency",
        "reference_id",
        "reference_type",
        "payment_gateway",
        "payment_method",
        "cause",
        "topup_id",
        "subscription_id",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

/// One invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceRow {
    pub id: String,
    /// `None` until the book has numbered it; questions answer numbered invoices only.
    pub number: Option<String>,
    pub user_id: String,
    #[serde(rename = "type")]
    pub kind: InvoiceType,
    pub amount: Rupiah,
    pub currency: String,
    pub status: InvoiceStatus,
    pub description: String,
    pub lines: Vec<InvoiceLine>,
    pub cause: String,
    pub topup_id: Option<String>,
    pub order_id: Option<String>,
    pub payment_type: Option<String>,
    pub subscription_id: Option<String>,
    pub display_name: Option<String>,
    pub period_number: Option<u32>,
    pub period_start: Option<Timestamp>,
    pub period_end: Option<Timestamp>,
    pub due_date: Timestamp,
    pub issued_at: Option<Timestamp>,
    pub paid_at: Option<Timestamp>,
    pub void_reason: Option<String>,
    pub download_count: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Row for InvoiceRow {
    const TABLE: &'static str = "invoices";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "number",
        "user_id",
        "type",
        "amount",
        "currency",
        "status",
        "description",
        "lines",
        "cause",
        "topup_id",
        "order_id",
        "payment_type",
        "subscription_id",
        "display_name",
        "period_number",
        "period_start",
        "period_end",
        "due_date",
        "issued_at",
        "paid_at",
        "void_reason",
        "download_count",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}
