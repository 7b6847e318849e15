//! Bank transfers with their proofs, and what administrators made of them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minispod_events::{Event, Fact, ManualTopUpEvent, UserEvent};
use minispod_kernel::{Rupiah, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use crate::{
    Asked, Page, Projection, ProjectionError,
    page::{Place, Placed},
    rows::{Conditions, Row, Rows, count_of, database, row_of, rows_of},
    words::words,
};

words! {
    /// How a manual top-up stands.
    ManualTopUpStatus { Pending = "PENDING", Approved = "APPROVED", Refused = "REFUSED", Withdrawn = "WITHDRAWN" }
}

/// One manual top-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualTopUpRow {
    pub id: String,
    pub user_id: String,
    pub amount: Rupiah,
    pub status: ManualTopUpStatus,
    /// Under which its proof is kept.
    pub digest: String,
    pub media_type: String,
    pub size: i64,
    /// The first of two administrators that a large sum needs.
    pub endorsed_by: Option<String>,
    pub decided_by: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Row for ManualTopUpRow {
    const TABLE: &'static str = "manual_topups";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "user_id",
        "amount",
        "status",
        "digest",
        "media_type",
        "size",
        "endorsed_by",
        "decided_by",
        "reason",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

impl Placed for ManualTopUpRow {
    fn place(&self) -> Place {
        Place { at: self.created_at, id: self.id.clone() }
    }
}

/// The read model.
pub struct ManualTopUps;

#[async_trait]
impl Projection for ManualTopUps {
    fn name(&self) -> &'static str {
        "manual_topups"
    }

    fn revision(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("manual_topups.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::ManualTopUp(_) | Event::User(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let is_ours = |fact: &&Fact| matches!(fact.event, Event::ManualTopUp(_));
        let keys: BTreeSet<String> =
            facts.iter().filter(is_ours).map(|fact| fact.recorded.aggregate_id.clone()).collect();
        let mut rows = Rows::load(tx, keys).await?;
        for fact in facts {
            if let Event::ManualTopUp(event) = &fact.event {
                enter(&mut rows, &fact.recorded.aggregate_id, event);
            }
        }
        rows.store(tx).await?;
        for fact in facts {
            if let Event::User(UserEvent::UserForgotten { .. }) = &fact.event {
                let sql = "UPDATE manual_topups SET reason = NULL WHERE user_id = $1";
                let forget = sqlx::query(sql).bind(&fact.recorded.aggregate_id);
                forget.execute(&mut *tx).await.map_err(database("manual_topups"))?;
            }
        }
        Ok(())
    }
}

fn enter(rows: &mut Rows<ManualTopUpRow>, id: &str, event: &ManualTopUpEvent) {
    if let ManualTopUpEvent::ManualTopUpRequested { user_id, amount, proof, occurred_at, .. } = event {
        rows.put(ManualTopUpRow {
            id: id.to_owned(),
            user_id: user_id.clone(),
            amount: *amount,
            status: ManualTopUpStatus::Pending,
            digest: proof.digest.clone(),
            media_type: proof.media_type.clone(),
            size: i64::try_from(proof.size).unwrap_or(i64::MAX),
            endorsed_by: None,
            decided_by: None,
            reason: None,
            created_at: *occurred_at,
            updated_at: *occurred_at,
        });
        return;
    }
    let Some(row) = rows.edit(id) else { return };
    row.updated_at = minispod_kernel::Event::occurred_at(event);
    match event {
        // Written above.
        ManualTopUpEvent::ManualTopUpRequested { .. } => {}
        ManualTopUpEvent::ManualTopUpEndorsed { endorsed_by, .. } => row.endorsed_by = Some(endorsed_by.clone()),
        ManualTopUpEvent::ManualTopUpApproved { approved_by, .. } => {
            row.status = ManualTopUpStatus::Approved;
            row.decided_by = Some(approved_by.clone());
        }
        ManualTopUpEvent::ManualTopUpRefused { refused_by, reason, .. } => {
            row.status = ManualTopUpStatus::Refused;
            row.decided_by = Some(refused_by.clone());
            row.reason = reason.open().cloned();
        }
        ManualTopUpEvent::ManualTopUpWithdrawn { .. } => row.status = ManualTopUpStatus::Withdrawn,
    }
}

const MANUAL: &str = "SELECT to_jsonb(t) FROM read.manual_topups t";
const NEWEST: &str = " ORDER BY t.created_at DESC, t.id DESC";

/// Which manual top-ups are asked for.
#[derive(Debug, Clone, Default)]
pub struct ManualTopUpFilter {
    pub user_id: Option<String>,
    pub status: Option<ManualTopUpStatus>,
}

impl ManualTopUpFilter {
    fn narrow<'q, 'a>(&self, query: &'q mut QueryBuilder<'a, Postgres>) -> Conditions<'q, 'a> {
        let mut conditions = Conditions::of(query);
        if let Some(user_id) = &self.user_id {
            conditions.and().push("t.user_id = ").push_bind(user_id.clone());
        }
        if let Some(status) = self.status {
            conditions.and().push("t.status = ").push_bind(status.as_str());
        }
        conditions
    }
}

/// One page of manual top-ups, newest first.
pub async fn page(
    pool: &PgPool,
    filter: &ManualTopUpFilter,
    asked: impl Into<Asked>,
) -> Result<Page<ManualTopUpRow>, ProjectionError> {
    let asked = asked.into();
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.manual_topups t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new(MANUAL);
    asked.seek(filter.narrow(&mut query));
    asked.close(query.push(NEWEST));
    let total = count_of(pool, "manual_topups", count).await?;
    Ok(Page::gathered(&asked, total, rows_of(pool, "manual_topups", query).await?))
}

/// One manual top-up, of `owner` only when given.
pub async fn find(pool: &PgPool, id: &str, owner: Option<&str>) -> Result<Option<ManualTopUpRow>, ProjectionError> {
    let mut query = QueryBuilder::new(MANUAL);
    query.push(" WHERE t.id = ").push_bind(id.to_owned());
    if let Some(owner) = owner {
        query.push(" AND t.user_id = ").push_bind(owner.to_owned());
    }
    row_of(pool, "manual_topups", query).await
}
