//! What subscriptions bring in month by month: recurring revenue, its movements, and renewals that were not paid.

mod fold;
mod movement;
mod questions;
mod rows;
mod series;

use async_trait::async_trait;
use minispod_events::{Event, Fact};
use sqlx::PgConnection;

pub use movement::{Change, MovementKind, Recurring, change};
pub use questions::{
    Failed, FailedFilter, FailedKind, MonthRow, OfferingMrr, current, failed_payments, failed_rows, months,
};
pub use rows::{Outcome, SubscriptionRow};
pub use series::{Month, series};

use crate::{Projection, ProjectionError};

/// The read model.
pub struct RecurringRevenue;

#[async_trait]
impl Projection for RecurringRevenue {
    fn name(&self) -> &'static str {
        "recurring"
    }

    fn revision(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("recurring.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::Subscription(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        fold::apply(tx, facts).await
    }
}
