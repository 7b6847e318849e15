//! Questions about subscriptions and instances.

use minispod_kernel::{Rupiah, Timestamp};
use serde::Deserialize;
use sqlx::{PgPool, Postgres, QueryBuilder, types::Json};

use super::rows::{DriftState, InstanceRow, InstanceStatus, SubscriptionRow, SubscriptionStatus};
use crate::{
    Asked, Page, PageRequest, ProjectionError,
    billing::{self, InvoiceRow, TransactionView},
    catalogue::PlanRow,
    page::{Place, Placed},
    rows::{Conditions, contains_pattern, count_of, database, row_of, rows_of},
};

/// A subscription with its newest instance and its plan as the catalogue has it now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SubscriptionView {
    #[serde(flatten)]
    pub row: SubscriptionRow,
    pub instance: Option<InstanceRow>,
    /// `None` only where the catalogue's read model is behind.
    pub plan: Option<PlanRow>,
}

impl Placed for SubscriptionView {
    fn place(&self) -> Place {
        Place { at: self.row.created_at, id: self.row.id.clone() }
    }
}

/// A subscription with everything its page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionDetail {
    pub subscription: SubscriptionView,
    /// The newest numbered one.
    pub invoice: Option<InvoiceRow>,
    /// Newest first.
    pub transactions: Vec<TransactionView>,
}

/// An instance with its subscription.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InstanceView {
    #[serde(flatten)]
    pub row: InstanceRow,
    pub subscription: Option<SubscriptionRow>,
}

const SUBSCRIPTION: &str = "SELECT to_jsonb(t) FROM read.subscriptions t";
const VIEW: &str = "SELECT to_jsonb(t) || jsonb_build_object('instance', (\
     SELECT to_jsonb(i) FROM read.instances i WHERE i.subscription_id = t.id \
     ORDER BY i.created_at DESC, i.id DESC LIMIT 1), \
     'plan', (SELECT to_jsonb(p) FROM read.plans p WHERE p.id = t.plan_id)) FROM read.subscriptions t";
const INSTANCE: &str = "SELECT to_jsonb(t) || jsonb_build_object('subscription', (\
     SELECT to_jsonb(s) FROM read.subscriptions s WHERE s.id = t.subscription_id)) FROM read.instances t";

/// Which subscriptions are asked for.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionFilter {
    pub user_id: Option<String>,
    pub plan_id: Option<String>,
    pub status: Option<SubscriptionStatus>,
    /// Part of the subdomain, the service's name, or the customer's name or address.
    pub search: Option<String>,
}

impl SubscriptionFilter {
    fn narrow<'q, 'a>(&self, query: &'q mut QueryBuilder<'a, Postgres>) -> Conditions<'q, 'a> {
        let mut conditions = Conditions::of(query);
        conditions.and().push("t.charged");
        if let Some(user_id) = &self.user_id {
            conditions.and().push("t.user_id = ").push_bind(user_id.clone());
        }
        if let Some(plan_id) = &self.plan_id {
            conditions.and().push("t.plan_id = ").push_bind(plan_id.clone());
        }
        if let Some(status) = self.status {
            conditions.and().push("t.status = ").push_bind(status.as_str());
        }
        if let Some(search) = &self.search {
            let pattern = contains_pattern(search);
            let place = conditions.and().push("(t.subdomain ILIKE ").push_bind(pattern.clone());
            let place = place.push(" OR t.display_name ILIKE ").push_bind(pattern.clone());
            let place = place.push(" OR t.user_id IN (SELECT u.id FROM read.users u WHERE u.name ILIKE ");
            let place = place.push_bind(pattern.clone()).push(" OR u.email ILIKE ").push_bind(pattern);
            place.push("))");
        }
        conditions
    }
}

/// By what a page of subscriptions is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SubscriptionSort {
    #[default]
    CreatedAt,
    UpdatedAt,
    ExpiresAt,
    Status,
}

impl SubscriptionSort {
    fn order(self, ascending: bool) -> String {
        let column = match self {
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::ExpiresAt => "expires_at",
            Self::Status => "status",
        };
        let way = if ascending { "ASC" } else { "DESC" };
        format!(" ORDER BY t.{column} {way}, t.id {way}")
    }
}

