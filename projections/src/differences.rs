//! Where what is sold and what the cluster has differ, since when, and what became of it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minispod_events::{DifferenceEvent, DifferenceKind, Event, Fact};
use minispod_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use crate::{
    Asked, Page, Projection, ProjectionError,
    page::{Place, Placed},
    rows::{Conditions, Row, Rows, count_of, database, rows_of},
    words::words,
};

words! {
    /// How a difference stands; one that is overdue is open still.
    DifferenceState {
        Open = "OPEN", Overdue = "OVERDUE", Resolved = "RESOLVED",
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceRow {
    pub id: String,
    pub kind: DifferenceKind,
    /// The three that follow are `None` where no fact knows whose it is.
    pub instance_id: Option<String>,
    pub subscription_id: Option<String>,
    pub user_id: Option<String>,
    /// Kind and place in the cluster; `None` where there is nothing.
    pub object: Option<String>,
    pub detail: String,
    pub state: DifferenceState,
    /// Of the last time that it was found.
    pub found_at: Timestamp,
    pub deadline: Timestamp,
    pub overdue_at: Option<Timestamp>,
    pub resolved_at: Option<Timestamp>,
}

impl Row for DifferenceRow {
    const TABLE: &'static str = "differences";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "kind",
        "instance_id",
        "subscription_id",
        "user_id",
        "object",
        "detail",
        "state",
        "found_at",
        "deadline",
        "overdue_at",
        "resolved_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

impl Placed for DifferenceRow {
    fn place(&self) -> Place {
        Place { at: self.found_at, id: self.id.clone() }
    }
}

/// The read model.
pub struct Differences;

#[async_trait]
impl Projection for Differences {
    fn name(&self) -> &'static str {
        "differences"
    }

    fn revision(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("differences.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::Difference(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let about =
            |fact: &Fact| matches!(fact.event, Event::Difference(_)).then(|| fact.recorded.aggregate_id.clone());
        let mut rows = Rows::load(tx, facts.iter().filter_map(about).collect::<BTreeSet<_>>()).await?;
        for fact in facts {
            if let Event::Difference(event) = &fact.event {
                fold(&mut rows, &fact.recorded.aggregate_id, event);
            }
        }
        rows.store(tx).await
    }
}

fn fold(rows: &mut Rows<DifferenceRow>, id: &str, event: &DifferenceEvent) {
    if let DifferenceEvent::DifferenceFound {
        kind,
        instance_id,
        subscription_id,
        user_id,
        object,
        detail,
        deadline,
        occurred_at,
    } = event
    {
        return rows.put(DifferenceRow {
            id: id.to_owned(),
            kind: *kind,
            instance_id: instance_id.clone(),
            subscription_id: subscription_id.clone(),
            user_id: user_id.clone(),
            object: object.clone(),
            detail: detail.clone(),
            state: DifferenceState::Open,
            found_at: *occurred_at,
            deadline: *deadline,
            overdue_at: None,
            resolved_at: None,
        });
    }
    let Some(row) = rows.edit(id) else { return };
    match event {
        DifferenceEvent::DifferenceOverdue { occurred_at, .. } => {
            row.state = DifferenceState::Overdue;
            row.overdue_at = Some(*occurred_at);
        }
        DifferenceEvent::DifferenceResolved { occurred_at } => {
            row.state = DifferenceState::Resolved;
            row.resolved_at = Some(*occurred_at);
        }
        // Written above.
        DifferenceEvent::DifferenceFound { .. } => {}
    }
}

/// Which differences are asked for.
#[derive(Debug, Clone, Default)]
pub struct DifferenceFilter {
    pub state: Option<DifferenceState>,
    pub kind: Option<DifferenceKind>,
}

impl DifferenceFilter {
    fn narrow<'q, 'a>(&self, query: &'q mut QueryBuilder<'a, Postgres>) -> Conditions<'q, 'a> {
        let mut conditions = Conditions::of(query);
        if let Some(state) = self.state {
            conditions.and().push("t.state = ").push_bind(state.as_str());
        }
        if let Some(kind) = self.kind {
            conditions.and().push("t.kind = ").push_bind(kind.as_str());
        }
        conditions
    }
}

/// With the name that places in lists have.
const PLACED: &str = "FROM (SELECT d.*, d.found_at AS created_at FROM read.differences d) t";

/// One page, newest found first.
pub async fn page(
    pool: &PgPool,
    filter: &DifferenceFilter,
    asked: impl Into<Asked>,
) -> Result<Page<DifferenceRow>, ProjectionError> {
    let asked = asked.into();
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.differences t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new(format!("SELECT to_jsonb(t) {PLACED}"));
    asked.seek(filter.narrow(&mut query));
    asked.close(query.push(" ORDER BY t.created_at DESC, t.id DESC"));
    Ok(Page::gathered(&asked, count_of(pool, "differences", count).await?, rows_of(pool, "differences", query).await?))
}

/// The ids of those that are not resolved, by id; at most `most`.
pub async fn open_ids(pool: &PgPool, most: i64) -> Result<Vec<String>, ProjectionError> {
    sqlx::query_scalar("SELECT id FROM read.differences WHERE state <> 'RESOLVED' ORDER BY id LIMIT $1")
        .bind(most)
        .fetch_all(pool)
        .await
        .map_err(database("differences"))
}

/// How many there are of a kind in a state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DifferenceCount {
    pub kind: DifferenceKind,
    pub state: DifferenceState,
    pub count: i64,
}

/// All of them, counted; what there is none of is left out.
pub async fn counts(pool: &PgPool) -> Result<Vec<DifferenceCount>, ProjectionError> {
    let sql = "SELECT jsonb_build_object('kind', t.kind, 'state', t.state, 'count', count(*)) \
               FROM read.differences t GROUP BY t.kind, t.state ORDER BY t.kind, t.state";
    rows_of(pool, "differences", QueryBuilder::new(sql)).await
}
