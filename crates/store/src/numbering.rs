//! Numbering: what has committed gets dense positions and its link of the hash chain.

use minispod_kernel::{InsSeq, LogPosition, Recorded, chain};
use sqlx::{Connection, PgPool, Row};

use crate::{
    StoreError,
    log::{self, Head},
};

/// Most events numbered in one pass.
pub const PASS_MAX: i64 = 10_000;

/// What one pass numbered.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberedBatch {
    /// In order; empty when there was nothing new.
    pub events: Vec<Recorded>,
    /// Where the log ends now.
    pub head: Head,
    /// The pass was full: there may be more below the same barrier.
    pub more: bool,
}

/// Gives committed events their positions. Any number of copies may run; a row lock makes them take turns.
#[derive(Clone)]
pub struct Numbering {
    pool: PgPool,
}

impl Numbering {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// An insertion number below which everything has committed or never will; `None` when some append
    /// took longer than 50 ms. One autocommit call, so a frozen caller cannot stop the writers.
    pub async fn barrier(&self) -> Result<Option<i64>, StoreError> {
        let height: Option<i64> = sqlx::query_scalar("SELECT log.barrier()")
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::database("raise the barrier"))?;
        metrics::counter!("minispod_barriers_total", "result" => if height.is_some() { "raised" } else { "timed_out" })
            .increment(1);
        Ok(height)
    }

    /// Numbers the events up to the barrier's `up_to`, at most `limit` (and [`PASS_MAX`]).
    ///
    /// `up_to` must come from [`Self::barrier`]: anything higher could skip an event that commits late.
    pub async fn number(&self, up_to: i64, limit: i64) -> Result<NumberedBatch, StoreError> {
        let limit = limit.clamp(1, PASS_MAX);
        let mut connection = self.pool.acquire().await.map_err(StoreError::database("begin numbering"))?;
        let mut tx = connection.begin().await.map_err(StoreError::database("begin numbering"))?;
        sqlx::query("SELECT FROM log.cursor WHERE id = 1 FOR UPDATE")
            .execute(&mut *tx)
            .await
            .map_err(StoreError::database("lock the cursor"))?;
        let mut head = log::head(&mut *tx).await?;
        let rows = sqlx::query(
            "SELECT NULL::bigint AS position, NULL::bytea AS chain, e.ins_seq, e.aggregate_type, e.aggregate_id, e.sequence,
                    e.event_type, e.event_version, e.recorded_at, e.metadata, e.payload
             FROM log.events e WHERE e.ins_seq > $1 AND e.ins_seq <= $2 ORDER BY e.ins_seq LIMIT $3",
        )
        .bind(head.ins_seq.0)
        .bind(up_to)
        .bind(limit)
        .fetch_all(&mut *tx)
        .await
        .map_err(StoreError::database("read new events"))?;
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut event = log::recorded(row)?;
            event.position = LogPosition(head.position.0 + 1);
            event.chain = chain::chain_next(&head.chain, &chain::canonical_bytes(&event));
            head = Head { position: event.position, ins_seq: event.ins_seq, chain: event.chain, ..head };
            events.push(event);
        }
        head.count = head.position.0;
        if !events.is_empty() {
            write(&mut tx, &events, &head).await?;
        }
        tx.commit().await.map_err(StoreError::database("commit the numbering"))?;
        metrics::counter!("minispod_events_numbered_total").increment(events.len() as u64);
        metrics::gauge!("minispod_log_position").set(head.position.0 as f64);
        Ok(NumberedBatch { more: events.len() as i64 == limit, events, head })
    }

    /// Barrier and passes until everything that had committed is numbered; `None` when the barrier timed out.
    pub async fn catch_up(&self) -> Result<Option<Head>, StoreError> {
        let Some(up_to) = self.barrier().await? else { return Ok(None) };
        loop {
            let batch = self.number(up_to, PASS_MAX).await?;
            if !batch.more {
                return Ok(Some(batch.head));
            }
        }
    }

    /// Where the numbered log ends.
    pub async fn head(&self) -> Result<Head, StoreError> {
        log::head(&self.pool).await
    }

    /// Committed or drawn but not numbered yet: the distance from the insertion sequence, an upper bound.
    pub async fn backlog(&self) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END - c.ins_seq AS behind
             FROM log.event_ins_seq s, log.cursor c WHERE c.id = 1",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::database("read the backlog"))?;
        row.try_get("behind").map_err(StoreError::database("read the backlog"))
    }
}

async fn write(tx: &mut sqlx::PgConnection, events: &[Recorded], head: &Head) -> Result<(), StoreError> {
    let positions: Vec<i64> = events.iter().map(|event| event.position.0).collect();
    let ins_seqs: Vec<i64> = events.iter().map(|event| event.ins_seq.0).collect();
    let ids: Vec<&str> = events.iter().map(|event| event.metadata.event_id.as_str()).collect();
    let chains: Vec<&[u8]> = events.iter().map(|event| event.chain.as_slice()).collect();
    sqlx::query(
        "INSERT INTO log.event_log (position, ins_seq, event_id, chain)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[])",
    )
    .bind(positions)
    .bind(ins_seqs)
    .bind(ids)
    .bind(chains)
    .execute(&mut *tx)
    .await
    .map_err(StoreError::database("number events"))?;
    let InsSeq(ins_seq) = head.ins_seq;
    sqlx::query("UPDATE log.cursor SET position = $1, ins_seq = $2, chain = $3 WHERE id = 1")
        .bind(head.position.0)
        .bind(ins_seq)
        .bind(head.chain.as_slice())
        .execute(&mut *tx)
        .await
        .map_err(StoreError::database("move the cursor"))?;
    Ok(())
}