/// One page of charged subscriptions.
pub async fn page(
    pool: &PgPool,
    filter: &SubscriptionFilter,
    sort: SubscriptionSort,
    ascending: bool,
    asked: impl Into<Asked>,
) -> Result<Page<SubscriptionView>, ProjectionError> {
    let asked = asked.into();
    // A place is one in the list of the newest.
    let order = match asked {
        Asked::Page(_) => sort.order(ascending),
        Asked::Behind { .. } => SubscriptionSort::CreatedAt.order(false),
    };
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.subscriptions t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new(VIEW);
    asked.seek(filter.narrow(&mut query));
    asked.close(query.push(order));
    Ok(Page::gathered(
        &asked,
        count_of(pool, "subscriptions", count).await?,
        rows_of(pool, "subscriptions", query).await?,
    ))
}

/// One charged subscription, of `owner` only when given.
pub async fn find(pool: &PgPool, id: &str, owner: Option<&str>) -> Result<Option<SubscriptionView>, ProjectionError> {
    let mut query = QueryBuilder::new(VIEW);
    query.push(" WHERE t.charged AND t.id = ").push_bind(id.to_owned());
    if let Some(owner) = owner {
        query.push(" AND t.user_id = ").push_bind(owner.to_owned());
    }
    row_of(pool, "subscriptions", query).await
}

/// The charged subscriptions of `ids`, in no order.
pub async fn find_many(pool: &PgPool, ids: &[String]) -> Result<Vec<SubscriptionRow>, ProjectionError> {
    let mut query = QueryBuilder::new(SUBSCRIPTION);
    query.push(" WHERE t.charged AND t.id = ANY(").push_bind(ids.to_vec()).push(")");
    rows_of(pool, "subscriptions", query).await
}

/// One charged subscription with its invoice and its newest `transactions` lines.
pub async fn detail(
    pool: &PgPool,
    id: &str,
    owner: Option<&str>,
    transactions: u32,
) -> Result<Option<SubscriptionDetail>, ProjectionError> {
    let Some(subscription) = find(pool, id, owner).await? else { return Ok(None) };
    Ok(Some(SubscriptionDetail {
        invoice: billing::invoice_of_subscription(pool, id).await?,
        transactions: billing::transactions_of_subscription(pool, id, transactions).await?,
        subscription,
    }))
}

/// The subscription that keeps this customer from a second one of `offering`: any but a cancelled one,
/// requests under way included.
pub async fn live_of(pool: &PgPool, user_id: &str, offering: &str) -> Result<Option<SubscriptionRow>, ProjectionError> {
    let mut query = QueryBuilder::new(SUBSCRIPTION);
    query.push(" WHERE t.status <> 'CANCELLED' AND t.user_id = ").push_bind(user_id.to_owned());
    query.push(" AND t.offering = ").push_bind(offering.to_owned());
    query.push(" ORDER BY t.created_at DESC, t.id DESC LIMIT 1");
    row_of(pool, "subscriptions", query).await
}

/// Charged subscriptions by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct SubscriptionCounts {
    pub total: i64,
    pub pending_deployment: i64,
    pub active: i64,
    pub expired: i64,
    pub cancelled: i64,
    pub suspended: i64,
    /// Sum of the prices of those that are active or expired.
    pub active_and_expired_price: Rupiah,
    /// Sum of the prices of those that are active.
    pub active_price: Rupiah,
}

const COUNTS: &str = "SELECT jsonb_build_object('total', count(*), \
     'pending_deployment', count(*) FILTER (WHERE t.status = 'PENDING_DEPLOYMENT'), \
     'active', count(*) FILTER (WHERE t.status = 'ACTIVE'), \
     'expired', count(*) FILTER (WHERE t.status = 'EXPIRED'), \
     'cancelled', count(*) FILTER (WHERE t.status = 'CANCELLED'), \
     'suspended', count(*) FILTER (WHERE t.status = 'SUSPENDED'), \
     'active_and_expired_price', coalesce(sum(t.price) FILTER (WHERE t.status IN ('ACTIVE', 'EXPIRED')), 0), \
     'active_price', coalesce(sum(t.price) FILTER (WHERE t.status = 'ACTIVE'), 0)) FROM read.subscriptions t";

async fn counts_where(pool: &PgPool, filter: &SubscriptionFilter) -> Result<SubscriptionCounts, ProjectionError> {
    let mut query = QueryBuilder::new(COUNTS);
    filter.narrow(&mut query);
    let Json(counts): Json<SubscriptionCounts> =
        query.build_query_scalar().fetch_one(pool).await.map_err(database("subscriptions"))?;
    Ok(counts)
}

