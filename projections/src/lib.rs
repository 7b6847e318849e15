//! The read models: what they are called, how they follow the log, and the questions they answer.
//!
//! Every `<question>.rs` has a `<question>.sql` beside it with its tables. Names in the SQL are unqualified:
//! the projector creates them in a schema of their own and shows them as views in schema `read`.
//! Queries read `read.<table>`.

use std::sync::Arc;

use async_trait::async_trait;
use minispod_events::{Event, Fact};
use sqlx::PgConnection;

pub mod access;
pub mod billing;
pub mod catalogue;
pub mod coupons;
pub mod custom_domains;
pub mod differences;
pub mod ledger;
pub mod manual_topups;
pub mod nodes;
pub mod page;
pub mod plan_changes;
pub mod recurring;
pub mod refunds;
mod rows;
pub mod subscriptions;
pub mod users;
mod words;

pub use page::{Asked, Page, PageRequest, Place};

/// A read model that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// Postgres refused; `what` names the table or question.
    #[error("the database refused {what}")]
    Database {
        what: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// An event contradicts what the read model holds; `what` names both by their ids.
    #[error("{what}")]
    Contradiction { what: String },
}

/// One read model: a pure function of the log, kept in tables that can be dropped and rebuilt.
#[async_trait]
pub trait Projection: Send + Sync {
    /// Permanent name: the checkpoint's key and the metric label.
    fn name(&self) -> &'static str;
    /// Grows whenever `schema` or `apply` would give other rows; the projector then rebuilds.
    fn revision(&self) -> u32;
    /// DDL with unqualified names; runs once in an empty schema.
    fn schema(&self) -> &'static str;
    /// Whether `apply` may write anything for such an event. What concerns a read model not only moves its checkpoint,
    /// and that need not be at once.
    fn concerns(&self, event: &Event) -> bool;
    /// Writes what `facts` say. They are opened, in log order, and come once; no I/O but this transaction,
    /// whose search path points at the tables.
    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError>;
}

/// Every read model.
pub fn all() -> Vec<Arc<dyn Projection>> {
    vec![
        Arc::new(users::Users),
        Arc::new(access::Access),
        Arc::new(catalogue::Catalogue),
        Arc::new(billing::Billing),
        Arc::new(ledger::Ledger),
        Arc::new(subscriptions::Subscriptions),
        Arc::new(plan_changes::PlanChanges),
        Arc::new(refunds::Refunds),
        Arc::new(manual_topups::ManualTopUps),
        Arc::new(recurring::RecurringRevenue),
        Arc::new(coupons::Coupons),
        Arc::new(nodes::Nodes),
        Arc::new(custom_domains::CustomDomains),
        Arc::new(differences::Differences),
    ]
}
