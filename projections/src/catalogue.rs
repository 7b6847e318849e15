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
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl PlanRow {
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
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("catalogue.sql")
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
    if let PlanEvent::PlanPublished { details, monthly_price, capacity, occurred_at } = event {
        plans.put(PlanRow {
            id: id.to_owned(),
            details: details.clone(),
            monthly_price: *monthly_price,
            capacity: *capacity,
            used: 0,
            is_active: true,
            created_at: *occurred_at,
            updated_at: *occurred_at,
        });
        return;
    }
    let Some(plan) = plans.edit(id) else { return };
    match event {
        // Written above.
        PlanEvent::PlanPublished { .. } => {}
        PlanEvent::PlanRevised { details, .. } => plan.details = details.clone(),
        PlanEvent::PlanPriceChanged { monthly_price, .. } => plan.monthly_price = *monthly_price,
        PlanEvent::PlanCapacityChanged { capacity, .. } => plan.capacity = *capacity,
        PlanEvent::PlanRetired { .. } => plan.is_active = false,
        PlanEvent::PlanReinstated { .. } => plan.is_active = true,
        // A sale is no change of the plan: `updated_at` stays.
        PlanEvent::PlanSlotAllocated { .. } => {
            plan.used += 1;
            return;
        }
        PlanEvent::PlanSlotReleased { .. } => {
            plan.used -= 1;
            return;
        }
    }
    plan.updated_at = minispod_kernel::Event::occurred_at(event);
}

/// Which plans are asked for.
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
}

/// The plan `id`, sold or retired.
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
    sqlx::query_scalar("SELECT DISTINCT category FROM read.plans WHERE is_active ORDER BY category LIMIT $1")
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
    sqlx::query_as("SELECT count(*) AS total, count(*) FILTER (WHERE is_active) AS active FROM read.plans")
        .fetch_one(pool)
        .await
        .map_err(database("plans"))
}
