//! What the refund desk was asked for, and how far each refund got.

use std::collections::BTreeSet;

use async_trait::async_trait;
use minispod_events::{Event, Fact, RefundMethod, TopUpEvent, UserEvent};
use minispod_kernel::{Rupiah, Sensitive, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use crate::{
    Asked, Page, Projection, ProjectionError,
    page::{Place, Placed},
    rows::{Conditions, Row, Rows, count_of, database, row_of, rows_of},
    words::words,
};

words! {
    /// How a refund stands.
    RefundStatus {
        Requested = "REQUESTED", AwaitingApproval = "AWAITING_APPROVAL", Processing = "PROCESSING",
        AtGateway = "AT_GATEWAY", Confirmed = "CONFIRMED", Failed = "FAILED", Declined = "DECLINED",
    }
}

words! {
    /// By which way the money goes.
    RefundWay { Gateway = "GATEWAY", BankTransfer = "BANK_TRANSFER", WalletCredit = "WALLET_CREDIT" }
}

impl RefundWay {
    const fn of(method: RefundMethod) -> Self {
        match method {
            RefundMethod::Gateway => Self::Gateway,
            RefundMethod::BankTransfer => Self::BankTransfer,
            RefundMethod::WalletCredit => Self::WalletCredit,
        }
    }
}

/// One refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundRow {
    /// The refund key.
    pub id: String,
    pub topup_id: String,
    pub order_id: String,
    pub user_id: String,
    pub amount: Rupiah,
    pub method: RefundWay,
    /// What the order was paid with.
    pub payment_type: String,
    pub status: RefundStatus,
    /// `None` once the person is forgotten.
    pub reason: Option<String>,
    pub needs_approval: bool,
    pub requested_by: String,
    pub approved_by: Option<String>,
    pub declined_by: Option<String>,
    /// Why it was declined or failed.
    pub outcome: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Row for RefundRow {
    const TABLE: &'static str = "refunds";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "topup_id",
        "order_id",
        "user_id",
        "amount",
        "method",
        "payment_type",
        "status",
        "reason",
        "needs_approval",
        "requested_by",
        "approved_by",
        "declined_by",
        "outcome",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

impl Placed for RefundRow {
    fn place(&self) -> Place {
        Place { at: self.created_at, id: self.id.clone() }
    }
}

/// The read model.
pub struct Refunds;

#[async_trait]
impl Projection for Refunds {
    fn name(&self) -> &'static str {
        "refunds"
    }

    fn revision(&self) -> u32 {
        1
    }

    fn schema(&self) -> &'static str {
        include_str!("refunds.sql")
    }

    fn concerns(&self, event: &Event) -> bool {
        matches!(event, Event::TopUp(_) | Event::User(_))
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let keys: BTreeSet<String> = facts.iter().filter_map(key_of).map(str::to_owned).collect();
        let mut rows = Rows::load(tx, keys).await?;
        for fact in facts {
            if let Event::TopUp(event) = &fact.event {
                enter(&mut rows, &fact.recorded.aggregate_id, event);
            }
        }
        rows.store(tx).await?;
        for fact in facts {
            if let Event::User(UserEvent::UserForgotten { .. }) = &fact.event {
                forget(tx, &fact.recorded.aggregate_id).await?;
            }
        }
        Ok(())
    }
}

/// The refund that a fact is about, of the desk's or not.
fn key_of(fact: &Fact) -> Option<&str> {
    let Event::TopUp(event) = &fact.event else { return None };
    match event {
        TopUpEvent::TopUpRefundOpened { refund_key, .. }
        | TopUpEvent::TopUpRefundApproved { refund_key, .. }
        | TopUpEvent::TopUpRefundDeclined { refund_key, .. }
        | TopUpEvent::TopUpRefundReserved { refund_key, .. }
        | TopUpEvent::TopUpRefundReady { refund_key, .. }
        | TopUpEvent::TopUpRefundSubmitted { refund_key, .. }
        | TopUpEvent::TopUpRefundFailed { refund_key, .. }
        | TopUpEvent::TopUpRefundConfirmed { refund_key, .. } => Some(refund_key),
        _ => None,
    }
}

