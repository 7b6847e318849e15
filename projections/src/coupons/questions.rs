//! Questions about coupons: by code, in pages, what each customer used, and what was made of them.

use minispod_kernel::{Rupiah, Timestamp};
use serde::Deserialize;
use sqlx::{PgPool, Postgres, QueryBuilder, types::Json};

use super::rows::{CouponKindWord, CouponRow, CouponStanding, UseRow};
use crate::{
    Asked, Page, ProjectionError,
    rows::{Conditions, contains_pattern, count_of, database, row_of, rows_of},
};

const COUPON: &str = "SELECT to_jsonb(t) FROM read.coupons t";
const USE: &str = "SELECT to_jsonb(t) FROM read.coupon_uses t";
const NEWEST: &str = " ORDER BY t.created_at DESC, t.id DESC";

/// Which coupons are asked for. Deleted ones never are.
#[derive(Debug, Clone, Default)]
pub struct CouponFilter {
    /// As it stands at that instant.
    pub standing: Option<(CouponStanding, Timestamp)>,
    pub kind: Option<CouponKindWord>,
    pub offering: Option<String>,
    /// A part of code or name, whatever the case.
    pub search: Option<String>,
}

impl CouponFilter {
    fn narrow<'q, 'a>(&self, query: &'q mut QueryBuilder<'a, Postgres>) -> Conditions<'q, 'a> {
        let mut conditions = Conditions::of(query);
        conditions.and().push("NOT t.is_deleted");
        if let Some((standing, now)) = self.standing {
            let standing_now = "CASE WHEN t.status = 'disabled' THEN 'DISABLED' WHEN t.status = 'expired' \
                 OR t.valid_until <= ";
            let begun = conditions.and().push(standing_now).push_bind(now.to_utc());
            begun.push(" THEN 'EXPIRED' WHEN t.used >= t.uses THEN 'USED_UP' ELSE 'ACTIVE' END = ");
            begun.push_bind(standing.as_str());
        }
        if let Some(kind) = self.kind {
            conditions.and().push("t.kind = ").push_bind(kind.as_str());
        }
        if let Some(offering) = &self.offering {
            conditions.and().push("t.offering = ").push_bind(offering.clone());
        }
        if let Some(search) = &self.search {
            let wanted = contains_pattern(search);
            conditions.and().push("t.code || ' ' || t.name ILIKE ").push_bind(wanted);
        }
        conditions
    }
}

/// One page of coupons, newest first.
pub async fn page(
    pool: &PgPool,
    filter: &CouponFilter,
    asked: impl Into<Asked>,
) -> Result<Page<CouponRow>, ProjectionError> {
    let asked = asked.into();
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.coupons t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new(COUPON);
    asked.seek(filter.narrow(&mut query));
    asked.close(query.push(NEWEST));
    let total = count_of(pool, "coupons", count).await?;
    Ok(Page::gathered(&asked, total, rows_of(pool, "coupons", query).await?))
}

/// One coupon that is not deleted.
pub async fn find(pool: &PgPool, id: &str) -> Result<Option<CouponRow>, ProjectionError> {
    let mut query = QueryBuilder::new(COUPON);
    query.push(" WHERE NOT t.is_deleted AND t.id = ").push_bind(id.to_owned());
    row_of(pool, "coupons", query).await
}

/// The coupon of this code.
pub async fn by_code(pool: &PgPool, code: &str) -> Result<Option<CouponRow>, ProjectionError> {
    let mut query = QueryBuilder::new(COUPON);
    query.push(" WHERE NOT t.is_deleted AND t.code = ").push_bind(code.to_owned());
    row_of(pool, "coupons", query).await
}

/// Which uses are asked for.
#[derive(Debug, Clone, Default)]
pub struct UseFilter {
    pub user_id: Option<String>,
    pub coupon_id: Option<String>,
    pub kind: Option<CouponKindWord>,
}

impl UseFilter {
    fn narrow<'q, 'a>(&self, query: &'q mut QueryBuilder<'a, Postgres>) -> Conditions<'q, 'a> {
        let mut conditions = Conditions::of(query);
        if let Some(user_id) = &self.user_id {
            conditions.and().push("t.user_id = ").push_bind(user_id.clone());
        }
        if let Some(coupon_id) = &self.coupon_id {
            conditions.and().push("t.coupon_id = ").push_bind(coupon_id.clone());
        }
        if let Some(kind) = self.kind {
            conditions.and().push("t.kind = ").push_bind(kind.as_str());
        }
        conditions
    }
}

