//! What was measured and seen: samples of use with their roll-ups, nodes' signs of life, who was refused what is
//! somebody else's. No facts; old ones go.

mod refused_access;

use std::time::Duration;

use minispod_kernel::Timestamp;
use sqlx::{PgPool, Row, postgres::PgRow};

use crate::StoreError;

pub use refused_access::{KEEP_REFUSED, RefusedAccess, RefusedFilter};

/// How long samples by the minute stay.
pub const KEEP_SAMPLES: Duration = Duration::from_hours(7 * 24);
/// How long samples by the hour stay.
pub const KEEP_HOURS: Duration = Duration::from_hours(400 * 24);
/// Most points of one answer.
pub const POINTS_MAX: i64 = 1_000;
/// Most samples written at once.
pub const BATCH_MAX: usize = 10_000;

/// What an instance used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSample {
    pub instance_id: String,
    /// Its minute counts.
    pub at: Timestamp,
    /// Thousandths of a core.
    pub cpu_millis: i64,
    pub memory_bytes: i64,
}

/// How long each point of a graph is. Days, weeks and months begin at midnight in Jakarta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

impl Grain {
    /// `PostgreSQL`'s word.
    const fn word(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// What an instance used in one stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsagePoint {
    /// Where the stretch begins.
    pub at: Timestamp,
    pub samples: i64,
    pub cpu_millis: i64,
    pub cpu_millis_max: i64,
    pub memory_bytes: i64,
    pub memory_bytes_max: i64,
}

/// A node's own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeHeartbeat {
    pub name: String,
    pub at: Timestamp,
    pub ready: bool,
    pub allocated_cpu_millis: Option<i64>,
    pub allocated_memory_mb: Option<i64>,
    pub allocated_storage_gb: Option<i64>,
    pub current_pods: Option<i32>,
}

/// What the nodes that take pods give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterRoom {
    pub at: Timestamp,
    /// Thousandths of a core.
    pub cpu_millis: i64,
    pub memory_bytes: i64,
}

/// The tables of what was measured.
#[derive(Clone)]
pub struct Telemetry {
    pool: PgPool,
}

