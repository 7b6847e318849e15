//! Who runs what: subscriptions and their instances.

mod fold;
mod questions;
mod rows;

use async_trait::async_trait;
use minispod_events::{Event, Fact};
use sqlx::PgConnection;

pub use questions::{
    AppliedInstance, InstanceFilter, InstanceView, Leftovers, Promised, Sold, SubscriptionCounts, SubscriptionDetail,
    SubscriptionFilter, SubscriptionSort, SubscriptionView, applied_instances, count_by_plan, count_by_user,
    count_since, counts, counts_of_user, detail, find, find_many, instance, instance_counts, instances, leftovers_of,
    live_of, page, promises, sold, users_with_subscriptions,
};
pub use rows::{DriftState, InstanceRow, InstanceStatus, SubscriptionRow, SubscriptionStatus};

use crate::{Projection, ProjectionError};

/// The read model.
pub struct Subscriptions;

#[async_trait]
impl Projection for Subscriptions {
    fn name(&self) -> &'static str {
        "subscriptions"
    }

    fn revision(&self) -> u32 {
        9
    }

    fn schema(&self) -> &'static str {
        include_str!("subscriptions.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::Subscription(_) | Event::Instance(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        fold::apply(tx, facts).await
    }
}
