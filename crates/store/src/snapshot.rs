//! One read-only snapshot of the database: what an audit reads while writers go on.

use minispod_kernel::{InsSeq, LogPosition, Recorded};
use sqlx::{PgConnection, Postgres, Row, Transaction};

use crate::{Store, StoreError, log};

/// Insertion numbers looked through at once.
const STRETCH: i64 = 20_000;
/// Claims read at once.
const CLAIMS: i64 = 5_000;

/// A transaction that sees one instant and can write nothing.
pub struct Snapshot {
    tx: Transaction<'static, Postgres>,
}

impl Snapshot {
    /// Takes it. Its statements may take as long as they need.
    pub async fn take(store: &Store) -> Result<Self, StoreError> {
        let mut tx = store.pool().begin().await.map_err(StoreError::database("take a snapshot"))?;
        for sentence in
            ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "SET LOCAL statement_timeout = 0"]
        {
            sqlx::query(sentence).execute(&mut *tx).await.map_err(StoreError::database("take a snapshot"))?;
        }
        Ok(Self { tx })
    }

    /// The insertion number of the newest event.
    pub async fn last(&mut self) -> Result<InsSeq, StoreError> {
        sqlx::query_scalar("SELECT coalesce(max(ins_seq), 0) FROM log.events")
            .fetch_one(&mut *self.tx)
            .await
            .map(InsSeq)
            .map_err(StoreError::database("find the newest event"))
    }

    /// The next events of these types behind `after`, in log order, and how far was looked. Position 0: not numbered yet.
    pub async fn events(
        &mut self,
        aggregate_types: &[&str],
        after: InsSeq,
    ) -> Result<(Vec<Recorded>, InsSeq), StoreError> {
        let rows = sqlx::query(&format!(
            "SELECT {} FROM log.events e LEFT JOIN log.event_log l ON l.ins_seq = e.ins_seq
             WHERE e.ins_seq > $1 AND e.ins_seq <= $1 + $2 AND e.aggregate_type = ANY ($3) ORDER BY e.ins_seq",
            log::COLUMNS
        ))
        .bind(after.0)
        .bind(STRETCH)
        .bind(aggregate_types)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(StoreError::database("read the log"))?;
        let events = rows.iter().map(log::recorded).collect::<Result<_, _>>()?;
        Ok((events, InsSeq(after.0 + STRETCH)))
    }

    /// How far a read model had come; `None`: it has no checkpoint.
    pub async fn checkpoint(&mut self, name: &str) -> Result<Option<LogPosition>, StoreError> {
        let position: Option<i64> = sqlx::query_scalar("SELECT position FROM ops.checkpoints WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(StoreError::database("read a checkpoint"))?;
        Ok(position.map(LogPosition))
    }

    /// The next claims behind the key `after` that begin with `prefix`, and who holds them; empty after the last.
    pub async fn claims(&mut self, prefix: &str, after: &str) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT key, holder_id FROM log.claims WHERE starts_with(key, $1) AND key > $2 ORDER BY key LIMIT $3",
        )
        .bind(prefix)
        .bind(after)
        .bind(CLAIMS)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(StoreError::database("read the claims"))?;
        let read = |row: &sqlx::postgres::PgRow| Ok((row.try_get("key")?, row.try_get("holder_id")?));
        rows.iter().map(read).collect::<Result<_, _>>().map_err(StoreError::database("read the claims"))
    }

    /// For the questions of read models, in the same snapshot.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}
