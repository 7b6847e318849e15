//! The rows of recurring revenue.

use minispod_kernel::{Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use super::movement::{MovementKind, Recurring};
use crate::{rows::Row, words::words};

words! {
    /// How a failed renewal ended.
    Outcome {
        /// The period was paid later.
        Paid = "PAID",
        /// The subscription ended unpaid.
        Ended = "ENDED",
    }
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionRow {
    pub id: String,
    pub user_id: String,
    pub offering: String,
    /// Of one period.
    pub months: u32,
    /// Of one period.
    pub price: Rupiah,
    /// Of a month, whether it is active or not.
    pub monthly: Rupiah,
    pub active: bool,
    pub was_active: bool,
    pub updated_at: Timestamp,
}

impl SubscriptionRow {
    pub(super) fn recurring(&self) -> Recurring {
        Recurring { price: self.price, months: self.months, active: self.active, was_active: self.was_active }
    }

    pub(super) fn set(&mut self, to: &Recurring) {
        self.price = to.price;
        self.monthly = to.monthly();
        self.active = to.active;
        self.was_active = to.was_active;
    }
}

impl Row for SubscriptionRow {
    const TABLE: &'static str = "recurring_subscriptions";
    const COLUMNS: &'static [&'static str] =
        &["id", "user_id", "offering", "months", "price", "monthly", "active", "was_active", "updated_at"];
    fn key(&self) -> &str {
        &self.id
    }
}

/// One movement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MovementRow {
    pub id: String,
    pub subscription_id: String,
    pub user_id: String,
    pub offering: String,
    pub kind: MovementKind,
    pub before: Rupiah,
    pub after: Rupiah,
    pub day: String,
    pub created_at: Timestamp,
}

impl Row for MovementRow {
    const TABLE: &'static str = "recurring_movements";
    const COLUMNS: &'static [&'static str] =
        &["id", "subscription_id", "user_id", "offering", "kind", "before", "after", "day", "created_at"];
    fn key(&self) -> &str {
        &self.id
    }
}

/// One period whose renewal was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FailedRenewalRow {
    pub id: String,
    pub subscription_id: String,
    pub user_id: String,
    pub period: u32,
    pub amount: Rupiah,
    pub code: String,
    pub attempts: i32,
    pub outcome: Option<Outcome>,
    pub failed_at: Timestamp,
    pub last_failed_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl Row for FailedRenewalRow {
    const TABLE: &'static str = "failed_renewals";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "subscription_id",
        "user_id",
        "period",
        "amount",
        "code",
        "attempts",
        "outcome",
        "failed_at",
        "last_failed_at",
        "ended_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}
