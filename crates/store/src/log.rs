//! Reading the log: by position, by aggregate, and where it ends.

use minispod_kernel::{InsSeq, LogPosition, Metadata, Recorded, Timestamp};
use sqlx::{PgPool, Row, postgres::PgRow, types::Json};

use crate::StoreError;

/// Most events in one page.
pub const PAGE_MAX: i64 = 10_000;
/// Most events that [`LogReader::history`] returns at once.
pub const HISTORY_MAX: i64 = 100_000;

/// The columns that [`recorded`] reads, of `log.events e` and `log.event_log l`.
pub(crate) const COLUMNS: &str = "l.position, l.chain, e.ins_seq, e.aggregate_type, e.aggregate_id, e.sequence, \
     e.event_type, e.event_version, e.recorded_at, e.metadata, e.payload";

/// Where the numbered log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub position: LogPosition,
    pub ins_seq: InsSeq,
    pub chain: [u8; 32],
    /// Numbered events; positions are dense, so this equals the position.
    pub count: i64,
    /// Raised by an operator after a restore to an older point.
    pub timeline: i32,
}

/// Reads recorded events; payloads as stored.
#[derive(Clone)]
pub struct LogReader {
    pool: PgPool,
}

impl LogReader {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The numbered events after `after`, in order, at most `limit` (and [`PAGE_MAX`]).
    ///
    /// Positions are dense, so the page has an upper end that the planner can use.
    pub async fn read_after(&self, after: LogPosition, limit: i64) -> Result<Vec<Recorded>, StoreError> {
        let rows = sqlx::query(&format!(
            "SELECT {COLUMNS} FROM log.event_log l JOIN log.events e ON e.ins_seq = l.ins_seq
             WHERE l.position > $1 AND l.position <= $1 + $2 ORDER BY l.position"
        ))
        .bind(after.0)
        .bind(limit.clamp(0, PAGE_MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::database("read the log"))?;
        rows.iter().map(recorded).collect()
    }

    /// The event at `position`.
    pub async fn at(&self, position: LogPosition) -> Result<Option<Recorded>, StoreError> {
        let row = sqlx::query(&format!(
            "SELECT {COLUMNS} FROM log.event_log l JOIN log.events e ON e.ins_seq = l.ins_seq WHERE l.position = $1"
        ))
        .bind(position.0)
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::database("read the log"))?;
        row.as_ref().map(recorded).transpose()
    }

