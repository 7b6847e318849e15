//! Who asked for what is somebody else's and was told that it is not there: ids only, written once, gone with age.

use std::time::Duration;

use minispod_kernel::Timestamp;
use sqlx::{Postgres, QueryBuilder, Row, postgres::PgRow};

use super::Telemetry;
use crate::StoreError;

/// How long an entry stays.
pub const KEEP_REFUSED: Duration = Duration::from_hours(90 * 24);

/// One request for what is somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedAccess {
    pub id: String,
    pub at: Timestamp,
    /// Who asked.
    pub user_id: String,
    /// Whose it is.
    pub owner_id: String,
    pub method: String,
    /// The route's pattern, never the path.
    pub route: String,
    pub kind: String,
    pub thing_id: String,
    /// What its sender's calls are counted under; `None`: it has no address.
    pub address: Option<String>,
    pub request_id: String,
}

/// Which entries are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefusedFilter {
    pub user_id: Option<String>,
    pub owner_id: Option<String>,
    pub kind: Option<String>,
    /// The first instant asked for.
    pub from: Option<Timestamp>,
    /// The first instant no longer asked for.
    pub until: Option<Timestamp>,
}

impl RefusedFilter {
    fn narrow(&self, query: &mut QueryBuilder<'_, Postgres>) {
        query.push(" FROM telemetry.refused_access WHERE true");
        for (column, wanted) in [("user_id", &self.user_id), ("owner_id", &self.owner_id), ("kind", &self.kind)] {
            if let Some(wanted) = wanted {
                query.push(" AND ").push(column).push(" = ").push_bind(wanted.clone());
            }
        }
        if let Some(from) = self.from {
            query.push(" AND at >= ").push_bind(from.to_utc());
        }
        if let Some(until) = self.until {
            query.push(" AND at < ").push_bind(until.to_utc());
        }
    }
}

impl Telemetry {
    /// Keeps an entry; the same one again changes nothing.
    pub async fn record_refused_access(&self, entry: &RefusedAccess) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO telemetry.refused_access (id, at, user_id, owner_id, method, route, kind, thing_id, address,
                                                   request_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&entry.id)
        .bind(entry.at.to_utc())
        .bind(&entry.user_id)
        .bind(&entry.owner_id)
        .bind(&entry.method)
        .bind(&entry.route)
        .bind(&entry.kind)
        .bind(&entry.thing_id)
        .bind(&entry.address)
        .bind(&entry.request_id)
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("keep a refused access"))?;
        Ok(())
    }

    /// The entries of `filter`, the newest first: those behind `behind` (its instant and id), after `skip` of them, at
    /// most `most`.
    pub async fn refused_access(
        &self,
        filter: &RefusedFilter,
        behind: Option<(Timestamp, &str)>,
        skip: i64,
        most: i64,
    ) -> Result<Vec<RefusedAccess>, StoreError> {
        let mut query = QueryBuilder::new("SELECT *");
        filter.narrow(&mut query);
        if let Some((at, id)) = behind {
            query.push(" AND (at, id) < (").push_bind(at.to_utc()).push(", ").push_bind(id.to_owned()).push(")");
        }
        query.push(" ORDER BY at DESC, id DESC LIMIT ").push_bind(most).push(" OFFSET ").push_bind(skip);
        let rows =
            query.build().fetch_all(&self.pool).await.map_err(StoreError::database("read what access was refused"))?;
        rows.iter().map(entry).collect::<Result<_, _>>().map_err(StoreError::database("read what access was refused"))
    }

    /// How many entries there are of `filter`.
    pub async fn refused_accesses(&self, filter: &RefusedFilter) -> Result<i64, StoreError> {
        let mut query = QueryBuilder::new("SELECT count(*)");
        filter.narrow(&mut query);
        let count = query.build_query_scalar().fetch_one(&self.pool).await;
        count.map_err(StoreError::database("count what access was refused"))
    }
}

fn entry(row: &PgRow) -> Result<RefusedAccess, sqlx::Error> {
    Ok(RefusedAccess {
        id: row.try_get("id")?,
        at: Timestamp::new(row.try_get("at")?),
        user_id: row.try_get("user_id")?,
        owner_id: row.try_get("owner_id")?,
        method: row.try_get("method")?,
        route: row.try_get("route")?,
        kind: row.try_get("kind")?,
        thing_id: row.try_get("thing_id")?,
        address: row.try_get("address")?,
        request_id: row.try_get("request_id")?,
    })
}
