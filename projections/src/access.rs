//! Who is let in: one row per session, one per API token.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minispod_events::{ApiScope, Event, Fact, SessionEvent, UserEvent};
use minispod_kernel::{Timestamp, sensitive::FORGOTTEN_TEXT};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, QueryBuilder};

use crate::{
    Projection, ProjectionError,
    rows::{Row, Rows, database, row_of, rows_of},
};

/// Most sessions that one list shows.
pub const SESSIONS_SHOWN: i64 = 500;

/// Most API tokens that one list shows.
pub const API_TOKENS_SHOWN: i64 = 100;

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

/// One API token. The name a forgotten person gave it reads `(deleted)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiTokenRow {
    pub id: String,
    pub user_id: String,
    pub name: String,
    pub scopes: Vec<ApiScope>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl Row for ApiTokenRow {
    const TABLE: &'static str = "api_tokens";
    const COLUMNS: &'static [&'static str] =
        &["id", "user_id", "name", "scopes", "created_at", "expires_at", "revoked_at"];
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
        2
    }

    fn schema(&self) -> &'static str {
        include_str!("access.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::Session(_) | Event::User(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        apply_sessions(tx, facts).await?;
        apply_tokens(tx, facts).await
    }
}

async fn apply_sessions(tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
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

async fn apply_tokens(tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
    let about = |fact: &Fact| match &fact.event {
        Event::User(
            UserEvent::UserApiTokenCreated { token_id, .. } | UserEvent::UserApiTokenRevoked { token_id, .. },
        ) => Some(token_id.clone()),
        _ => None,
    };
    let mut tokens: Rows<ApiTokenRow> = Rows::load(tx, facts.iter().filter_map(about).collect()).await?;
    let mut forgotten = Vec::new();
    for fact in facts {
        let Event::User(event) = &fact.event else { continue };
        match event {
            UserEvent::UserApiTokenCreated { token_id, name, scopes, expires_at, occurred_at } => {
                tokens.put(ApiTokenRow {
                    id: token_id.clone(),
                    user_id: fact.recorded.aggregate_id.clone(),
                    name: name.text().to_owned(),
                    scopes: scopes.clone(),
                    created_at: *occurred_at,
                    expires_at: *expires_at,
                    revoked_at: None,
                });
            }
            UserEvent::UserApiTokenRevoked { token_id, occurred_at } => {
                if let Some(token) = tokens.edit(token_id) {
                    token.revoked_at = Some(*occurred_at);
                }
            }
            UserEvent::UserForgotten { .. } => forgotten.push(fact.recorded.aggregate_id.clone()),
            _ => {}
        }
    }
    tokens.store(tx).await?;
    if forgotten.is_empty() {
        return Ok(());
    }
    // Who is forgotten does nothing after, so the order within the batch does not matter.
    sqlx::query("UPDATE api_tokens SET name = $1 WHERE user_id = ANY($2)")
        .bind(FORGOTTEN_TEXT)
        .bind(&forgotten)
        .execute(tx)
        .await
        .map_err(database("api_tokens"))?;
    Ok(())
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

/// The API token `id`, good or over.
pub async fn api_token(pool: &PgPool, id: &str) -> Result<Option<ApiTokenRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.api_tokens t WHERE id = ");
    query.push_bind(id.to_owned());
    row_of(pool, "api_tokens", query).await
}

/// The API tokens of `user_id` that can still be used at `now`, newest first, at most [`API_TOKENS_SHOWN`].
pub async fn live_api_tokens(
    pool: &PgPool,
    user_id: &str,
    now: Timestamp,
) -> Result<Vec<ApiTokenRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.api_tokens t WHERE user_id = ");
    query.push_bind(user_id.to_owned()).push(" AND revoked_at IS NULL AND expires_at > ").push_bind(now.to_utc());
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(API_TOKENS_SHOWN);
    rows_of(pool, "api_tokens", query).await
}