    /// The numbered event of this id.
    pub async fn by_event_id(&self, event_id: &str) -> Result<Option<Recorded>, StoreError> {
        let row = sqlx::query(&format!(
            "SELECT {COLUMNS} FROM log.event_log l JOIN log.events e ON e.ins_seq = l.ins_seq WHERE l.event_id = $1"
        ))
        .bind(event_id)
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::database("look up an event"))?;
        row.as_ref().map(recorded).transpose()
    }

    /// Where the numbered log ends.
    pub async fn head(&self) -> Result<Head, StoreError> {
        head(&self.pool).await
    }

    /// The highest insertion number drawn so far; some of it may not be committed or numbered yet.
    pub async fn last_ins_seq(&self) -> Result<InsSeq, StoreError> {
        sqlx::query_scalar("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM log.event_ins_seq")
            .fetch_one(&self.pool)
            .await
            .map(InsSeq)
            .map_err(StoreError::database("read the insertion sequence"))
    }

    /// The insertion number of the newest committed event, numbered or not: what a read model must have seen to be up to date.
    pub async fn newest_ins_seq(&self) -> Result<InsSeq, StoreError> {
        sqlx::query_scalar("SELECT coalesce(max(ins_seq), 0) FROM log.events")
            .fetch_one(&self.pool)
            .await
            .map(InsSeq)
            .map_err(StoreError::database("find the newest event"))
    }

    /// One aggregate's whole history, at most [`HISTORY_MAX`] events. Position 0 and a zero chain: not numbered yet.
    pub async fn history(&self, aggregate_type: &str, aggregate_id: &str) -> Result<Vec<Recorded>, StoreError> {
        let rows = sqlx::query(&format!(
            "SELECT {COLUMNS} FROM log.events e LEFT JOIN log.event_log l ON e.ins_seq = l.ins_seq
             WHERE e.aggregate_type = $1 AND e.aggregate_id = $2 ORDER BY e.sequence LIMIT $3"
        ))
        .bind(aggregate_type)
        .bind(aggregate_id)
        .bind(HISTORY_MAX)
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::database("read a history"))?;
        rows.iter().map(recorded).collect()
    }

    /// The version of an aggregate that `projection` shows at least; `None` when it shows none of it.
    pub async fn version_seen(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        projection: &str,
    ) -> Result<Option<i64>, StoreError> {
        sqlx::query_scalar(
            "SELECT max(e.sequence) FROM log.events e WHERE e.aggregate_type = $1 AND e.aggregate_id = $2 AND
             e.ins_seq <= (SELECT c.ins_seq FROM ops.checkpoints c WHERE c.name = $3)",
        )
        .bind(aggregate_type)
        .bind(aggregate_id)
        .bind(projection)
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::database("look up the version that is shown"))
    }

    /// The insertion number of one event of an aggregate; `None` when there is no such version.
    pub async fn ins_seq_of(
        &self,
        aggregate_type: &str,
        aggregate_id: &str,
        version: i64,
    ) -> Result<Option<InsSeq>, StoreError> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT ins_seq FROM log.events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence = $3",
        )
        .bind(aggregate_type)
        .bind(aggregate_id)
        .bind(version)
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::database("look up a version"))?;
        Ok(found.map(InsSeq))
    }
}

pub(crate) async fn head(db: impl sqlx::PgExecutor<'_>) -> Result<Head, StoreError> {
    let read = StoreError::database("read the head of the log");
    let row = sqlx::query("SELECT position, ins_seq, chain, timeline FROM log.cursor WHERE id = 1").fetch_one(db).await;
    row.and_then(|row| {
        let position: i64 = row.try_get("position")?;
        Ok(Head {
            position: LogPosition(position),
            ins_seq: InsSeq(row.try_get("ins_seq")?),
            chain: chain(&row)?.unwrap_or_default(),
            count: position,
            timeline: row.try_get("timeline")?,
        })
    })
    .map_err(read)
}

fn chain(row: &PgRow) -> Result<Option<[u8; 32]>, sqlx::Error> {
    let bytes: Option<&[u8]> = row.try_get("chain")?;
    bytes
        .map(|bytes| {
            bytes.try_into().map_err(|source| sqlx::Error::ColumnDecode {
                index: "chain".to_owned(),
                source: Box::<dyn std::error::Error + Send + Sync>::from(format!("{source}")),
            })
        })
        .transpose()
}

/// One row of [`COLUMNS`].
pub(crate) fn recorded(row: &PgRow) -> Result<Recorded, StoreError> {
    let read = |row: &PgRow| -> Result<Recorded, sqlx::Error> {
        let Json(metadata): Json<Metadata> = row.try_get("metadata")?;
        Ok(Recorded {
            position: LogPosition(row.try_get::<Option<i64>, _>("position")?.unwrap_or_default()),
            ins_seq: InsSeq(row.try_get("ins_seq")?),
            aggregate_type: row.try_get("aggregate_type")?,
            aggregate_id: row.try_get("aggregate_id")?,
            sequence: row.try_get("sequence")?,
            event_type: row.try_get("event_type")?,
            event_version: row.try_get("event_version")?,
            recorded_at: Timestamp::new(row.try_get("recorded_at")?),
            metadata,
            payload: row.try_get("payload")?,
            chain: chain(row)?.unwrap_or_default(),
        })
    };
    read(row).map_err(StoreError::database("read a recorded event"))
}
