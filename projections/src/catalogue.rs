//! What can be bought: plans with price, capacity and the slots in use.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minispod_events::{Capacity, Event, Fact, PlanDetails, PlanEvent};
use minispod_kernel::{Rupiah, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use crate::{
    Page, PageRequest, Projection, ProjectionError,
    rows::{Conditions, Row, Rows, contains_pattern, count_of, database, row_of, rows_of},
};

/// Most plans a whole-catalogue answer carries.
pub const CATALOGUE_LIMIT: i64 = 1_000;

/// The read model.
pub struct Catalogue;

/// One plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRow {
    pub id: String,
    #[serde(flatten)]
    pub details: PlanDetails,
    pub monthly_price: Rupiah,
    pub capacity: Capacity,
    /// Slots held by subscriptions.
    pub used: i64,
    pub is_active: bool,
    /// It is out of the catalogue for good; only what was sold of it still shows it.
    pub deleted: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl PlanRow {
    /// The row after `event`: `row` is the one before it, `None` before the plan was published.
    pub fn after(row: Option<Self>, id: &str, event: &PlanEvent) -> Option<Self> {
        if let PlanEvent::PlanPublished { details, monthly_price, capacity, occurred_at } = event {
            return Some(Self {
                id: id.to_owned(),
                details: details.clone(),
                monthly_price: *monthly_price,
                capacity: *capacity,
                used: 0,
                is_active: true,
                deleted: false,
                created_at: *occurred_at,
                updated_at: *occurred_at,
            });
        }
        let mut row = row?;
        row.apply(event);
        Some(row)
    }

    fn apply(&mut self, event: &PlanEvent) {
        match event {
            // Makes a row and changes none.
            PlanEvent::PlanPublished { .. } => {}
            PlanEvent::PlanRevised { details, .. } => self.details = details.clone(),
            PlanEvent::PlanPriceChanged { monthly_price, .. } => self.monthly_price = *monthly_price,
            PlanEvent::PlanCapacityChanged { capacity, .. } => self.capacity = *capacity,
            PlanEvent::PlanRetired { .. } => self.is_active = false,
            PlanEvent::PlanReinstated { .. } => self.is_active = true,
            PlanEvent::PlanDeleted { .. } => {
                self.is_active = false;
                self.deleted = true;
            }
            // A sale is no change of the plan: `updated_at` stays.
            PlanEvent::PlanSlotAllocated { .. } => {
                self.used += 1;
                return;
            }
            PlanEvent::PlanSlotReleased { .. } => {
                self.used -= 1;
                return;
            }
        }
        self.updated_at = minispod_kernel::Event::occurred_at(event);
    }

    /// Slots left; −1 when there is no bound. The contract's `availableQuota`.
    pub fn available(&self) -> i64 {
        self.capacity.left(self.used)
    }
}

impl Row for PlanRow {
    const TABLE: &'static str = "plans";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "offering",
        "variant",
        "variant_display_name",
        "display_name",
        "description",
        "version",
        "cpu_request",
        "cpu_limit",
        "mem_request",
        "mem_limit",
        "docker_image",
        "container_port",
        "environment",
        "category",
        "tags",
        "icon",
        "features",
        "sort_order",
        "is_default_variant",
        "volume_size",
        "volume_mount_path",
        "volume_name",
        "storage_class",
        "access_mode",
        "yearly_discount_percent",
        "monthly_price",
        "capacity",
        "used",
        "is_active",
        "deleted",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

#[async_trait]
impl Projection for Catalogue {
    fn name(&self) -> &'static str {
        "catalogue"
    }

    fn revision(&self) -> u32 {
        2
    }

    fn schema(&self) -> &'static str {
        include_str!("catalogue.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::Plan(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let about = |fact: &Fact| matches!(fact.event, Event::Plan(_)).then(|| fact.recorded.aggregate_id.clone());
        let mut plans = Rows::load(tx, facts.iter().filter_map(about).collect::<BTreeSet<_>>()).await?;
        for fact in facts {
            if let Event::Plan(event) = &fact.event {
                fold(&mut plans, &fact.recorded.aggregate_id, event);
            }
        }
        plans.store(tx).await
    }
}

fn fold(plans: &mut Rows<PlanRow>, id: &str, event: &PlanEvent) {
    if let Some(row) = PlanRow::after(plans.get(id).cloned(), id, event) {
        plans.put(row);
    }
}

/// Which plans are asked for; deleted ones never are.
#[derive(Debug, Clone, Default)]
pub struct PlanFilter {
    pub is_active: Option<bool>,
    /// Part of slug, name or description, any case.
    pub search: Option<String>,
    pub category: Option<String>,
}

impl PlanFilter {
    fn narrow(&self, query: &mut QueryBuilder<'_, Postgres>) {
        let mut conditions = Conditions::of(query);
        conditions.and().push("NOT deleted");
        if let Some(is_active) = self.is_active {
            conditions.and().push("is_active = ").push_bind(is_active);
        }
        if let Some(category) = &self.category {
            conditions.and().push("category = ").push_bind(category.clone());
        }
        if let Some(search) = &self.search {
            let pattern = contains_pattern(search);
            let place = conditions.and().push("(offering ILIKE ").push_bind(pattern.clone());
            let place = place.push(" OR display_name ILIKE ").push_bind(pattern.clone());
            place.push(" OR description ILIKE ").push_bind(pattern).push(")");
        }
    }
}

/// One offering and its variants, lowest `sort_order` first; never without a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offering {
    pub name: String,
    pub variants: Vec<PlanRow>,
}

impl Offering {
    /// The variant whose texts head the offering.
    pub fn head(&self) -> Option<&PlanRow> {
        self.variants.first()
    }

