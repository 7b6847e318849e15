//! What operators ask of the effects ledger: parked lanes, floors, counts and cleaning.

use std::time::Duration;

use minispod_kernel::{LogPosition, Timestamp};
use sqlx::{Row, postgres::PgRow};

use crate::{
    StoreError,
    ledger::{EffectLedger, LaneState, ParkedEffect},
};

/// Most rows listed or removed at once.
pub const PAGE_MAX: i64 = 1_000;

const PARKED: &str = "SELECT e.reactor, e.lane, e.key, e.kind, e.payload, e.position, e.attempts,
      coalesce(e.last_error, '') AS reason, e.updated_at,
      (SELECT count(*) FROM ops.effects f WHERE f.reactor = e.reactor AND f.lane = e.lane AND f.ord > e.ord
         AND f.state IN ('intended', 'parked')) AS waiting
    FROM ops.effects e WHERE e.state = 'parked'";

impl EffectLedger {
    /// The parked lanes of one reactor (or of all), the oldest first, at most `limit` (and [`PAGE_MAX`]).
    pub async fn parked(&self, reactor: Option<&str>, limit: i64) -> Result<Vec<ParkedEffect>, StoreError> {
        let rows = sqlx::query(&format!(
            "{PARKED} AND ($1::text IS NULL OR e.reactor = $1) ORDER BY e.updated_at, e.ord LIMIT $2"
        ))
        .bind(reactor)
        .bind(limit.clamp(0, PAGE_MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::database("list parked lanes"))?;
        rows.iter().map(parked).collect()
    }

    /// One parked lane.
    pub async fn parked_lane(&self, reactor: &str, lane: &str) -> Result<Option<ParkedEffect>, StoreError> {
        let row = sqlx::query(&format!("{PARKED} AND e.reactor = $1 AND e.lane = $2 ORDER BY e.ord LIMIT 1"))
            .bind(reactor)
            .bind(lane)
            .fetch_optional(&self.pool)
            .await
            .map_err(StoreError::database("read a parked lane"))?;
        row.as_ref().map(parked).transpose()
    }

    /// Lets the lane try its first effect again, now; false when the lane is not parked.
    pub async fn retry_lane(&self, reactor: &str, lane: &str) -> Result<bool, StoreError> {
        let changed = sqlx::query(
            "UPDATE ops.effects SET state = 'intended', not_before = $3, updated_at = clock_timestamp()
             WHERE reactor = $1 AND lane = $2 AND state = 'parked'",
        )
        .bind(reactor)
        .bind(lane)
        .bind(self.clock.now().to_utc())
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("retry a lane"))?;
        Ok(changed.rows_affected() > 0)
    }

    /// Gives the parked effect up for `reason`; the lane goes on behind it. False when the lane is not parked.
    pub async fn skip_lane(&self, reactor: &str, lane: &str, reason: &str) -> Result<bool, StoreError> {
        let changed = sqlx::query(
            "UPDATE ops.effects SET state = 'skipped', last_error = 'skipped: ' || $3::text, updated_at = clock_timestamp()
             WHERE reactor = $1 AND lane = $2 AND state = 'parked'",
        )
        .bind(reactor)
        .bind(lane)
        .bind(reason.chars().take(500).collect::<String>())
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("skip an effect"))?;
        Ok(changed.rows_affected() > 0)
    }

    /// Everything up to here has been intended and finished: nothing below can run again.
    pub async fn floor(&self, reactor: &str) -> Result<LogPosition, StoreError> {
        let floor: i64 = sqlx::query_scalar(
            "SELECT least(
               coalesce((SELECT position FROM ops.checkpoints WHERE name = $1), 0),
               (SELECT min(position) - 1 FROM ops.effects WHERE reactor = $1 AND state IN ('intended', 'parked')
                  AND NOT repeats))",
        )
        .bind(reactor)
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::database("read a reactor's floor"))?;
        Ok(LogPosition(floor))
    }

    /// How much is open.
    pub async fn open(&self, reactor: &str) -> Result<LaneState, StoreError> {
        let (intended, parked_lanes): (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE state = 'intended'), count(DISTINCT lane) FILTER (WHERE state = 'parked')
             FROM ops.effects WHERE reactor = $1 AND state IN ('intended', 'parked')",
        )
        .bind(reactor)
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::database("count effects"))?;
        Ok(LaneState { intended, parked_lanes })
    }

    /// Removes finished effects that no redelivery can bring back: at or below `floor` and finished `age` ago.
    /// At most `limit` (and [`PAGE_MAX`]) at a time; returns how many went.
    pub async fn purge_finished(
        &self,
        reactor: &str,
        floor: LogPosition,
        age: Duration,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let gone = sqlx::query(
            "DELETE FROM ops.effects WHERE (reactor, key) IN (
               SELECT reactor, key FROM ops.effects
               WHERE reactor = $1 AND state IN ('done', 'skipped') AND position <= $2
                 AND updated_at < clock_timestamp() - make_interval(secs => $3::double precision / 1000)
               ORDER BY updated_at LIMIT $4)",
        )
        .bind(reactor)
        .bind(floor.0)
        .bind(crate::leases::millis(age))
        .bind(limit.clamp(0, PAGE_MAX))
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("remove finished effects"))?;
        Ok(gone.rows_affected())
    }
}

fn parked(row: &PgRow) -> Result<ParkedEffect, StoreError> {
    let read = |row: &PgRow| -> Result<ParkedEffect, sqlx::Error> {
        Ok(ParkedEffect {
            reactor: row.try_get("reactor")?,
            lane: row.try_get("lane")?,
            key: row.try_get("key")?,
            kind: row.try_get("kind")?,
            payload: row.try_get("payload")?,
            position: row.try_get::<Option<i64>, _>("position")?.map(LogPosition),
            attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
            reason: row.try_get("reason")?,
            since: Timestamp::new(row.try_get("updated_at")?),
            waiting: row.try_get("waiting")?,
        })
    };
    read(row).map_err(StoreError::database("read a parked lane"))
}
