//! Receipts: the outcomes of keyed commands, and their removal when nobody can ask again.

use minispod_kernel::{InsSeq, LogPosition, RefusalKind, Timestamp};
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Row};

use crate::{CommandError, CommandKey, Refused, StoreError};

/// Longest key or scope.
pub const KEY_MAX: usize = 400;
/// Most receipts removed at once.
pub const PURGE_MAX: i64 = 10_000;
/// The scope of keys derived from a cause.
const DERIVED: &str = "derived";

/// Scope and key columns of a command; `None`: it leaves no receipt.
pub(crate) fn address(key: &CommandKey) -> Result<Option<(String, String)>, StoreError> {
    let (scope, key) = match key {
        CommandKey::Client { scope, key, .. } => (format!("client/{scope}"), key.clone()),
        CommandKey::Derived(key) => (DERIVED.to_owned(), key.clone()),
        CommandKey::Generated => return Ok(None),
    };
    if key.is_empty() || key.len() > KEY_MAX || scope.len() > KEY_MAX {
        return Err(StoreError::Limit { what: "the length of a command's key" });
    }
    Ok(Some((scope, key)))
}

/// How a keyed command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Refused(Refused),
    ClaimTaken { key: String, holder: String },
}

/// The row to be written, as `log.append` reads it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReceiptRow {
    pub scope: String,
    pub key: String,
    pub fingerprint: Option<String>,
    pub aggregate_type: &'static str,
    pub aggregate_id: String,
    pub outcome: &'static str,
    pub code: Option<String>,
    pub kind: Option<&'static str>,
    pub message: Option<String>,
    pub version: i64,
    pub event_count: i64,
    pub created_at: Timestamp,
}

impl ReceiptRow {
    /// Fills the outcome's columns.
    pub(crate) fn with(mut self, verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Done => self.outcome = "done",
            Verdict::Refused(refused) => {
                self.outcome = "refused";
                self.code = Some(refused.code.clone());
                self.kind = Some(kind_name(refused.kind));
                self.message = Some(refused.message.clone());
            }
            Verdict::ClaimTaken { key, holder } => {
                self.outcome = "claim_taken";
                self.code = Some(key.clone());
                self.message = Some(holder.clone());
            }
        }
        self
    }
}

/// A receipt as found.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub fingerprint: Option<Vec<u8>>,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub verdict: Verdict,
    pub version: i64,
    pub event_count: i64,
}

/// The receipt of a key, when there is one.
pub(crate) async fn find(db: &mut PgConnection, scope: &str, key: &str) -> Result<Option<Receipt>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT fingerprint, aggregate_type, aggregate_id, outcome, code, kind, message, version, event_count
         FROM ops.receipts WHERE scope = $1 AND key = $2",
    )
    .bind(scope)
    .bind(key)
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        let outcome: String = row.try_get("outcome")?;
        let code = row.try_get::<Option<String>, _>("code")?.unwrap_or_default();
        let message = row.try_get::<Option<String>, _>("message")?.unwrap_or_default();
        let verdict = match outcome.as_str() {
            "refused" => {
                let kind = kind_of(&row.try_get::<Option<String>, _>("kind")?.unwrap_or_default());
                Verdict::Refused(Refused { code, kind, message })
            }
            "claim_taken" => Verdict::ClaimTaken { key: code, holder: message },
            _ => Verdict::Done,
        };
        Ok(Receipt {
            fingerprint: row.try_get("fingerprint")?,
            aggregate_type: row.try_get("aggregate_type")?,
            aggregate_id: row.try_get("aggregate_id")?,
            verdict,
            version: row.try_get("version")?,
            event_count: i64::from(row.try_get::<i32, _>("event_count")?),
        })
    })
    .transpose()
}

const fn kind_name(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Invalid => "invalid",
        RefusalKind::Payment => "payment",
        RefusalKind::Forbidden => "forbidden",
        RefusalKind::NotFound => "not_found",
        RefusalKind::Conflict => "conflict",
    }
}

fn kind_of(name: &str) -> RefusalKind {
    match name {
        "invalid" => RefusalKind::Invalid,
        "payment" => RefusalKind::Payment,
        "forbidden" => RefusalKind::Forbidden,
        "not_found" => RefusalKind::NotFound,
        _ => RefusalKind::Conflict,
    }
}

/// Asks for receipts, and removes those that nobody can ask for again.
#[derive(Clone)]
pub struct Receipts {
    pool: PgPool,
}

impl Receipts {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Whether the same request under `key` has ended before: its repeat will be answered from the receipt. The key of
    /// another request is refused here already, as the command would be.
    pub async fn knows(&self, key: &CommandKey) -> Result<bool, CommandError> {
        let CommandKey::Client { fingerprint, .. } = key else { return Ok(false) };
        let Some((scope, key)) = address(key)? else { return Ok(false) };
        let known: Option<Option<Vec<u8>>> =
            sqlx::query_scalar("SELECT fingerprint FROM ops.receipts WHERE scope = $1 AND key = $2")
                .bind(scope)
                .bind(key)
                .fetch_optional(&self.pool)
                .await
                .map_err(StoreError::database("look for a receipt"))?;
        match known {
            None => Ok(false),
            Some(of) if of.as_deref() == Some(fingerprint.as_slice()) => Ok(true),
            Some(_) => Err(CommandError::KeyReused),
        }
    }

    /// Removes clients' receipts from before `cutoff`, at most `limit` (and [`PURGE_MAX`]); returns how many went.
    pub async fn purge_clients(&self, cutoff: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.purge("scope <> 'derived'", cutoff, InsSeq(i64::MAX), limit).await
    }

    /// Removes derived receipts from before `cutoff` whose causes lie at or below `floor`, the lowest floor of the
    /// reactors: no reactor can repeat them. At most `limit` (and [`PURGE_MAX`]); returns how many went.
    pub async fn purge_derived(&self, cutoff: Timestamp, floor: LogPosition, limit: i64) -> Result<u64, StoreError> {
        let ins_seq: Option<i64> = sqlx::query_scalar("SELECT ins_seq FROM log.event_log WHERE position = $1")
            .bind(floor.0)
            .fetch_optional(&self.pool)
            .await
            .map_err(StoreError::database("look up a floor"))?;
        match ins_seq {
            Some(ins_seq) => self.purge("scope = 'derived'", cutoff, InsSeq(ins_seq), limit).await,
            None => Ok(0),
        }
    }

    async fn purge(
        &self,
        whose: &'static str,
        cutoff: Timestamp,
        below: InsSeq,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let gone = sqlx::query(&format!(
            "DELETE FROM ops.receipts WHERE (scope, key) IN (
               SELECT scope, key FROM ops.receipts WHERE {whose} AND created_at < $1 AND below_ins_seq <= $2
               ORDER BY created_at LIMIT $3)"
        ))
        .bind(cutoff.to_utc())
        .bind(below.0)
        .bind(limit.clamp(0, PURGE_MAX))
        .execute(&self.pool)
        .await
        .map_err(StoreError::database("remove receipts"))?;
        Ok(gone.rows_affected())
    }
}