    /// The one variant that stands for the offering: the first that is marked, else the first.
    pub fn default_variant(&self) -> Option<&PlanRow> {
        self.variants.iter().find(|plan| plan.details.is_default_variant).or(self.head())
    }
}

/// The plan `id`: sold, retired or deleted.
pub async fn find(pool: &PgPool, id: &str) -> Result<Option<PlanRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.plans t WHERE id = ");
    query.push_bind(id.to_owned());
    row_of(pool, "plans", query).await
}

/// The plans of `ids`, in no order.
pub async fn find_many(pool: &PgPool, ids: &[String]) -> Result<Vec<PlanRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.plans t WHERE id = ANY(");
    query.push_bind(ids.to_vec()).push(")");
    rows_of(pool, "plans", query).await
}

/// The active plan that stands for `offering`: the default variant, else the lowest `sort_order`.
pub async fn find_by_offering(pool: &PgPool, offering: &str) -> Result<Option<PlanRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.plans t WHERE is_active AND offering = ");
    query.push_bind(offering.to_owned()).push(" ORDER BY is_default_variant DESC, sort_order, id LIMIT 1");
    row_of(pool, "plans", query).await
}

/// The active variants of `offering`, lowest `sort_order` first.
pub async fn variants(pool: &PgPool, offering: &str) -> Result<Vec<PlanRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.plans t WHERE is_active AND offering = ");
    query.push_bind(offering.to_owned()).push(" ORDER BY sort_order, id LIMIT ").push_bind(CATALOGUE_LIMIT);
    rows_of(pool, "plans", query).await
}

/// The other plans of `offering` that are marked as its default variant, sold or retired.
pub async fn other_defaults(pool: &PgPool, offering: &str, id: &str) -> Result<Vec<PlanRow>, ProjectionError> {
    let mut query = QueryBuilder::new(
        "SELECT to_jsonb(t) FROM read.plans t WHERE is_default_variant AND NOT deleted AND offering = ",
    );
    query.push_bind(offering.to_owned()).push(" AND id <> ").push_bind(id.to_owned());
    query.push(" ORDER BY id LIMIT ").push_bind(CATALOGUE_LIMIT);
    rows_of(pool, "plans", query).await
}

/// A plan and how many subscriptions it has had.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PopularPlan {
    #[serde(flatten)]
    pub plan: PlanRow,
    pub subscriptions: i64,
}

/// The plans with most charged subscriptions, most first.
pub async fn popular(pool: &PgPool, most: u32) -> Result<Vec<PopularPlan>, ProjectionError> {
    let mut query = QueryBuilder::new(
        "SELECT to_jsonb(t) || jsonb_build_object('subscriptions', s.count) FROM read.plans t JOIN \
         (SELECT plan_id, count(*) AS count FROM read.subscriptions WHERE charged GROUP BY plan_id) s \
         ON s.plan_id = t.id WHERE NOT t.deleted ORDER BY s.count DESC, t.id LIMIT ",
    );
    query.push_bind(i64::from(most));
    rows_of(pool, "plans", query).await
}

/// Every active plan by display name.
pub async fn active(pool: &PgPool) -> Result<Vec<PlanRow>, ProjectionError> {
    let mut query =
        QueryBuilder::new("SELECT to_jsonb(t) FROM read.plans t WHERE is_active ORDER BY display_name, id LIMIT ");
    query.push_bind(CATALOGUE_LIMIT);
    rows_of(pool, "plans", query).await
}

/// The active plans that fit, grouped by offering in the order of their slugs.
pub async fn grouped(
    pool: &PgPool,
    search: Option<&str>,
    category: Option<&str>,
) -> Result<Vec<Offering>, ProjectionError> {
    let filter =
        PlanFilter { is_active: Some(true), search: search.map(str::to_owned), category: category.map(str::to_owned) };
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.plans t");
    filter.narrow(&mut query);
    query.push(" ORDER BY offering, sort_order, id LIMIT ").push_bind(CATALOGUE_LIMIT);
    let mut offerings: Vec<Offering> = Vec::new();
    for plan in rows_of::<PlanRow>(pool, "plans", query).await? {
        match offerings.last_mut().filter(|offering| offering.name == plan.details.offering) {
            Some(offering) => offering.variants.push(plan),
            None => offerings.push(Offering { name: plan.details.offering.clone(), variants: vec![plan] }),
        }
    }
    Ok(offerings)
}

/// The categories of active plans, sorted.
pub async fn categories(pool: &PgPool) -> Result<Vec<String>, ProjectionError> {
    sqlx::query_scalar(
        "SELECT DISTINCT category FROM read.plans WHERE is_active AND category <> '' ORDER BY category LIMIT $1",
    )
    .bind(CATALOGUE_LIMIT)
    .fetch_all(pool)
    .await
    .map_err(database("plans"))
}

/// One page of plans, newest first.
pub async fn page(pool: &PgPool, filter: &PlanFilter, page: PageRequest) -> Result<Page<PlanRow>, ProjectionError> {
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.plans t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.plans t");
    filter.narrow(&mut query);
    page.close(query.push(" ORDER BY created_at DESC, id DESC"));
    Ok(Page::of(page, count_of(pool, "plans", count).await?, rows_of(pool, "plans", query).await?))
}

/// How many plans there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct PlanCounts {
    pub total: i64,
    pub active: i64,
}

/// Counts over the whole catalogue.
pub async fn counts(pool: &PgPool) -> Result<PlanCounts, ProjectionError> {
    sqlx::query_as(
        "SELECT count(*) AS total, count(*) FILTER (WHERE is_active) AS active FROM read.plans WHERE NOT deleted",
    )
    .fetch_one(pool)
    .await
    .map_err(database("plans"))
}
