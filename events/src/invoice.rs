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

/// Who sold, as the document names them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SellerSnapshot {
    pub name: String,
    /// One a row.
    pub address: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    /// NPWP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
}

/// The tax inside a total: `price + tax = total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaxSnapshot {
    /// Hundredths of a percent.
    pub rate_basis_points: u32,
    /// The base as a fraction of the price.
    pub base_numerator: u32,
    pub base_denominator: u32,
    /// Without tax.
    pub price: Rupiah,
    /// DPP: what the rate applies to.
    pub base: Rupiah,
    /// PPN.
    pub tax: Rupiah,
}

/// What the document says beside its draft, in no language yet; so it never changes with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuedTerms {
    pub seller: SellerSnapshot,
    /// None: there was no tax in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax: Option<TaxSnapshot>,
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
        /// None: issued before documents kept them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        terms: Option<IssuedTerms>,
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
    [InvoiceDrafted, InvoiceIssued, InvoicePaid, InvoiceVoided, InvoiceDownloaded],
    versions { InvoiceIssued: "2.0" }
);

/// Facts about the numbers of one year; the aggregate id is the year (`2026`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum InvoiceBookEvent {
    /// `number` counts from 1 without a gap.
    InvoiceNumberAssigned { invoice_id: String, number: u32, occurred_at: Timestamp },
}

contract!(InvoiceBookEvent, "billing", "invoice_book", [InvoiceNumberAssigned]);
