//! Which changes of plan a subscription has seen, and where each stands.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minispod_events::{Event, Fact, PlanChangeDirection, PlanSnapshot, ProrationFigures, SubscriptionEvent};
use minispod_kernel::{Actor, Rupiah, Timestamp, ids::derived_id};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use crate::{
    Page, PageRequest, Projection, ProjectionError,
    rows::{Conditions, Row, Rows, count_of, rows_of},
    words::words,
};

words! {
    /// Where a change of plan stands.
    PlanChangeStatus {
        Pending = "PENDING", PaymentRequired = "PAYMENT_REQUIRED", Processing = "PROCESSING",
        MigratingResources = "MIGRATING_RESOURCES", Completed = "COMPLETED", Failed = "FAILED",
        RolledBack = "ROLLED_BACK", Cancelled = "CANCELLED",
    }
}

words! {
    /// Which way it goes.
    PlanChangeType { Upgrade = "UPGRADE", Downgrade = "DOWNGRADE", PlanChange = "PLAN_CHANGE" }
}

impl From<PlanChangeDirection> for PlanChangeType {
    fn from(direction: PlanChangeDirection) -> Self {
        match direction {
            PlanChangeDirection::Upgrade => Self::Upgrade,
            PlanChangeDirection::Downgrade => Self::Downgrade,
            PlanChangeDirection::Sideways => Self::PlanChange,
        }
    }
}

/// One change of plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanChangeRow {
    pub id: String,
    pub subscription_id: String,
    pub number: u32,
    /// Whose subscription it is.
    pub user_id: String,
    pub change_type: PlanChangeType,
    pub status: PlanChangeStatus,
    pub from_plan_id: String,
    pub from_display_name: String,
    pub from_variant: String,
    pub from_price: Rupiah,
    pub to_plan_id: String,
    pub to_display_name: String,
    pub to_variant: String,
    pub to_price: Rupiah,
    /// `None` while it is only scheduled.
    pub figures: Option<ProrationFigures>,
    /// The person who asked.
    pub initiated_by: Option<String>,
    pub failure: Option<String>,
    pub initiated_at: Timestamp,
    /// When it comes, while it is scheduled.
    pub due_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub rolled_back_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

impl Row for PlanChangeRow {
    const TABLE: &'static str = "plan_changes";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "subscription_id",
        "number",
        "user_id",
        "change_type",
        "status",
        "from_plan_id",
        "from_display_name",
        "from_variant",
        "from_price",
        "to_plan_id",
        "to_display_name",
        "to_variant",
        "to_price",
        "figures",
        "initiated_by",
        "failure",
        "initiated_at",
        "due_at",
        "completed_at",
        "rolled_back_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

/// The id of the change of that number; the same wherever it is asked.
pub fn id_of(subscription_id: &str, number: u32) -> String {
    derived_id(&["plan-change", subscription_id, &number.to_string()])
}

/// The read model.
pub struct PlanChanges;

#[async_trait]
impl Projection for PlanChanges {
    fn name(&self) -> &'static str {
        "plan_changes"
    }