impl Telemetry {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Keeps samples, each instance's first of a minute; gives how many were new.
    pub async fn record_usage(&self, samples: &[UsageSample]) -> Result<u64, StoreError> {
        if samples.len() > BATCH_MAX {
            return Err(StoreError::Limit { what: "the number of samples" });
        }
        let ids: Vec<&str> = samples.iter().map(|sample| sample.instance_id.as_str()).collect();
        let at: Vec<_> = samples.iter().map(|sample| sample.at.to_utc()).collect();
        let cpu: Vec<i64> = samples.iter().map(|sample| sample.cpu_millis).collect();
        let memory: Vec<i64> = samples.iter().map(|sample| sample.memory_bytes).collect();
        let row = sqlx::query(
            "WITH fresh AS (
               INSERT INTO telemetry.usage_samples (instance_id, at, cpu_millis, memory_bytes)
               SELECT DISTINCT ON (1, 2) id, date_trunc('minute', at, 'UTC'), cpu, memory
               FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::bigint[]) AS given (id, at, cpu, memory)
               ON CONFLICT DO NOTHING
               RETURNING instance_id, at, cpu_millis, memory_bytes
             ), hours AS (
               INSERT INTO telemetry.usage_hours AS h (instance_id, hour, samples, cpu_millis_sum, cpu_millis_max,
                                                       memory_bytes_sum, memory_bytes_max)
               SELECT instance_id, date_trunc('hour', at, 'UTC'), count(*), sum(cpu_millis), max(cpu_millis),
                      sum(memory_bytes), max(memory_bytes)
               FROM fresh GROUP BY 1, 2 ORDER BY 1, 2
               ON CONFLICT (instance_id, hour) DO UPDATE SET
                 samples = h.samples + excluded.samples,
                 cpu_millis_sum = h.cpu_millis_sum + excluded.cpu_millis_sum,
                 cpu_millis_max = greatest(h.cpu_millis_max, excluded.cpu_millis_max),
                 memory_bytes_sum = h.memory_bytes_sum + excluded.memory_bytes_sum,
                 memory_bytes_max = greatest(h.memory_bytes_max, excluded.memory_bytes_max)
             )
             SELECT count(*) AS fresh FROM fresh",
        )
        .bind(ids)
        .bind(at)
        .bind(cpu)
        .bind(memory)
        .fetch_one(&self.pool)
        .await
        .map_err(StoreError::database("keep samples of use"))?;
        let fresh: i64 = row.try_get("fresh").map_err(StoreError::database("keep samples of use"))?;
        Ok(u64::try_from(fresh).unwrap_or_default())
    }

    /// What an instance used from `from` until before `to`, the newest first, at most [`POINTS_MAX`] points.
    pub async fn usage(
        &self,
        instance_id: &str,
        from: Timestamp,
        to: Timestamp,
        grain: Grain,
    ) -> Result<Vec<UsagePoint>, StoreError> {
        let query = if grain == Grain::Minute {
            "SELECT at, 1::bigint AS samples, cpu_millis, cpu_millis AS cpu_max, memory_bytes, memory_bytes AS memory_max
             FROM telemetry.usage_samples WHERE instance_id = $1 AND at >= $2 AND at < $3 AND $4 = 'minute'
             ORDER BY at DESC LIMIT $5"
        } else {
            "SELECT date_trunc($4, hour, 'Asia/Jakarta') AS at, sum(samples)::bigint AS samples,
                    round(sum(cpu_millis_sum) / sum(samples))::bigint AS cpu_millis, max(cpu_millis_max) AS cpu_max,
                    round(sum(memory_bytes_sum) / sum(samples))::bigint AS memory_bytes, max(memory_bytes_max) AS memory_max
             FROM telemetry.usage_hours WHERE instance_id = $1 AND hour >= $2 AND hour < $3
             GROUP BY 1 ORDER BY 1 DESC LIMIT $5"
        };
        let rows = sqlx::query(query)
            .bind(instance_id)
            .bind(from.to_utc())
            .bind(to.to_utc())
            .bind(grain.word())
            .bind(POINTS_MAX)
            .fetch_all(&self.pool)
            .await
            .map_err(StoreError::database("read what was used"))?;
        rows.iter().map(point).collect::<Result<_, _>>().map_err(StoreError::database("read what was used"))
    }

    /// The newest samples of an instance, at most `most`.
    pub async fn newest_usage(&self, instance_id: &str, most: i64) -> Result<Vec<UsagePoint>, StoreError> {
        let rows = sqlx::query(
            "SELECT at, 1::bigint AS samples, cpu_millis, cpu_millis AS cpu_max, memory_bytes, memory_bytes AS memory_max
             FROM telemetry.usage_samples WHERE instance_id = $1 ORDER BY at DESC LIMIT $2",
        )
        .bind(instance_id)
        .bind(most.clamp(0, POINTS_MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::database("read what was used"))?;
        rows.iter().map(point).collect::<Result<_, _>>().map_err(StoreError::database("read what was used"))
    }

    /// The newest sample of each of these instances that has one since `since`; at most [`BATCH_MAX`] instances.
    pub async fn newest_of(&self, instance_ids: &[String], since: Timestamp) -> Result<Vec<UsageSample>, StoreError> {
        if instance_ids.len() > BATCH_MAX {
            return Err(StoreError::Limit { what: "the number of instances" });
        }
        let rows = sqlx::query(
            "SELECT DISTINCT ON (instance_id) instance_id, at, cpu_millis, memory_bytes
             FROM telemetry.usage_samples WHERE instance_id = ANY($1) AND at >= $2
             ORDER BY instance_id, at DESC",
        )
        .bind(instance_ids)
        .bind(since.to_utc())
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::database("read what was used"))?;
        rows.iter().map(sample).collect::<Result<_, _>>().map_err(StoreError::database("read what was used"))
    }

    /// Keeps a node's newest sign of life.
    pub async fn record_heartbeat(&self, beat: &NodeHeartbeat) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO telemetry.node_heartbeats AS h (name, at, ready, allocated_cpu_millis, allocated_memory_mb,
                                                         allocated_storage_gb, current_pods)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (name) DO UPDATE SET at = excluded.at, ready = excluded.ready,
               allocated_cpu_millis = coalesce(excluded.allocated_cpu_millis, h.allocated_cpu_millis),
               allocated_memory_mb = coalesce(excluded.allocated_memory_mb, h.allocated_memory_mb),
               allocated_storage_gb = coalesce(excluded.allocated_storage_gb, h.allocated_storage_gb),
               current_pods = coalesce(excluded.current_pods, h.current_pods)
             WHERE h.at <= excluded.at",
        )
        .bind(&beat.name)
        .bind(beat.at.to_utc())
        .bind(beat.ready)
        .bind(beat.allocated_cpu_millis)
        .bind(beat.allocated_memory_mb)
        .bind(beat.allocated_storage_gb)
        .bind(beat.current_pods)
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("keep a sign of life"))?;
        Ok(())
    }

    /// The newest sign of life of each of `names`; of all with `None`.
    pub async fn heartbeats(&self, names: Option<&[String]>) -> Result<Vec<NodeHeartbeat>, StoreError> {
        let rows = sqlx::query("SELECT * FROM telemetry.node_heartbeats WHERE $1::text[] IS NULL OR name = ANY($1)")
            .bind(names)
            .fetch_all(&self.pool)
            .await
            .map_err(StoreError::database("read signs of life"))?;
        rows.iter().map(heartbeat).collect::<Result<_, _>>().map_err(StoreError::database("read signs of life"))
    }

    /// Keeps what the cluster's nodes give now; an older measurement changes nothing.
    pub async fn record_room(&self, room: ClusterRoom) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO telemetry.cluster_room AS r (at, cpu_millis, memory_bytes) VALUES ($1, $2, $3)
             ON CONFLICT (single) DO UPDATE SET at = excluded.at, cpu_millis = excluded.cpu_millis,
               memory_bytes = excluded.memory_bytes
             WHERE r.at <= excluded.at",
        )
        .bind(room.at.to_utc())
        .bind(room.cpu_millis)
        .bind(room.memory_bytes)
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("keep the cluster's room"))?;
        Ok(())
    }

    /// What the cluster's nodes gave when it was last measured.
    pub async fn room(&self) -> Result<Option<ClusterRoom>, StoreError> {
        let row = sqlx::query("SELECT at, cpu_millis, memory_bytes FROM telemetry.cluster_room")
            .fetch_optional(&self.pool)
            .await
            .map_err(StoreError::database("read the cluster's room"))?;
        let read = |row: PgRow| {
            Ok(ClusterRoom {
                at: Timestamp::new(row.try_get("at")?),
                cpu_millis: row.try_get("cpu_millis")?,
                memory_bytes: row.try_get("memory_bytes")?,
            })
        };
        row.map(read).transpose().map_err(StoreError::database("read the cluster's room"))
    }

    /// Throws away what is older than its time, at most `limit` rows of each table; gives how many went.
    pub async fn purge(&self, now: Timestamp, limit: i64) -> Result<u64, StoreError> {
        let mut gone = 0;
        for (query, keep) in [
            (
                "DELETE FROM telemetry.usage_samples WHERE ctid = ANY(ARRAY(
                   SELECT ctid FROM telemetry.usage_samples WHERE at < $1 LIMIT $2))",
                KEEP_SAMPLES,
            ),
            (
                "DELETE FROM telemetry.usage_hours WHERE ctid = ANY(ARRAY(
                   SELECT ctid FROM telemetry.usage_hours WHERE hour < $1 LIMIT $2))",
                KEEP_HOURS,
            ),
            (
                "DELETE FROM telemetry.refused_access WHERE ctid = ANY(ARRAY(
                   SELECT ctid FROM telemetry.refused_access WHERE at < $1 LIMIT $2))",
                KEEP_REFUSED,
            ),
        ] {
            let done = sqlx::query(query)
                .bind(now.minus(keep).to_utc())
                .bind(limit)
                .execute(&self.pool)
                .await
                .map_err(StoreError::database("throw away old telemetry"))?;
            gone += done.rows_affected();
        }
        Ok(gone)
    }
}

