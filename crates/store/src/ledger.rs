//! The effects ledger: what reactors mean to do outside, in lanes, each tried by one worker at a time.

use std::{sync::Arc, time::Duration};

use minispod_kernel::{Clock, LogPosition, Timestamp};
use serde_json::Value;
use sqlx::{PgConnection, PgPool, Row, postgres::PgRow};

use crate::{StoreError, leases::millis};

/// Most effects taken at once.
pub const TAKE_MAX: i64 = 256;
/// Longest error text that is kept.
const ERROR_MAX: usize = 1_000;

/// An effect to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEffect {
    /// Unique for ever within the reactor.
    pub key: String,
    /// Effects of one lane run one after another.
    pub lane: String,
    pub kind: String,
    /// Ids only, no secrets.
    pub payload: Value,
    /// By the Clock; `None`: now.
    pub not_before: Option<Timestamp>,
    /// Of the event that asks for it; `None` in-line, before the event is numbered.
    pub position: Option<LogPosition>,
}

/// An effect that is ours to try until the lease runs out.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenEffect {
    pub reactor: String,
    pub key: String,
    pub lane: String,
    pub kind: String,
    pub payload: Value,
    pub position: Option<LogPosition>,
    /// Tries before this one.
    pub attempts: u32,
    /// Of this taking; an older fence can change nothing.
    pub fence: i64,
}

/// The answer to beginning an effect in-line.
#[derive(Debug, Clone, PartialEq)]
pub enum Inline {
    /// Ours to try.
    Taken(TakenEffect),
    /// Somebody has finished it.
    AlreadyDone,
    /// A worker has it, its lane is busy, or it waits for its time: the background will do it.
    Elsewhere,
}

/// A lane that waits for an operator, by its first effect.
#[derive(Debug, Clone, PartialEq)]
pub struct ParkedEffect {
    pub reactor: String,
    pub lane: String,
    pub key: String,
    pub kind: String,
    pub payload: Value,
    pub position: Option<LogPosition>,
    pub attempts: u32,
    /// Why it is parked.
    pub reason: String,
    pub since: Timestamp,
    /// Effects behind it in the lane.
    pub waiting: i64,
}

/// Counts for the gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneState {
    pub intended: i64,
    pub parked_lanes: i64,
}

/// The table of effects.
#[derive(Clone)]
pub struct EffectLedger {
    pub(crate) pool: PgPool,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What [`taken`] reads, of `ops.effects e`.
const TAKEN: &str = "e.reactor, e.key, e.lane, e.kind, e.payload, e.position, e.attempts, e.fence";

impl EffectLedger {
    pub(crate) fn new(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock }
    }

