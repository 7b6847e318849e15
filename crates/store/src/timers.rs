//! Commands to be sent when the Clock passes an instant; the rows are consequences of events.

use minispod_kernel::Timestamp;
use serde_json::Value;
use sqlx::{PgPool, Row};

use crate::StoreError;

/// Most timers in one page.
pub const PAGE_MAX: i64 = 1_000;

/// A command and its instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Timer {
    pub id: String,
    pub due: Timestamp,
    pub aggregate_type: String,
    pub aggregate_id: String,
    /// The serialised domain command.
    pub command: Value,
    /// Of the command that set the timer.
    pub correlation_id: String,
    /// The event that set the timer.
    pub causation_id: String,
}

impl Timer {
    /// The command's idempotency key: a timer that is set again for another instant fires again.
    pub fn command_key(&self) -> String {
        format!("timer/{}@{}", self.id, self.due.unix_millis())
    }
}

/// The table of timers.
#[derive(Clone)]
pub struct Timers {
    pool: PgPool,
}

impl Timers {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The timers whose instant has come, the oldest first, at most `limit` (and [`PAGE_MAX`]).
    ///
    /// Several copies may see the same timer; its command's key makes the second firing a replay.
    pub async fn due(&self, now: Timestamp, limit: i64) -> Result<Vec<Timer>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, due, aggregate_type, aggregate_id, command, correlation_id, causation_id
             FROM ops.timers WHERE due <= $1 ORDER BY due, id LIMIT $2",
        )
        .bind(now.to_utc())
        .bind(limit.clamp(0, PAGE_MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::database("read due timers"))?;
        rows.into_iter()
            .map(|row| {
                Ok(Timer {
                    id: row.try_get("id")?,
                    due: Timestamp::new(row.try_get("due")?),
                    aggregate_type: row.try_get("aggregate_type")?,
                    aggregate_id: row.try_get("aggregate_id")?,
                    command: row.try_get("command")?,
                    correlation_id: row.try_get("correlation_id")?,
                    causation_id: row.try_get("causation_id")?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(StoreError::database("read due timers"))
    }

    /// Removes a fired timer, unless it has been set to another instant meanwhile.
    pub async fn done(&self, timer: &Timer) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM ops.timers WHERE id = $1 AND due = $2")
            .bind(&timer.id)
            .bind(timer.due.to_utc())
            .execute(&self.pool)
            .await
            .map_err(StoreError::database("remove a fired timer"))?;
        Ok(())
    }

    /// Due timers and how many milliseconds the oldest is late, for the gauges.
    pub async fn overdue(&self, now: Timestamp) -> Result<(i64, i64), StoreError> {
        sqlx::query_as(
            "SELECT count(*), coalesce((extract(epoch FROM $1 - min(due)) * 1000)::bigint, 0)
             FROM ops.timers WHERE due <= $1",
        )
        .bind(now.to_utc())
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::database("count due timers"))
    }
}
