//! Who is let in: one row per session.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minispod_events::{Event, Fact, SessionEvent};
use minispod_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, QueryBuilder};

use crate::{
    Projection, ProjectionError,
    rows::{Row, Rows, row_of, rows_of},
};

/// Most sessions that one list shows.
pub const SESSIONS_SHOWN: i64 = 500;

/// The read model.
pub struct Access;

/// One refresh-token family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    pub id: String,
    pub user_id: String,
    pub opened_at: Timestamp,
    /// When its refresh token was last exchanged; when it was opened, until then.
    pub last_used_at: Timestamp,
    /// The end of its refresh token.
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl SessionRow {
    /// The row that follows from one more fact; `None` while the session is not open.
    pub fn after(row: Option<Self>, id: &str, event: &SessionEvent) -> Option<Self> {
        if let SessionEvent::SessionOpened { user_id, expires_at, occurred_at } = event {
            return Some(Self {
                id: id.to_owned(),
                user_id: user_id.clone(),
                opened_at: *occurred_at,
                last_used_at: *occurred_at,
                expires_at: *expires_at,
                revoked_at: None,
            });
        }
        let mut row = row?;
        match event {
            // Opened above; what was noticed ends the session by the fact that follows.
            SessionEvent::SessionOpened { .. } | SessionEvent::SessionReuseDetected { .. } => {}
            SessionEvent::SessionRotated { expires_at, occurred_at, .. } => {
                row.expires_at = *expires_at;
                row.last_used_at = *occurred_at;
            }
            SessionEvent::SessionRevoked { occurred_at, .. } => row.revoked_at = Some(*occurred_at),
        }
        Some(row)
    }
}

impl Row for SessionRow {
    const TABLE: &'static str = "sessions";
    const COLUMNS: &'static [&'static str] =
        &["id", "user_id", "opened_at", "last_used_at", "expires_at", "revoked_at"];
    fn key(&self) -> &str {
        &self.id
    }
}

#[async_trait]
impl Projection for Access {
    fn name(&self) -> &'static str {
        "access"
    }

    fn revision(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("access.sql")
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let about = |fact: &Fact| matches!(fact.event, Event::Session(_)).then(|| fact.recorded.aggregate_id.clone());
        let mut sessions: Rows<SessionRow> =
            Rows::load(tx, facts.iter().filter_map(about).collect::<BTreeSet<_>>()).await?;
        for fact in facts {
            let Event::Session(event) = &fact.event else { continue };
            let id = &fact.recorded.aggregate_id;
            if let Some(row) = SessionRow::after(sessions.get(id).cloned(), id, event) {
                sessions.put(row);
            }
        }
        sessions.store(tx).await
    }
}

/// The session `id`, open or over.
pub async fn session(pool: &PgPool, id: &str) -> Result<Option<SessionRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.sessions t WHERE id = ");
    query.push_bind(id.to_owned());
    row_of(pool, "sessions", query).await
}

/// The sessions of `user_id` that can still be used at `now`, newest first, at most [`SESSIONS_SHOWN`].
pub async fn live_sessions(pool: &PgPool, user_id: &str, now: Timestamp) -> Result<Vec<SessionRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.sessions t WHERE user_id = ");
    query.push_bind(user_id.to_owned()).push(" AND revoked_at IS NULL AND expires_at > ").push_bind(now.to_utc());
    query.push(" ORDER BY opened_at DESC, id DESC LIMIT ").push_bind(SESSIONS_SHOWN);
    rows_of(pool, "sessions", query).await
}
