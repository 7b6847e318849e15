//! Facts about invoices and about the yearly book that numbers them without a gap.

use minispod_kernel::{Rupiah, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{contract::contract, subscription::Period};

/// What an invoice is for, and where its money is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InvoiceKind {
    TopUp {
        topup_id: String,
        order_id: String,
        payment_type: String,
    },
    Subscription {
        subscription_id: String,
        display_name: String,
        period: Period,
    },
    /// The rest of `period` by another plan; `refunded` went back to the wallet.
    PlanChange {
        subscription_id: String,
        display_name: String,
        change: u32,
        period: Period,
        refunded: Rupiah,
    },
}

/// One line: quantity × unit price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceLine {
    pub description: String,
    pub quantity: u32,
    pub unit_price: Rupiah,
    pub total: Rupiah,
}

/// Facts about one invoice; immutable once issued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum InvoiceEvent {
    /// The money step made it; it has no number yet.
    InvoiceDrafted {
        user_id: String,
        subject: InvoiceKind,
        lines: Vec<InvoiceLine>,
        total: Rupiah,
        currency: String,
        occurred_at: Timestamp,
    },
    /// Numbered `INV-YYYY-NNNNNN`, issued and paid at once (wallet money).
    InvoiceIssued {
        user_id: String,
        number: String,
        subject: InvoiceKind,
        total: Rupiah,
        occurred_at: Timestamp,
    },
    InvoicePaid {
        occurred_at: Timestamp,
    },
    InvoiceVoided {
        reason: String,
        occurred_at: Timestamp,
    },
    InvoiceDownloaded {
        occurred_at: Timestamp,
    },
}

contract!(
    InvoiceEvent,
    "billing",
    "invoice",
    [InvoiceDrafted, InvoiceIssued, InvoicePaid, InvoiceVoided, InvoiceDownloaded]
);

/// Facts about the numbers of one year; the aggregate id is the year (`2026`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum InvoiceBookEvent {
    /// `number` counts from 1 without a gap.
    InvoiceNumberAssigned { invoice_id: String, number: u32, occurred_at: Timestamp },
}

contract!(InvoiceBookEvent, "billing", "invoice_book", [InvoiceNumberAssigned]);