fn enter(rows: &mut Rows<RefundRow>, topup_id: &str, event: &TopUpEvent) {
    if let Some(row) = opened(topup_id, event) {
        rows.put(row);
        return;
    }
    let (TopUpEvent::TopUpRefundApproved { refund_key: key, .. }
    | TopUpEvent::TopUpRefundDeclined { refund_key: key, .. }
    | TopUpEvent::TopUpRefundReserved { refund_key: key, .. }
    | TopUpEvent::TopUpRefundReady { refund_key: key, .. }
    | TopUpEvent::TopUpRefundSubmitted { refund_key: key, .. }
    | TopUpEvent::TopUpRefundFailed { refund_key: key, .. }
    | TopUpEvent::TopUpRefundConfirmed { refund_key: key, .. }) = event
    else {
        return;
    };
    // A refund that was made at the gateway alone is none of the desk's.
    let Some(row) = rows.edit(key) else { return };
    row.updated_at = minispod_kernel::Event::occurred_at(event);
    match event {
        TopUpEvent::TopUpRefundApproved { approved_by, .. } => {
            row.approved_by = Some(approved_by.clone());
            row.status = RefundStatus::Requested;
        }
        TopUpEvent::TopUpRefundDeclined { declined_by, reason, .. } => {
            row.declined_by = Some(declined_by.clone());
            row.outcome = said(reason);
            row.status = RefundStatus::Declined;
        }
        TopUpEvent::TopUpRefundReady { .. } => row.status = RefundStatus::Processing,
        TopUpEvent::TopUpRefundSubmitted { .. } => row.status = RefundStatus::AtGateway,
        TopUpEvent::TopUpRefundFailed { reason, .. } => {
            row.outcome = Some(reason.clone());
            row.status = RefundStatus::Failed;
        }
        TopUpEvent::TopUpRefundConfirmed { .. } => row.status = RefundStatus::Confirmed,
        _ => {}
    }
}

fn opened(topup_id: &str, event: &TopUpEvent) -> Option<RefundRow> {
    let TopUpEvent::TopUpRefundOpened {
        user_id,
        order_id,
        refund_key,
        amount,
        method,
        payment_type,
        reason,
        requested_by,
        needs_approval,
        occurred_at,
    } = event
    else {
        return None;
    };
    let status = if *needs_approval { RefundStatus::AwaitingApproval } else { RefundStatus::Requested };
    Some(RefundRow {
        id: refund_key.clone(),
        topup_id: topup_id.to_owned(),
        order_id: order_id.clone(),
        user_id: user_id.clone(),
        amount: *amount,
        method: RefundWay::of(*method),
        payment_type: payment_type.clone(),
        status,
        reason: said(reason),
        needs_approval: *needs_approval,
        requested_by: requested_by.clone(),
        approved_by: None,
        declined_by: None,
        outcome: None,
        created_at: *occurred_at,
        updated_at: *occurred_at,
    })
}

fn said(reason: &Sensitive<String>) -> Option<String> {
    reason.open().cloned()
}

async fn forget(tx: &mut PgConnection, user_id: &str) -> Result<(), ProjectionError> {
    let sql = "UPDATE refunds SET reason = NULL, outcome = CASE status WHEN 'DECLINED' THEN NULL ELSE outcome END \
               WHERE user_id = $1";
    sqlx::query(sql).bind(user_id).execute(tx).await.map_err(database("refunds"))?;
    Ok(())
}

const REFUND: &str = "SELECT to_jsonb(t) FROM read.refunds t";
const NEWEST: &str = " ORDER BY t.created_at DESC, t.id DESC";

/// Which refunds are asked for.
#[derive(Debug, Clone, Default)]
pub struct RefundFilter {
    pub status: Option<RefundStatus>,
    pub user_id: Option<String>,
}

impl RefundFilter {
    fn narrow<'q, 'a>(&self, query: &'q mut QueryBuilder<'a, Postgres>) -> Conditions<'q, 'a> {
        let mut conditions = Conditions::of(query);
        if let Some(status) = self.status {
            conditions.and().push("t.status = ").push_bind(status.as_str());
        }
        if let Some(user_id) = &self.user_id {
            conditions.and().push("t.user_id = ").push_bind(user_id.clone());
        }
        conditions
    }
}

/// One page of refunds, newest first.
pub async fn page(
    pool: &PgPool,
    filter: &RefundFilter,
    asked: impl Into<Asked>,
) -> Result<Page<RefundRow>, ProjectionError> {
    let asked = asked.into();
    let mut count = QueryBuilder::new("SELECT count(*) FROM read.refunds t");
    filter.narrow(&mut count);
    let mut query = QueryBuilder::new(REFUND);
    asked.seek(filter.narrow(&mut query));
    asked.close(query.push(NEWEST));
    Ok(Page::gathered(&asked, count_of(pool, "refunds", count).await?, rows_of(pool, "refunds", query).await?))
}

/// One refund.
pub async fn find(pool: &PgPool, refund_key: &str) -> Result<Option<RefundRow>, ProjectionError> {
    let mut query = QueryBuilder::new(REFUND);
    query.push(" WHERE t.id = ").push_bind(refund_key.to_owned());
    row_of(pool, "refunds", query).await
}