    /// Records effects in the caller's transaction, beside the checkpoint. Known keys change nothing; order is kept.
    pub async fn intend_in_tx(
        &self,
        tx: &mut PgConnection,
        reactor: &str,
        effects: &[NewEffect],
    ) -> Result<(), StoreError> {
        if effects.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let keys: Vec<&str> = effects.iter().map(|effect| effect.key.as_str()).collect();
        let lanes: Vec<&str> = effects.iter().map(|effect| effect.lane.as_str()).collect();
        let kinds: Vec<&str> = effects.iter().map(|effect| effect.kind.as_str()).collect();
        let payloads: Vec<&Value> = effects.iter().map(|effect| &effect.payload).collect();
        let positions: Vec<Option<i64>> = effects.iter().map(|effect| effect.position.map(|p| p.0)).collect();
        let not_before: Vec<_> = effects.iter().map(|effect| effect.not_before.unwrap_or(now).to_utc()).collect();
        sqlx::query(
            "INSERT INTO ops.effects AS e (reactor, key, lane, kind, payload, position, not_before)
             SELECT $1, key, lane, kind, payload, position, not_before
             FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[], $6::bigint[], $7::timestamptz[]) WITH ORDINALITY
               AS n (key, lane, kind, payload, position, not_before, place)
             ORDER BY place
             ON CONFLICT (reactor, key) DO UPDATE SET position = excluded.position
             WHERE e.position IS NULL",
        )
        .bind(reactor)
        .bind(keys)
        .bind(lanes)
        .bind(kinds)
        .bind(payloads)
        .bind(positions)
        .bind(not_before)
        .execute(tx)
        .await
        .map_err(StoreError::database("record effects"))?;
        metrics::counter!("minispod_effects_intended_total", "reactor" => reactor.to_owned())
            .increment(effects.len() as u64);
        Ok(())
    }

    /// Takes due heads of lanes for `lease`; what other workers hold is passed over.
    pub async fn take(
        &self,
        reactor: &str,
        holder: &str,
        limit: i64,
        lease: Duration,
    ) -> Result<Vec<TakenEffect>, StoreError> {
        let rows = sqlx::query(&format!(
            "WITH heads AS (
               SELECT h.reactor, h.key FROM ops.effects h
               WHERE h.reactor = $1 AND h.state = 'intended' AND h.not_before <= $3
                 AND (h.lease_until IS NULL OR h.lease_until <= clock_timestamp())
                 AND NOT EXISTS (SELECT FROM ops.effects f WHERE f.reactor = h.reactor AND f.lane = h.lane
                                 AND f.ord < h.ord AND f.state IN ('intended', 'parked'))
               ORDER BY h.not_before, h.ord LIMIT $4 FOR UPDATE OF h SKIP LOCKED
             )
             UPDATE ops.effects e SET fence = e.fence + 1, holder = $2, updated_at = clock_timestamp(),
               lease_until = clock_timestamp() + make_interval(secs => $5::double precision / 1000)
             FROM heads WHERE e.reactor = heads.reactor AND e.key = heads.key
             RETURNING {TAKEN}, e.ord"
        ))
        .bind(reactor)
        .bind(holder)
        .bind(self.clock.now().to_utc())
        .bind(limit.clamp(0, TAKE_MAX))
        .bind(millis(lease))
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::database("take effects"))?;
        let mut rows = rows;
        rows.sort_by_key(|row| row.try_get::<i64, _>("ord").unwrap_or_default());
        rows.iter().map(taken).collect()
    }

    /// Records the effect if it is new and takes it when it is free and first in its lane.
    pub async fn begin_inline(
        &self,
        reactor: &str,
        effect: &NewEffect,
        holder: &str,
        lease: Duration,
    ) -> Result<Inline, StoreError> {
        let mut tx = self.pool.begin().await.map_err(StoreError::database("begin an effect"))?;
        self.intend_in_tx(&mut tx, reactor, std::slice::from_ref(effect)).await?;
        tx.commit().await.map_err(StoreError::database("record an effect"))?;
        let row = sqlx::query(&format!(
            "UPDATE ops.effects e SET fence = e.fence + 1, holder = $3, updated_at = clock_timestamp(),
               lease_until = clock_timestamp() + make_interval(secs => $5::double precision / 1000)
             WHERE e.reactor = $1 AND e.key = $2 AND e.state = 'intended' AND e.not_before <= $4
               AND (e.lease_until IS NULL OR e.lease_until <= clock_timestamp())
               AND NOT EXISTS (SELECT FROM ops.effects f WHERE f.reactor = e.reactor AND f.lane = e.lane
                               AND f.ord < e.ord AND f.state IN ('intended', 'parked'))
             RETURNING {TAKEN}"
        ))
        .bind(reactor)
        .bind(&effect.key)
        .bind(holder)
        .bind(self.clock.now().to_utc())
        .bind(millis(lease))
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::database("take an effect"))?;
        if let Some(row) = row {
            return taken(&row).map(Inline::Taken);
        }
        let state: String = sqlx::query_scalar("SELECT state FROM ops.effects WHERE reactor = $1 AND key = $2")
            .bind(reactor)
            .bind(&effect.key)
            .fetch_one(&self.pool)
            .await
            .map_err(StoreError::database("look at an effect"))?;
        Ok(if matches!(state.as_str(), "done" | "skipped") { Inline::AlreadyDone } else { Inline::Elsewhere })
    }

    /// Still at it: nobody else may take it for another `lease`. [`StoreError::Fenced`]: somebody else has it.
    pub async fn renew(&self, taken: &TakenEffect, lease: Duration) -> Result<(), StoreError> {
        let renewed = sqlx::query(
            "UPDATE ops.effects SET lease_until = clock_timestamp() + make_interval(secs => $4::double precision / 1000)
             WHERE reactor = $1 AND key = $2 AND fence = $3 AND state = 'intended'",
        )
        .bind(&taken.reactor)
        .bind(&taken.key)
        .bind(taken.fence)
        .bind(millis(lease))
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("renew the lease of an effect"))?;
        fenced(taken, renewed.rows_affected())
    }

    /// It has happened. [`StoreError::Fenced`]: the lease ran out and somebody else has it.
    pub async fn done(&self, taken: &TakenEffect) -> Result<(), StoreError> {
        self.finish(taken, "state = 'done', lease_until = NULL, attempts = attempts + 1, last_error = NULL", None, None)
            .await
    }

    /// It worked and is to be done again at `at` (polling). From now on it holds no floor back: what it reports does not
    /// hang on receipts, and it may go on for weeks.
    pub async fn again(&self, taken: &TakenEffect, at: Timestamp) -> Result<(), StoreError> {
        let change = "lease_until = NULL, attempts = 0, last_error = NULL, not_before = $4, repeats = true";
        self.finish(taken, change, Some(at), None).await
    }

    /// It failed in passing: try again after `backoff`.
    pub async fn retry(&self, taken: &TakenEffect, error: &str, backoff: Duration) -> Result<(), StoreError> {
        let at = self.clock.now().plus(backoff);
        self.finish(
            taken,
            "lease_until = NULL, attempts = attempts + 1, not_before = $4, last_error = $5",
            Some(at),
            Some(error),
        )
        .await
    }

    /// It will never work: the lane stands still until an operator decides.
    pub async fn park_lane(&self, taken: &TakenEffect, reason: &str) -> Result<(), StoreError> {
        metrics::counter!("minispod_lanes_parked_total", "reactor" => taken.reactor.clone()).increment(1);
        self.finish(
            taken,
            "state = 'parked', lease_until = NULL, attempts = attempts + 1, last_error = $5",
            None,
            Some(reason),
        )
        .await
    }

    /// One fenced change of a taken effect; `$4` is an instant, `$5` an error text.
    async fn finish(
        &self,
        taken: &TakenEffect,
        change: &str,
        at: Option<Timestamp>,
        error: Option<&str>,
    ) -> Result<(), StoreError> {
        let error: Option<String> = error.map(|text| text.chars().take(ERROR_MAX).collect());
        let changed = sqlx::query(&format!(
            "UPDATE ops.effects SET {change}, updated_at = clock_timestamp()
             WHERE reactor = $1 AND key = $2 AND fence = $3 AND state = 'intended'
               AND ($4::timestamptz IS NULL OR true) AND ($5::text IS NULL OR true)"
        ))
        .bind(&taken.reactor)
        .bind(&taken.key)
        .bind(taken.fence)
        .bind(at.map(Timestamp::to_utc))
        .bind(error)
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("finish an effect"))?;
        fenced(taken, changed.rows_affected())
    }
}

/// A change of a taken effect counts when it found the row under our fence.
fn fenced(taken: &TakenEffect, rows: u64) -> Result<(), StoreError> {
    if rows == 1 {
        return Ok(());
    }
    Err(StoreError::Fenced { name: format!("effect {}/{}", taken.reactor, taken.key) })
}

fn taken(row: &PgRow) -> Result<TakenEffect, StoreError> {
    let read = |row: &PgRow| -> Result<TakenEffect, sqlx::Error> {
        Ok(TakenEffect {
            reactor: row.try_get("reactor")?,
            key: row.try_get("key")?,
            lane: row.try_get("lane")?,
            kind: row.try_get("kind")?,
            payload: row.try_get("payload")?,
            position: row.try_get::<Option<i64>, _>("position")?.map(LogPosition),
            attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
            fence: row.try_get("fence")?,
        })
    };
    read(row).map_err(StoreError::database("read an effect"))
}
