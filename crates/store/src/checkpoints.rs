//! How far each consumer of the log has come, moved only by whoever holds its fence.

use minispod_kernel::{InsSeq, LogPosition};
use sqlx::{PgConnection, PgPool, Row, postgres::PgRow};

use crate::StoreError;

/// One consumer's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub name: String,
    pub position: LogPosition,
    /// Of the event at `position`; writers wait for this one.
    pub ins_seq: InsSeq,
    /// The fence of the last writer.
    pub fence: i64,
}

/// The table of places.
#[derive(Clone)]
pub struct Checkpoints {
    pool: PgPool,
}

impl Checkpoints {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// The consumer's place; `None` when it has never moved (position 0).
    pub async fn load(&self, name: &str) -> Result<Option<Checkpoint>, StoreError> {
        let row = sqlx::query("SELECT name, position, ins_seq, fence FROM ops.checkpoints WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await
            .map_err(StoreError::database("read a checkpoint"))?;
        row.as_ref().map(checkpoint).transpose()
    }

    /// Every place, by name.
    pub async fn all(&self) -> Result<Vec<Checkpoint>, StoreError> {
        let rows = sqlx::query("SELECT name, position, ins_seq, fence FROM ops.checkpoints ORDER BY name")
            .fetch_all(&self.pool)
            .await
            .map_err(StoreError::database("read the checkpoints"))?;
        rows.iter().map(checkpoint).collect()
    }

    /// Moves from `from` to `to` in the caller's transaction, beside the rows that the events changed.
    ///
    /// [`StoreError::Fenced`] when the place is not `from` or a higher fence has written: roll back and stop.
    pub async fn advance_in_tx(
        &self,
        tx: &mut PgConnection,
        name: &str,
        from: LogPosition,
        to: LogPosition,
        ins_seq: InsSeq,
        fence: i64,
    ) -> Result<(), StoreError> {
        if from == LogPosition(0) {
            sqlx::query(
                "INSERT INTO ops.checkpoints (name, position, ins_seq, fence) VALUES ($1, 0, 0, $2)
                 ON CONFLICT (name) DO NOTHING",
            )
            .bind(name)
            .bind(fence)
            .execute(&mut *tx)
            .await
            .map_err(StoreError::database("begin a checkpoint"))?;
        }
        let moved = sqlx::query(
            "UPDATE ops.checkpoints SET position = $3, ins_seq = $4, fence = $5, updated_at = clock_timestamp()
             WHERE name = $1 AND position = $2 AND fence <= $5",
        )
        .bind(name)
        .bind(from.0)
        .bind(to.0)
        .bind(ins_seq.0)
        .bind(fence)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::database("move a checkpoint"))?;
        if moved.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Fenced { name: name.to_owned() }) }
    }

    /// Puts a place where an operator or a rebuild wants it, whatever it was. Fenced like a move.
    pub async fn reset_in_tx(
        &self,
        tx: &mut PgConnection,
        name: &str,
        to: LogPosition,
        ins_seq: InsSeq,
        fence: i64,
    ) -> Result<(), StoreError> {
        let set = sqlx::query(
            "INSERT INTO ops.checkpoints AS c (name, position, ins_seq, fence) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name) DO UPDATE SET position = excluded.position, ins_seq = excluded.ins_seq,
               fence = excluded.fence, updated_at = clock_timestamp()
             WHERE c.fence <= excluded.fence",
        )
        .bind(name)
        .bind(to.0)
        .bind(ins_seq.0)
        .bind(fence)
        .execute(&mut *tx)
        .await
        .map_err(StoreError::database("set a checkpoint"))?;
        if set.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Fenced { name: name.to_owned() }) }
    }

    /// Removes the place of a consumer that is gone.
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM ops.checkpoints WHERE name = $1")
            .bind(name)
            .execute(&self.pool)
            .await
            .map_err(StoreError::database("remove a checkpoint"))?;
        Ok(())
    }
}

fn checkpoint(row: &PgRow) -> Result<Checkpoint, StoreError> {
    let read = |row: &PgRow| -> Result<Checkpoint, sqlx::Error> {
        Ok(Checkpoint {
            name: row.try_get("name")?,
            position: LogPosition(row.try_get("position")?),
            ins_seq: InsSeq(row.try_get("ins_seq")?),
            fence: row.try_get("fence")?,
        })
    };
    read(row).map_err(StoreError::database("read a checkpoint"))
}