/// One page of uses, newest first; those that were given back too.
pub async fn uses(pool: &PgPool, filter: &UseFilter, asked: impl Into<Asked>) -> Result<Page<UseRow>, ProjectionError> {
    let asked = asked.into();
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.coupon_uses t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new(USE);
    asked.seek(filter.narrow(&mut query));
    asked.close(query.push(NEWEST));
    let total = count_of(pool, "coupon_uses", count).await?;
    Ok(Page::gathered(&asked, total, rows_of(pool, "coupon_uses", query).await?))
}

/// How many uses of a coupon a customer has that stand.
pub async fn uses_of(pool: &PgPool, coupon_id: &str, user_id: &str) -> Result<i64, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM read.coupon_uses t WHERE t.returned_at IS NULL");
    query.push(" AND t.coupon_id = ").push_bind(coupon_id.to_owned());
    query.push(" AND t.user_id = ").push_bind(user_id.to_owned());
    count_of(pool, "coupon_uses", query).await
}

/// How coupons stand, and how often they were used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct CouponStatistics {
    pub coupons: i64,
    pub active: i64,
    pub expired: i64,
    pub used_up: i64,
    /// Uses that stand.
    pub uses: i64,
    /// Those since the beginning of the stretch.
    pub uses_since: i64,
    /// What wallets got by them.
    pub credited: Rupiah,
    /// What sales cost less by them.
    pub discounted: Rupiah,
}

/// The statistics at `now`, with what was used since `since`.
pub async fn statistics(pool: &PgPool, since: Timestamp, now: Timestamp) -> Result<CouponStatistics, ProjectionError> {
    let Json(found): Json<CouponStatistics> = sqlx::query_scalar(
        "WITH c AS (SELECT status, used, uses, coalesce(status = 'expired' OR valid_until <= $2, false) AS over \
         FROM read.coupons WHERE NOT is_deleted), \
         u AS (SELECT created_at, credit, discount FROM read.coupon_uses WHERE returned_at IS NULL) \
         SELECT jsonb_build_object('coupons', (SELECT count(*) FROM c), \
         'active', (SELECT count(*) FROM c WHERE status = 'active' AND NOT over AND used < uses), \
         'expired', (SELECT count(*) FROM c WHERE status <> 'disabled' AND over), \
         'used_up', (SELECT count(*) FROM c WHERE status = 'active' AND NOT over AND used >= uses), \
         'uses', (SELECT count(*) FROM u), \
         'uses_since', (SELECT count(*) FROM u WHERE created_at >= $1), \
         'credited', (SELECT coalesce(sum(credit), 0) FROM u), \
         'discounted', (SELECT coalesce(sum(discount), 0) FROM u))",
    )
    .bind(since.to_utc())
    .bind(now.to_utc())
    .fetch_one(pool)
    .await
    .map_err(database("coupons"))?;
    Ok(found)
}

/// A coupon and how often it was used in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TopCoupon {
    pub id: String,
    pub code: String,
    pub name: String,
    pub kind: CouponKindWord,
    pub uses: i64,
}

/// The ten coupons that were used most since `since`.
pub async fn top(pool: &PgPool, since: Timestamp) -> Result<Vec<TopCoupon>, ProjectionError> {
    let mut query = QueryBuilder::new(
        "SELECT jsonb_build_object('id', c.id, 'code', c.code, 'name', c.name, 'kind', c.kind, 'uses', count(*)) \
         FROM read.coupon_uses t JOIN read.coupons c ON c.id = t.coupon_id \
         WHERE t.returned_at IS NULL AND t.created_at >= ",
    );
    query
        .push_bind(since.to_utc())
        .push(" GROUP BY c.id, c.code, c.name, c.kind ORDER BY count(*) DESC, c.id LIMIT 10");
    rows_of(pool, "coupon_uses", query).await
}

/// Uses of one kind in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct KindCount {
    pub kind: CouponKindWord,
    pub uses: i64,
}

/// Uses since `since` by kind; a kind without any has no row.
pub async fn uses_by_kind(pool: &PgPool, since: Timestamp) -> Result<Vec<KindCount>, ProjectionError> {
    let mut query = QueryBuilder::new(
        "SELECT jsonb_build_object('kind', t.kind, 'uses', count(*)) FROM read.coupon_uses t \
         WHERE t.returned_at IS NULL AND t.created_at >= ",
    );
    query.push_bind(since.to_utc()).push(" GROUP BY t.kind ORDER BY t.kind");
    rows_of(pool, "coupon_uses", query).await
}
