//! Raw notifications from outside, kept sealed before anybody acts on them.

use std::{fmt, sync::Arc};

use minispod_kernel::{Clock, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::{PgPool, Row};

use crate::{StoreError, sealing::Sealer};

/// Largest body that is kept.
pub const BODY_MAX: usize = 256 * 1024;
/// Most items in one page.
pub const PAGE_MAX: i64 = 1_000;

/// SHA-256 of the body, hexadecimal: the same bytes are the same item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InboxId(pub String);

impl fmt::Display for InboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What arrived. Its body may hold personal data, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct InboxItem {
    pub id: InboxId,
    /// Which door it came in by (`midtrans`).
    pub source: String,
    pub body: Vec<u8>,
    pub headers: Vec<(String, String)>,
    pub received_at: Timestamp,
    /// `received`, or what [`Inbox::mark`] said last.
    pub mark: String,
}

/// What is sealed: body and headers together.
#[derive(Serialize, Deserialize)]
struct Letter {
    headers: Vec<(String, String)>,
    /// Hexadecimal, since a body need not be text.
    body: String,
}

/// The table of raw notifications.
#[derive(Clone)]
pub struct Inbox {
    pool: PgPool,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
}

impl Inbox {
    pub(crate) fn new(pool: PgPool, sealer: Arc<Sealer>, clock: Arc<dyn Clock>) -> Self {
        Self { pool, sealer, clock }
    }

    /// Keeps the bytes; the same body again changes nothing and has the same id.
    pub async fn record(&self, source: &str, body: &[u8], headers: &[(String, String)]) -> Result<InboxId, StoreError> {
        if body.len() > BODY_MAX {
            return Err(StoreError::Limit { what: "the size of a notification" });
        }
        let id = InboxId(hex::encode(Sha256::digest(body)));
        let letter = Letter { headers: headers.to_vec(), body: hex::encode(body) };
        let plain = serde_json::to_vec(&letter)
            .map_err(|source| StoreError::Unwritable { what: "a notification".to_owned(), source })?;
        let sealed = self.sealer.seal(&["inbox", &id.0], &plain)?;
        sqlx::query(
            "INSERT INTO ops.inbox (id, source, sealed, received_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&id.0)
        .bind(source)
        .bind(sealed)
        .bind(self.clock.now().to_utc())
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("keep a notification"))?;
        Ok(id)
    }

    /// The item, opened.
    pub async fn find(&self, id: &InboxId) -> Result<Option<InboxItem>, StoreError> {
        let row = sqlx::query("SELECT source, sealed, received_at, mark FROM ops.inbox WHERE id = $1")
            .bind(&id.0)
            .fetch_optional(&self.pool)
            .await
            .map_err(StoreError::database("read a notification"))?;
        let Some(row) = row else { return Ok(None) };
        let read = || -> Result<_, sqlx::Error> {
            Ok((
                row.try_get("source")?,
                row.try_get::<Vec<u8>, _>("sealed")?,
                Timestamp::new(row.try_get("received_at")?),
                row.try_get("mark")?,
            ))
        };
        let (source, sealed, received_at, mark) = read().map_err(StoreError::database("read a notification"))?;
        let unsealable = || StoreError::Unsealable { owner: format!("notification {id}") };
        let letter: Letter =
            serde_json::from_slice(&self.sealer.open(&["inbox", &id.0], &sealed)?).map_err(|_| unsealable())?;
        let body = hex::decode(&letter.body).map_err(|_| unsealable())?;
        Ok(Some(InboxItem { id: id.clone(), source, body, headers: letter.headers, received_at, mark }))
    }

    /// Says what became of it (`applied`, `unknown-order` …); false when there is no such item.
    pub async fn mark(&self, id: &InboxId, mark: &str) -> Result<bool, StoreError> {
        let marked = sqlx::query("UPDATE ops.inbox SET mark = $2, marked_at = $3 WHERE id = $1")
            .bind(&id.0)
            .bind(mark)
            .bind(self.clock.now().to_utc())
            .execute(&self.pool)
            .await
            .map_err(StoreError::database("mark a notification"))?;
        Ok(marked.rows_affected() == 1)
    }

    /// The items with this mark, the oldest first, at most `limit` (and [`PAGE_MAX`]).
    pub async fn marked(&self, mark: &str, limit: i64) -> Result<Vec<InboxId>, StoreError> {
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT id FROM ops.inbox WHERE mark = $1 ORDER BY received_at, id LIMIT $2")
                .bind(mark)
                .bind(limit.clamp(0, PAGE_MAX))
                .fetch_all(&self.pool)
                .await
                .map_err(StoreError::database("list notifications"))?;
        Ok(ids.into_iter().map(InboxId).collect())
    }
}
