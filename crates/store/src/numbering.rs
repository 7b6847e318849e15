//! Numbering: what has committed gets dense positions and its link of the hash chain.
//!
//! No transaction is open while events are decoded and hashed: they are read, worked on, and written by one statement
//! that does nothing unless the cursor still stands where the work began. So a slow or frozen numberer holds no lock.

use std::time::Duration;

use minispod_kernel::{LogPosition, Recorded, chain};
use sqlx::{PgConnection, PgPool, Row};

use crate::{
    StoreError,
    log::{self, Head},
};

/// Most events numbered in one pass.
pub const PASS_MAX: i64 = 1_000;
/// Payload bytes after which a pass is full.
pub const PASS_BYTES: i64 = 4 * 1_024 * 1_024;
/// Longest wait for an answer of the database: one that vanished without a word must not hold the numbering for ever.
pub const ROUND_TRIP: Duration = Duration::from_secs(5);

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
        let height: Option<i64> = self
            .bounded("raise the barrier", async |connection| {
                sqlx::query_scalar("SELECT log.barrier()").fetch_one(connection).await
            })
            .await?;
        metrics::counter!("minispod_barriers_total", "result" => if height.is_some() { "raised" } else { "timed_out" })
            .increment(1);
        Ok(height)
    }

    /// Numbers the events up to the barrier's `up_to`, at most `limit` (and [`PASS_MAX`], and about [`PASS_BYTES`]).
    ///
    /// `up_to` must come from [`Self::barrier`]: anything higher could skip an event that commits late.
    pub async fn number(&self, up_to: i64, limit: i64) -> Result<NumberedBatch, StoreError> {
        let limit = limit.clamp(1, PASS_MAX);
        let begin = self.head().await?;
        let rows =
            self.bounded("read new events", async |connection| read(connection, &begin, up_to, limit).await).await?;
        let (mut head, mut events, mut bytes) = (begin, Vec::with_capacity(rows.len()), 0);
        for row in &rows {
            let mut event = log::recorded(row)?;
            event.position = LogPosition(head.position.0 + 1);
            event.chain = chain::chain_next(&head.chain, &chain::canonical_bytes(&event));
            head = Head { position: event.position, ins_seq: event.ins_seq, chain: event.chain, ..head };
            events.push(event);
            bytes = row.try_get("bytes").map_err(StoreError::database("read new events"))?;
        }
        head.count = head.position.0;
        if events.is_empty() {
            return Ok(NumberedBatch { events, head, more: false });
        }
        let written =
            self.bounded("number events", async |connection| write(connection, &events, &begin, &head).await).await?;
        if !written {
            // Another numberer was quicker; its work is the same as ours.
            return Ok(NumberedBatch { events: Vec::new(), head: self.head().await?, more: true });
        }
        metrics::counter!("minispod_events_numbered_total").increment(events.len() as u64);
        metrics::gauge!("minispod_log_position").set(head.position.0 as f64);
        Ok(NumberedBatch { more: events.len() as i64 == limit || bytes >= PASS_BYTES, events, head })
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
        self.bounded("read the head of the log", async |connection| Ok(log::head(connection).await)).await?
    }

    /// One round trip of at most [`ROUND_TRIP`]. A connection that did not answer is closed, not given back.
    async fn bounded<T>(
        &self,
        doing: &'static str,
        ask: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(StoreError::database(doing))?;
        if let Ok(answer) = tokio::time::timeout(ROUND_TRIP, ask(&mut connection)).await {
            return answer.map_err(StoreError::database(doing));
        }
        drop(connection.detach());
        metrics::counter!("minispod_numbering_unanswered_total").increment(1);
        let source = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
        Err(StoreError::Database { doing, source: sqlx::Error::Io(source) })
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

/// New events in order, each with the payload bytes up to and including it.
async fn read(
    connection: &mut PgConnection,
    begin: &Head,
    up_to: i64,
    limit: i64,
) -> Result<Vec<sqlx::postgres::PgRow>, sqlx::Error> {
    sqlx::query(
        "SELECT NULL::bigint AS position, NULL::bytea AS chain, e.ins_seq, e.aggregate_type, e.aggregate_id, e.sequence,
                e.event_type, e.event_version, e.recorded_at, e.metadata, e.payload, e.bytes
         FROM (SELECT n.*, sum(n.size) OVER (ORDER BY n.ins_seq)::bigint AS bytes
               FROM (SELECT f.*, octet_length(f.payload::text) AS size FROM log.events f
                     WHERE f.ins_seq > $1 AND f.ins_seq <= $2 ORDER BY f.ins_seq LIMIT $3) n) e
         WHERE e.bytes - e.size < $4 ORDER BY e.ins_seq",
    )
    .bind(begin.ins_seq.0)
    .bind(up_to)
    .bind(limit)
    .bind(PASS_BYTES)
    .fetch_all(connection)
    .await
}

/// Moves the cursor and writes the positions in one statement; false, and nothing done, when the cursor is not at
/// `begin` any more.
async fn write(
    connection: &mut PgConnection,
    events: &[Recorded],
    begin: &Head,
    head: &Head,
) -> Result<bool, sqlx::Error> {
    let positions: Vec<i64> = events.iter().map(|event| event.position.0).collect();
    let ins_seqs: Vec<i64> = events.iter().map(|event| event.ins_seq.0).collect();
    let ids: Vec<&str> = events.iter().map(|event| event.metadata.event_id.as_str()).collect();
    let chains: Vec<&[u8]> = events.iter().map(|event| event.chain.as_slice()).collect();
    let written = sqlx::query(
        "WITH moved AS (
           UPDATE log.cursor SET position = $5, ins_seq = $6, chain = $7
           WHERE id = 1 AND position = $8 AND ins_seq = $9 AND chain = $10 RETURNING id
         )
         INSERT INTO log.event_log (position, ins_seq, event_id, chain)
         SELECT n.* FROM moved, unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[]) AS n",
    )
    .bind(positions)
    .bind(ins_seqs)
    .bind(ids)
    .bind(chains)
    .bind(head.position.0)
    .bind(head.ins_seq.0)
    .bind(head.chain.as_slice())
    .bind(begin.position.0)
    .bind(begin.ins_seq.0)
    .bind(begin.chain.as_slice())
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == events.len() as u64)
}
