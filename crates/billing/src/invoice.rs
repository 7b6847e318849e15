//! Everything an invoice's PDF shows, as plain data.

use minispod_events::{InvoiceKind, InvoiceLine, SellerSnapshot, TaxSnapshot};
use minispod_kernel::Rupiah;
use time::Date;

/// One invoice, ready to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct InvoiceDocument {
    /// `INV-YYYY-NNNNNN`.
    pub number: String,
    /// Jakarta date.
    pub issued_on: Date,
    pub state: InvoiceState,
    pub seller: Seller,
    pub buyer: Buyer,
    pub lines: Vec<InvoiceLine>,
    pub total: Rupiah,
    pub tax: TaxRows,
    pub references: Vec<Reference>,
}

/// What the stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvoiceState {
    Open,
    Paid { on: Date },
    Void,
}

/// Who sells; as the issued invoice keeps it.
pub type Seller = SellerSnapshot;

/// Who buys; a forgotten person is passed as the text that stands for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buyer {
    pub name: String,
    pub email: String,
    /// The account's id.
    pub customer_id: String,
}

/// The tax rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaxRows {
    /// No tax, no rows.
    Hidden,
    /// No tax, said so.
    Zero,
    /// The tax inside the total.
    Included(TaxSnapshot),
}

/// Where else the same money is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    Order(String),
    /// The gateway's word for the way of paying; empty ones are not shown.
    PaidBy(String),
    Subscription(String),
    /// First and last day, Jakarta dates.
    Period {
        start: Date,
        end: Date,
    },
}

impl Reference {
    /// What an invoice of this kind refers to.
    pub fn of(kind: &InvoiceKind) -> Vec<Self> {
        match kind {
            InvoiceKind::TopUp { order_id, payment_type, .. } => {
                vec![Self::Order(order_id.clone()), Self::PaidBy(payment_type.clone())]
            }
            InvoiceKind::Subscription { subscription_id, period, .. }
            | InvoiceKind::PlanChange { subscription_id, period, .. } => vec![
                Self::Subscription(subscription_id.clone()),
                Self::Period { start: period.start.jakarta_date(), end: period.end.jakarta_date() },
            ],
        }
    }
}