/// The fleet by state.
pub async fn counts(pool: &PgPool) -> Result<SubscriptionCounts, ProjectionError> {
    counts_where(pool, &SubscriptionFilter::default()).await
}

/// One customer's subscriptions by state.
pub async fn counts_of_user(pool: &PgPool, user_id: &str) -> Result<SubscriptionCounts, ProjectionError> {
    let filter = SubscriptionFilter { user_id: Some(user_id.to_owned()), ..SubscriptionFilter::default() };
    counts_where(pool, &filter).await
}

/// How many charged subscriptions began at `from` or later.
pub async fn count_since(pool: &PgPool, from: Timestamp) -> Result<i64, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM read.subscriptions WHERE charged AND created_at >= ");
    query.push_bind(from.to_utc());
    count_of(pool, "subscriptions", query).await
}

/// How many charged subscriptions each of `user_ids` has; those without one are left out.
pub async fn count_by_user(pool: &PgPool, user_ids: &[String]) -> Result<Vec<(String, i64)>, ProjectionError> {
    sqlx::query_as(
        "SELECT user_id, count(*) FROM read.subscriptions WHERE charged AND user_id = ANY($1) GROUP BY user_id",
    )
    .bind(user_ids)
    .fetch_all(pool)
    .await
    .map_err(database("subscriptions"))
}

/// How many charged subscriptions each of `plan_ids` has; those without one are left out.
pub async fn count_by_plan(pool: &PgPool, plan_ids: &[String]) -> Result<Vec<(String, i64)>, ProjectionError> {
    sqlx::query_as(
        "SELECT plan_id, count(*) FROM read.subscriptions WHERE charged AND plan_id = ANY($1) GROUP BY plan_id",
    )
    .bind(plan_ids)
    .fetch_all(pool)
    .await
    .map_err(database("subscriptions"))
}

/// How many accounts have at least one charged subscription, forgotten people left out.
pub async fn users_with_subscriptions(pool: &PgPool) -> Result<i64, ProjectionError> {
    let query = QueryBuilder::new(
        "SELECT count(*) FROM read.users u WHERE NOT u.forgotten AND EXISTS (\
         SELECT 1 FROM read.subscriptions s WHERE s.charged AND s.user_id = u.id)",
    );
    count_of(pool, "subscriptions", query).await
}

/// Which instances are asked for. Without a status, deleted ones are left out.
#[derive(Debug, Clone, Default)]
pub struct InstanceFilter {
    pub status: Option<InstanceStatus>,
    pub offering: Option<String>,
    pub user_id: Option<String>,
    pub drift: Option<DriftState>,
    /// Only these.
    pub ids: Option<Vec<String>>,
}

impl InstanceFilter {
    fn narrow(&self, query: &mut QueryBuilder<'_, Postgres>) {
        let mut conditions = Conditions::of(query);
        match self.status {
            Some(status) => conditions.and().push("t.status = ").push_bind(status.as_str()),
            None => conditions.and().push("t.status <> 'DELETED'"),
        };
        if let Some(offering) = &self.offering {
            conditions.and().push("t.offering = ").push_bind(offering.clone());
        }
        if let Some(user_id) = &self.user_id {
            conditions.and().push("t.user_id = ").push_bind(user_id.clone());
        }
        if let Some(drift) = self.drift {
            conditions.and().push("t.drift_state = ").push_bind(drift.as_str());
        }
        if let Some(ids) = &self.ids {
            conditions.and().push("t.id = ANY(").push_bind(ids.clone()).push(")");
        }
    }
}

/// One page of instances, newest first.
pub async fn instances(
    pool: &PgPool,
    filter: &InstanceFilter,
    page: PageRequest,
) -> Result<Page<InstanceView>, ProjectionError> {
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.instances t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new(INSTANCE);
    filter.narrow(&mut query);
    page.close(query.push(" ORDER BY t.created_at DESC, t.id DESC"));
    Ok(Page::of(page, count_of(pool, "instances", count).await?, rows_of(pool, "instances", query).await?))
}

/// One instance.
pub async fn instance(pool: &PgPool, id: &str) -> Result<Option<InstanceView>, ProjectionError> {
    let mut query = QueryBuilder::new(INSTANCE);
    query.push(" WHERE t.id = ").push_bind(id.to_owned());
    row_of(pool, "instances", query).await
}

