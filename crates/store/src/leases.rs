//! Who does a job that one process should do at a time; the fence tells old holders from new ones.

use std::time::Duration;

use sqlx::PgPool;

use crate::StoreError;

/// A held job. Carry `fence` into every write: a lease may end without its holder noticing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub name: String,
    pub holder: String,
    /// Grows with every new holding.
    pub fence: i64,
}

/// The table of jobs. Time is the database's: the only clock that all holders share.
#[derive(Clone)]
pub struct Leases {
    pool: PgPool,
}

impl Leases {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Takes the job when it is free, run out, or already ours (with a new fence then); `None`: somebody else has it.
    pub async fn try_acquire(&self, name: &str, holder: &str, ttl: Duration) -> Result<Option<Lease>, StoreError> {
        let fence: Option<i64> = sqlx::query_scalar(
            "INSERT INTO ops.leases AS l (name, holder, fence, expires_at)
             VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3::double precision / 1000))
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = l.fence + 1, expires_at = excluded.expires_at
             WHERE l.expires_at <= clock_timestamp() OR l.holder = excluded.holder
             RETURNING fence",
        )
        .bind(name)
        .bind(holder)
        .bind(millis(ttl))
        .fetch_optional(&self.pool)
        .await
        .map_err(StoreError::database("take a lease"))?;
        Ok(fence.map(|fence| Lease { name: name.to_owned(), holder: holder.to_owned(), fence }))
    }

    /// Holds it longer; false when somebody else has taken it since: stop at once.
    pub async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, StoreError> {
        let renewed = sqlx::query(
            "UPDATE ops.leases SET expires_at = clock_timestamp() + make_interval(secs => $4::double precision / 1000)
             WHERE name = $1 AND holder = $2 AND fence = $3",
        )
        .bind(&lease.name)
        .bind(&lease.holder)
        .bind(lease.fence)
        .bind(millis(ttl))
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("renew a lease"))?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Gives it back, so that the next holder need not wait; no effect when it is no longer ours.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE ops.leases SET expires_at = clock_timestamp() WHERE name = $1 AND holder = $2 AND fence = $3",
        )
        .bind(&lease.name)
        .bind(&lease.holder)
        .bind(lease.fence)
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("release a lease"))?;
        Ok(())
    }

    /// Who holds the job now, with the fence.
    pub async fn holder(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT holder, fence FROM ops.leases WHERE name = $1 AND expires_at > clock_timestamp()")
                .bind(name)
                .fetch_optional(&self.pool)
                .await
                .map_err(StoreError::database("read a lease"))?;
        Ok(row.map(|(holder, fence)| Lease { name: name.to_owned(), holder, fence }))
    }
}

/// Milliseconds that fit SQL.
pub(crate) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