fn point(row: &PgRow) -> Result<UsagePoint, sqlx::Error> {
    Ok(UsagePoint {
        at: Timestamp::new(row.try_get("at")?),
        samples: row.try_get("samples")?,
        cpu_millis: row.try_get("cpu_millis")?,
        cpu_millis_max: row.try_get("cpu_max")?,
        memory_bytes: row.try_get("memory_bytes")?,
        memory_bytes_max: row.try_get("memory_max")?,
    })
}

fn sample(row: &PgRow) -> Result<UsageSample, sqlx::Error> {
    Ok(UsageSample {
        instance_id: row.try_get("instance_id")?,
        at: Timestamp::new(row.try_get("at")?),
        cpu_millis: row.try_get("cpu_millis")?,
        memory_bytes: row.try_get("memory_bytes")?,
    })
}

fn heartbeat(row: &PgRow) -> Result<NodeHeartbeat, sqlx::Error> {
    Ok(NodeHeartbeat {
        name: row.try_get("name")?,
        at: Timestamp::new(row.try_get("at")?),
        ready: row.try_get("ready")?,
        allocated_cpu_millis: row.try_get("allocated_cpu_millis")?,
        allocated_memory_mb: row.try_get("allocated_memory_mb")?,
        allocated_storage_gb: row.try_get("allocated_storage_gb")?,
        current_pods: row.try_get("current_pods")?,
    })
}