/// How many of the instances asked for stand in each state.
pub async fn instance_counts(pool: &PgPool, filter: &InstanceFilter) -> Result<Vec<(String, i64)>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT t.status, count(*) FROM read.instances t");
    filter.narrow(&mut query);
    query.push(" GROUP BY t.status ORDER BY t.status");
    query.build_query_as().fetch_all(pool).await.map_err(database("instances"))
}

/// Where an instance's objects are, and for which generation.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AppliedInstance {
    pub id: String,
    pub namespace: String,
    pub generation: i32,
    /// It is to rest.
    pub rests: bool,
}

/// Instances that were applied once and are not deleted, by id, after `after`; at most `most`.
pub async fn applied_instances(
    pool: &PgPool,
    after: Option<&str>,
    most: i64,
) -> Result<Vec<AppliedInstance>, ProjectionError> {
    sqlx::query_as(
        "SELECT id, namespace, generation, status = 'STOPPED' AS rests FROM read.instances
         WHERE namespace IS NOT NULL AND status IN ('RUNNING', 'UNKNOWN', 'STOPPED') AND id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after.unwrap_or_default())
    .bind(most)
    .fetch_all(pool)
    .await
    .map_err(database("instances"))
}

/// What was sold, by its instance, as whoever compares the books with the cluster asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Promised {
    pub instance_id: String,
    pub subscription_id: String,
    pub user_id: String,
    pub status: InstanceStatus,
    /// The subscription runs, in grace too, or its first start is paid for.
    pub entitled: bool,
    /// There is data of it, and somebody may still come back for it.
    pub volume_kept: bool,
}

/// Every instance that ever was, by id, after `after`; at most `most`.
pub async fn promises(pool: &PgPool, after: Option<&str>, most: i64) -> Result<Vec<Promised>, ProjectionError> {
    let mut query = QueryBuilder::new(
        "SELECT jsonb_build_object('instance_id', i.id, 'subscription_id', i.subscription_id, 'user_id', i.user_id, \
         'status', i.status, \
         'entitled', coalesce(s.charged AND s.status IN ('PENDING_DEPLOYMENT', 'ACTIVE'), false), \
         'volume_kept', i.volume_status NOT IN ('None', 'Deleted') \
           AND NOT coalesce(s.status = 'CANCELLED' AND s.data_until IS NULL, false)) \
         FROM read.instances i LEFT JOIN read.subscriptions s ON s.id = i.subscription_id WHERE i.id > ",
    );
    query.push_bind(after.unwrap_or_default().to_owned()).push(" ORDER BY i.id LIMIT ").push_bind(most);
    rows_of(pool, "promises", query).await
}

/// Instances that are sold and to run, counted by what they request.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Sold {
    pub offering: String,
    /// In the cluster's own quantities, of one.
    pub cpu_request: String,
    pub mem_request: String,
    pub count: i64,
}

/// Everything that is sold and to run, by its plan before it has an instance: what is suspended or expired has given its slot back and counts no more.
pub async fn sold(pool: &PgPool) -> Result<Vec<Sold>, ProjectionError> {
    sqlx::query_as(
        "SELECT s.offering, coalesce(i.cpu_request, p.cpu_request) AS cpu_request,
                coalesce(i.mem_request, p.mem_request) AS mem_request, count(*) AS count
         FROM read.subscriptions s JOIN read.plans p ON p.id = s.plan_id
         LEFT JOIN read.instances i ON i.id = s.instance_id
         WHERE s.status IN ('PENDING_DEPLOYMENT', 'ACTIVE') AND i.status IS DISTINCT FROM 'DELETED'
         GROUP BY 1, 2, 3",
    )
    .fetch_all(pool)
    .await
    .map_err(database("what is sold"))
}

/// What an instance has left in the cluster, as far as is known here.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Leftovers {
    pub id: String,
    pub deleted: bool,
    /// It is deleted, and its volume is not.
    pub volume_kept: bool,
}

/// Those of `ids` that are instances, deleted ones too.
pub async fn leftovers_of(pool: &PgPool, ids: &[String]) -> Result<Vec<Leftovers>, ProjectionError> {
    sqlx::query_as(
        "SELECT id, status = 'DELETED' AS deleted,
                status = 'DELETED' AND volume_status NOT IN ('None', 'Deleted') AS volume_kept
         FROM read.instances WHERE id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(pool)
    .await
    .map_err(database("instances"))
}