    fn revision(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("plan_changes.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::Subscription(event) if number_of(event).is_some())
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let changes = facts.iter().filter_map(|fact| match &fact.event {
            Event::Subscription(event) => number_of(event).map(|number| (fact, event, number)),
            _ => None,
        });
        let changes: Vec<_> = changes.collect();
        if changes.is_empty() {
            return Ok(());
        }
        let keys: BTreeSet<_> =
            changes.iter().map(|(fact, _, number)| id_of(&fact.recorded.aggregate_id, *number)).collect();
        let mut rows = Rows::load(tx, keys).await?;
        for (fact, event, number) in changes {
            enter(&mut rows, fact, event, number);
        }
        rows.store(tx).await
    }
}

/// The number of the change that an event is about.
const fn number_of(event: &SubscriptionEvent) -> Option<u32> {
    match event {
        SubscriptionEvent::SubscriptionDowngradeScheduled { change, .. }
        | SubscriptionEvent::SubscriptionDowngradeWithdrawn { change, .. }
        | SubscriptionEvent::SubscriptionPlanChangeStarted { change, .. }
        | SubscriptionEvent::SubscriptionPlanChangeSlotHeld { change, .. }
        | SubscriptionEvent::SubscriptionPlanChangePaid { change, .. }
        | SubscriptionEvent::SubscriptionPlanChanged { change, .. }
        | SubscriptionEvent::SubscriptionPlanChangeFailed { change, .. }
        | SubscriptionEvent::SubscriptionPlanChangeReverted { change, .. } => Some(*change),
        _ => None,
    }
}

fn enter(rows: &mut Rows<PlanChangeRow>, fact: &Fact, event: &SubscriptionEvent, number: u32) {
    let subscription_id = &fact.recorded.aggregate_id;
    let id = id_of(subscription_id, number);
    let at = minispod_kernel::Event::occurred_at(event);
    match event {
        SubscriptionEvent::SubscriptionDowngradeScheduled { user_id, from, to, at: due, .. } => {
            let blank = blank(fact, number, user_id, (from, to), at);
            let change_type = PlanChangeType::Downgrade;
            rows.put(PlanChangeRow { change_type, status: PlanChangeStatus::Pending, due_at: Some(*due), ..blank });
            return;
        }
        SubscriptionEvent::SubscriptionPlanChangeStarted { user_id, from, to, direction, proration, .. } => {
            let blank = blank(fact, number, user_id, (from, to), at);
            // Who scheduled it asked for it, not the timer.
            let before = rows.get(&id).and_then(|row| row.initiated_by.clone());
            let initiated_by = before.or(blank.initiated_by);
            let (change_type, figures) = ((*direction).into(), Some(*proration));
            rows.put(PlanChangeRow { change_type, figures, initiated_by, ..blank });
            return;
        }
        _ => {}
    }
    let Some(row) = rows.edit(&id) else { return };
    row.updated_at = at;
    match event {
        SubscriptionEvent::SubscriptionDowngradeWithdrawn { .. } => row.status = PlanChangeStatus::Cancelled,
        SubscriptionEvent::SubscriptionPlanChangeSlotHeld { .. } => row.status = PlanChangeStatus::PaymentRequired,
        SubscriptionEvent::SubscriptionPlanChangePaid { .. } => row.status = PlanChangeStatus::MigratingResources,
        SubscriptionEvent::SubscriptionPlanChanged { .. } => {
            row.status = PlanChangeStatus::Completed;
            row.completed_at = Some(at);
        }
        SubscriptionEvent::SubscriptionPlanChangeFailed { code, .. } => {
            row.status = PlanChangeStatus::Failed;
            row.failure = Some(code.clone());
        }
        SubscriptionEvent::SubscriptionPlanChangeReverted { code, .. } => {
            row.status = PlanChangeStatus::RolledBack;
            row.failure = Some(code.clone());
            row.rolled_back_at = Some(at);
        }
        _ => {}
    }
}

fn blank(
    fact: &Fact,
    number: u32,
    user_id: &str,
    (from, to): (&PlanSnapshot, &PlanSnapshot),
    at: Timestamp,
) -> PlanChangeRow {
    let subscription_id = fact.recorded.aggregate_id.clone();
    PlanChangeRow {
        id: id_of(&subscription_id, number),
        subscription_id,
        number,
        user_id: user_id.to_owned(),
        change_type: PlanChangeType::PlanChange,
        status: PlanChangeStatus::Processing,
        from_plan_id: from.plan_id.clone(),
        from_display_name: from.display_name.clone(),
        from_variant: from.variant.clone(),
        from_price: from.price,
        to_plan_id: to.plan_id.clone(),
        to_display_name: to.display_name.clone(),
        to_variant: to.variant.clone(),
        to_price: to.price,
        figures: None,
        initiated_by: match &fact.recorded.metadata.actor {
            Actor::Customer { id } | Actor::Administrator { id } => Some(id.clone()),
            _ => None,
        },
        failure: None,
        initiated_at: at,
        due_at: None,
        completed_at: None,
        rolled_back_at: None,
        updated_at: at,
    }
}

/// One page of a subscription's changes, newest first.
pub async fn page(
    pool: &PgPool,
    subscription_id: &str,
    status: Option<&str>,
    change_type: Option<&str>,
    request: PageRequest,
) -> Result<Page<PlanChangeRow>, ProjectionError> {
    let narrow = |query: &mut QueryBuilder<'_, Postgres>| {
        let mut conditions = Conditions::of(query);
        conditions.and().push("t.subscription_id = ").push_bind(subscription_id.to_owned());
        for (column, word) in [("t.status = ", status), ("t.change_type = ", change_type)] {
            if let Some(word) = word {
                conditions.and().push(column).push_bind(word.to_owned());
            }
        }
    };
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.plan_changes t");
    narrow(&mut count);
    let total = count_of(pool, "plan changes", count).await?;
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.plan_changes t");
    narrow(&mut query);
    query.push(" ORDER BY t.number DESC LIMIT ").push_bind(i64::from(request.limit()));
    query.push(" OFFSET ").push_bind(request.offset());
    Ok(Page::of(request, total, rows_of(pool, "plan changes", query).await?))
}
