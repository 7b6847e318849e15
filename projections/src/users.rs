//! Who has an account: one row per user, newest first.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minispod_events::{Event, Fact, Role, UserEvent};
use minispod_kernel::{Timestamp, sensitive::FORGOTTEN_TEXT};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, QueryBuilder};

use crate::{
    Asked, Page, Projection, ProjectionError,
    page::{Place, Placed},
    rows::{Conditions, Row, Rows, contains_pattern, count_of, database, row_of, rows_of},
};

/// The read model.
pub struct Users;

/// One account. Name and address of a forgotten person read `(deleted)`.
#[expect(clippy::struct_excessive_bools, reason = "the columns of a table")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    pub id: String,
    pub name: String,
    pub email: String,
    pub role: Role,
    pub is_active: bool,
    pub forgotten: bool,
    /// Whether somebody has shown to read the address's mails.
    pub email_verified: bool,
    /// Whether signing in needs a second factor.
    pub two_factor: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Row for UserRow {
    const TABLE: &'static str = "users";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "email",
        "role",
        "is_active",
        "forgotten",
        "email_verified",
        "two_factor",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

#[async_trait]
impl Projection for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn revision(&self) -> u32 {
        2
    }

    fn schema(&self) -> &'static str {
        include_str!("users.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::User(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let about = |fact: &Fact| matches!(fact.event, Event::User(_)).then(|| fact.recorded.aggregate_id.clone());
        let mut users = Rows::load(tx, facts.iter().filter_map(about).collect::<BTreeSet<_>>()).await?;
        for fact in facts {
            if let Event::User(event) = &fact.event {
                fold(&mut users, &fact.recorded.aggregate_id, event);
            }
        }
        users.store(tx).await
    }
}

fn fold(users: &mut Rows<UserRow>, id: &str, event: &UserEvent) {
    if let Some(row) = UserRow::after(users.get(id).cloned(), id, event) {
        users.put(row);
    }
}

impl UserRow {
    /// The row after `event`, which is opened: `row` is the one before it, `None` before there was an account.
    pub fn after(row: Option<Self>, id: &str, event: &UserEvent) -> Option<Self> {
        if let UserEvent::UserRegistered { name, email, role, occurred_at, .. } = event {
            return Some(Self {
                id: id.to_owned(),
                name: name.text().to_owned(),
                email: email.text().to_owned(),
                role: *role,
                is_active: true,
                forgotten: false,
                email_verified: false,
                two_factor: false,
                created_at: *occurred_at,
                updated_at: *occurred_at,
            });
        }
        let mut row = row?;
        if !is_of_no_account(event) {
            row.apply(event);
        }
        Some(row)
    }

    fn apply(&mut self, event: &UserEvent) {
        match event {
            UserEvent::UserEmailVerified { .. } => self.email_verified = true,
            UserEvent::UserTwoFactorEnabled { .. } => self.two_factor = true,
            UserEvent::UserTwoFactorDisabled { .. } => self.two_factor = false,
            UserEvent::UserProfileChanged { name, email, email_claim, .. } => {
                if email_claim.is_some() {
                    self.email_verified = false;
                }
                if let Some(name) = name {
                    name.text().clone_into(&mut self.name);
                }
                if let Some(email) = email {
                    email.text().clone_into(&mut self.email);
                }
            }
            UserEvent::UserRoleChanged { role, .. } => self.role = *role,
            UserEvent::UserDeactivated { .. } => self.is_active = false,
            UserEvent::UserReactivated { .. } => self.is_active = true,
            UserEvent::UserForgotten { .. } => {
                FORGOTTEN_TEXT.clone_into(&mut self.name);
                FORGOTTEN_TEXT.clone_into(&mut self.email);
                self.is_active = false;
                self.forgotten = true;
            }
            // A registration is written above; a hash or a link says nothing here, but the account did change.
            _ => {}
        }
        self.updated_at = minispod_kernel::Event::occurred_at(event);
    }
}

impl Placed for UserRow {
    fn place(&self) -> Place {
        Place { at: self.created_at, id: self.id.clone() }
    }
}

/// What is used or asked for without changing the account as anybody sees it.
fn is_of_no_account(event: &UserEvent) -> bool {
    matches!(
        event,
        UserEvent::UserEmailVerificationRequested { .. }
            | UserEvent::UserPasswordResetRequested { .. }
            | UserEvent::UserOneTimeCodeAccepted { .. }
            | UserEvent::UserRecoveryCodeUsed { .. }
            | UserEvent::UserApiTokenCreated { .. }
            | UserEvent::UserApiTokenRevoked { .. }
            | UserEvent::UserImpersonated { .. }
    )
}

/// Which accounts are asked for.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    pub role: Option<Role>,
    pub is_active: Option<bool>,
    /// Part of a name or address, any case.
    pub search: Option<String>,
    /// Whether forgotten people are listed too.
    pub with_forgotten: bool,
}

impl UserFilter {
    fn narrow<'q, 'a>(&self, query: &'q mut QueryBuilder<'a, sqlx::Postgres>) -> Conditions<'q, 'a> {
        let mut conditions = Conditions::of(query);
        if !self.with_forgotten {
            conditions.and().push("NOT forgotten");
        }
        if let Some(role) = self.role {
            conditions.and().push("role = ").push_bind(role.as_str());
        }
        if let Some(is_active) = self.is_active {
            conditions.and().push("is_active = ").push_bind(is_active);
        }
        if let Some(search) = &self.search {
            let pattern = contains_pattern(search);
            let place = conditions.and().push("(name ILIKE ").push_bind(pattern.clone());
            place.push(" OR email ILIKE ").push_bind(pattern).push(")");
        }
        conditions
    }
}

/// The account `id`.
pub async fn find(pool: &PgPool, id: &str) -> Result<Option<UserRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.users t WHERE id = ");
    query.push_bind(id.to_owned());
    row_of(pool, "users", query).await
}

/// The accounts of `ids`, in no order.
pub async fn find_many(pool: &PgPool, ids: &[String]) -> Result<Vec<UserRow>, ProjectionError> {
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.users t WHERE id = ANY(");
    query.push_bind(ids.to_vec()).push(")");
    rows_of(pool, "users", query).await
}

/// One page of accounts, newest first.
pub async fn page(
    pool: &PgPool,
    filter: &UserFilter,
    asked: impl Into<Asked>,
) -> Result<Page<UserRow>, ProjectionError> {
    let asked = asked.into();
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.users t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new("SELECT to_jsonb(t) FROM read.users t");
    asked.seek(filter.narrow(&mut query));
    asked.close(query.push(" ORDER BY created_at DESC, id DESC"));
    Ok(Page::gathered(&asked, count_of(pool, "users", count).await?, rows_of(pool, "users", query).await?))
}

/// How many accounts there are, forgotten people left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct UserCounts {
    pub total: i64,
    pub active: i64,
    pub administrators: i64,
}

/// Counts over all accounts.
pub async fn counts(pool: &PgPool) -> Result<UserCounts, ProjectionError> {
    sqlx::query_as(
        "SELECT count(*) AS total, count(*) FILTER (WHERE is_active) AS active, \
         count(*) FILTER (WHERE role = 'ADMINISTRATOR') AS administrators FROM read.users WHERE NOT forgotten",
    )
    .fetch_one(pool)
    .await
    .map_err(database("users"))
}
