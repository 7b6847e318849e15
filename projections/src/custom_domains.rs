//! The hosts that customers brought to their instances, and how far each is proved.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minispod_events::{CustomDomainsEvent, Event, Fact};
use minispod_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, QueryBuilder};

use crate::{
    Projection, ProjectionError,
    rows::{Row, Rows, rows_of},
};

/// How far a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CustomDomainStatus {
    /// Its proof is looked for.
    Pending,
    /// The instance answers to it.
    Verified,
    /// Its proof did not come, or another instance answers to it.
    Rejected,
}

impl CustomDomainStatus {
    /// Every value.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Verified, Self::Rejected];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Verified => "VERIFIED",
            Self::Rejected => "REJECTED",
        }
    }
}

/// One host of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomDomainRow {
    /// Instance and host.
    pub id: String,
    pub instance_id: String,
    pub subscription_id: String,
    pub user_id: String,
    pub host: String,
    pub challenge: String,
    pub status: CustomDomainStatus,
    /// The public address has it.
    pub preferred: bool,
    /// What the last look found, or why it was rejected: a refusal's code or `lapsed`.
    pub finding: Option<String>,
    pub removed: bool,
    pub expires_at: Timestamp,
    pub verified_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Row for CustomDomainRow {
    const TABLE: &'static str = "custom_domains";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "instance_id",
        "subscription_id",
        "user_id",
        "host",
        "challenge",
        "status",
        "preferred",
        "finding",
        "removed",
        "expires_at",
        "verified_at",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

/// The read model.
pub struct CustomDomains;

#[async_trait]
impl Projection for CustomDomains {
    fn name(&self) -> &'static str {
        "custom_domains"
    }

    fn revision(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("custom_domains.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::CustomDomains(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let of_domains = facts.iter().filter_map(|fact| match &fact.event {
            Event::CustomDomains(event) => Some((fact.recorded.aggregate_id.as_str(), event)),
            _ => None,
        });
        let touched: BTreeSet<String> = of_domains.clone().flat_map(|(instance, event)| ids(instance, event)).collect();
        let mut rows = Rows::load(tx, touched).await?;
        for (instance, event) in of_domains {
            for id in ids(instance, event) {
                if let Some(row) = CustomDomainRow::after(rows.get(&id).cloned(), &id, instance, event) {
                    rows.put(row);
                }
            }
        }
        rows.store(tx).await
    }
}

/// The rows that an event changes: its own, and those whose place in the public address it settles.
fn ids(instance: &str, event: &CustomDomainsEvent) -> Vec<String> {
    let (own, others): (Option<&String>, &[String]) = match event {
        CustomDomainsEvent::CustomDomainVerified { host, hosts, .. }
        | CustomDomainsEvent::CustomDomainRemoved { host, hosts, .. } => (Some(host), hosts),
        CustomDomainsEvent::CustomDomainPreferred { hosts, .. } => (None, hosts),
        CustomDomainsEvent::CustomDomainRequested { host, .. }
        | CustomDomainsEvent::CustomDomainCheckRequested { host, .. }
        | CustomDomainsEvent::CustomDomainUnproved { host, .. }
        | CustomDomainsEvent::CustomDomainRejected { host, .. } => (Some(host), &[]),
        CustomDomainsEvent::CustomDomainReleased { .. } | CustomDomainsEvent::CustomDomainsClosed { .. } => (None, &[]),
    };
    own.into_iter().chain(others).map(|host| format!("{instance}/{host}")).collect()
}

impl CustomDomainRow {
    /// The row `id` after an event of its instance that concerns it.
    fn after(row: Option<Self>, id: &str, instance: &str, event: &CustomDomainsEvent) -> Option<Self> {
        let at = minispod_kernel::Event::occurred_at(event);
        if let CustomDomainsEvent::CustomDomainRequested {
            subscription_id, user_id, host, challenge, expires_at, ..
        } = event
        {
            return Some(Self {
                id: id.to_owned(),
                instance_id: instance.to_owned(),
                subscription_id: subscription_id.clone(),
                user_id: user_id.clone(),
                host: host.clone(),
                challenge: challenge.clone(),
                status: CustomDomainStatus::Pending,
                preferred: false,
                finding: None,
                removed: false,
                expires_at: *expires_at,
                verified_at: None,
                created_at: at,
                updated_at: at,
            });
        }
        let mut row = row?;
        match event {
            CustomDomainsEvent::CustomDomainUnproved { finding, .. } => row.finding = Some(finding.clone()),
            CustomDomainsEvent::CustomDomainRejected { reason, .. } => {
                (row.status, row.finding) = (CustomDomainStatus::Rejected, Some(reason.clone()));
            }
            CustomDomainsEvent::CustomDomainVerified { host, preferred, .. } => {
                if row.host == *host {
                    (row.status, row.finding, row.verified_at) = (CustomDomainStatus::Verified, None, Some(at));
                }
                row.preferred = preferred.as_ref() == Some(&row.host);
            }
            CustomDomainsEvent::CustomDomainPreferred { preferred, .. } => {
                row.preferred = preferred.as_ref() == Some(&row.host);
            }
            CustomDomainsEvent::CustomDomainRemoved { host, preferred, .. } => {
                row.removed |= row.host == *host;
                row.preferred = preferred.as_ref() == Some(&row.host);
            }
            // Made above; asked for only.
            CustomDomainsEvent::CustomDomainRequested { .. }
            | CustomDomainsEvent::CustomDomainCheckRequested { .. }
            | CustomDomainsEvent::CustomDomainReleased { .. }
            | CustomDomainsEvent::CustomDomainsClosed { .. } => {}
        }
        row.updated_at = at;
        Some(row)
    }

    /// The rows of an instance after its whole history, oldest first, without those that were removed.
    pub fn fold<'a>(instance: &str, events: impl IntoIterator<Item = &'a CustomDomainsEvent>) -> Vec<Self> {
        let mut rows: Vec<Self> = Vec::new();
        for event in events {
            for id in ids(instance, event) {
                let place = rows.iter().position(|row| row.id == id);
                let before = place.map(|place| rows.remove(place));
                if let Some(row) = Self::after(before, &id, instance, event) {
                    rows.insert(place.unwrap_or(rows.len()), row);
                }
            }
        }
        rows.retain(|row| !row.removed);
        rows.sort_by(|one, other| (one.created_at, &one.host).cmp(&(other.created_at, &other.host)));
        rows
    }
}

/// An instance's hosts that are not removed, oldest first.
pub async fn of_instance(pool: &PgPool, instance_id: &str) -> Result<Vec<CustomDomainRow>, ProjectionError> {
    let mut query =
        QueryBuilder::new("SELECT to_jsonb(t) FROM read.custom_domains t WHERE NOT removed AND instance_id = ");
    query.push_bind(instance_id.to_owned()).push(" ORDER BY created_at, host");
    rows_of(pool, "custom_domains", query).await
}

/// Every instance that has a host or asks for it, oldest first.
pub async fn of_host(pool: &PgPool, host: &str) -> Result<Vec<CustomDomainRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.custom_domains t WHERE NOT removed AND host = ");
    query.push_bind(host.to_owned()).push(" ORDER BY created_at, id LIMIT 100");
    rows_of(pool, "custom_domains", query).await
}
