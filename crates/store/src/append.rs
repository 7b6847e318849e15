//! One call of `log.append`: its rows, and what its failures mean.

use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgDatabaseError};

use crate::{
    StoreError,
    claims::{ClaimRow, TimerRow},
    receipts::ReceiptRow,
};

/// An event's columns; the payload is sealed.
pub(crate) struct EventRow {
    pub aggregate_type: &'static str,
    pub aggregate_id: String,
    pub sequence: i64,
    pub event_type: String,
    pub event_version: String,
    pub payload: String,
    pub metadata: String,
}

#[derive(Serialize)]
pub(crate) struct StateRow {
    pub aggregate_type: &'static str,
    pub aggregate_id: String,
    pub fingerprint: &'static str,
    pub version: i64,
    pub state: Value,
}

#[derive(Serialize)]
pub(crate) struct DataKeyRow {
    pub person: String,
    /// Hexadecimal.
    pub wrapped: String,
}

#[derive(Serialize)]
pub(crate) struct SecretRow {
    pub owner: String,
    pub name: String,
    /// Hexadecimal; empty for a removal.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sealed: String,
}

/// An aggregate that must still be at this version.
#[derive(Serialize)]
pub(crate) struct VersionRow {
    pub aggregate_type: &'static str,
    pub aggregate_id: String,
    pub version: i64,
}

/// Everything beside the events.
#[derive(Default, Serialize)]
pub(crate) struct Side {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<ReceiptRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<ClaimRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ClaimRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<StateRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timers: Vec<TimerRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cancelled: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_keys: Vec<DataKeyRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed_secrets: Vec<SecretRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<VersionRow>,
}

impl Side {
    fn is_empty(&self) -> bool {
        self.receipts.is_empty()
            && self.requires.is_empty()
            && self.claims.is_empty()
            && self.releases.is_empty()
            && self.states.is_empty()
            && self.timers.is_empty()
            && self.cancelled.is_empty()
            && self.data_keys.is_empty()
            && self.secrets.is_empty()
            && self.removed_secrets.is_empty()
            && self.versions.is_empty()
    }
}

/// Why an append did not happen, or may have happened.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A receipt of the same key exists.
    Receipt,
    /// Somebody was faster; nothing was written, deciding again may work.
    Conflict,
    /// A claim is held by another aggregate; nothing was written.
    ClaimHeld { key: String, holder: String },
    /// A once-key is used or a required claim is not held: done before. Nothing was written.
    DoneBefore,
    /// The connection is gone: written or not, nobody knows yet.
    Unknown(sqlx::Error),
    /// Something else; nothing was written.
    Failed(StoreError),
}

/// All rows in one transaction of one round trip; the insertion numbers of the events in order. With nothing to
/// write it does not ask the database.
pub(crate) async fn append(db: &mut PgConnection, events: &[EventRow], side: &Side) -> Result<Vec<i64>, Trouble> {
    if events.is_empty() && side.is_empty() {
        return Ok(Vec::new());
    }
    let side =
        if side.is_empty() {
            None
        } else {
            Some(serde_json::value::to_raw_value(side).map(|raw| raw.get().to_owned()).map_err(|source| {
                Trouble::Failed(StoreError::Unwritable { what: "a transaction".to_owned(), source })
            })?)
        };
    // fetch_all reads until the server is ready again, so the commit is behind us when it answers.
    let rows = sqlx::query("SELECT new_ins_seq FROM log.append($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb)")
        .bind(events.iter().map(|event| event.aggregate_type).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.aggregate_id.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.sequence).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.event_version.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.payload.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.metadata.as_str()).collect::<Vec<_>>())
        .bind(side)
        .fetch_all(db)
        .await
        .map_err(trouble)?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(trouble)
}

/// Reads the meaning of a failed append.
fn trouble(error: sqlx::Error) -> Trouble {
    let sqlx::Error::Database(database) = &error else {
        return match error {
            sqlx::Error::Encode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Trouble::Failed(StoreError::database("append")(error))
            }
            other => Trouble::Unknown(other),
        };
    };
    let detail = || {
        let detail = database.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::detail);
        detail.unwrap_or_default().to_owned()
    };
    match database.code().as_deref() {
        Some("23505") if database.constraint() == Some("receipts_pkey") => Trouble::Receipt,
        // 57014: the statement took longer than its limit and was rolled back.
        Some("MP002" | "23505" | "40P01" | "40001" | "55P03" | "57014") => Trouble::Conflict,
        Some("MP004") => {
            let detail = detail();
            let (key, holder) = detail.split_once('\n').unwrap_or((&detail, ""));
            Trouble::ClaimHeld { key: key.to_owned(), holder: holder.to_owned() }
        }
        Some("MP005") => Trouble::DoneBefore,
        // jsonb and text cannot hold U+0000.
        Some("22P05" | "22021") => Trouble::Failed(StoreError::Limit { what: "a text with a NUL character" }),
        // The server is going down or has ended our session: also possible while the commit waits.
        Some(code) if code.starts_with("57P") || code.starts_with("08") || code.starts_with("25P") => {
            Trouble::Unknown(error)
        }
        // A key that no index can hold.
        Some("54000") => Trouble::Failed(StoreError::Limit { what: "the length of a key" }),
        _ => Trouble::Failed(StoreError::database("append")(error)),
    }
}

/// Whether a failed statement took its connection with it.
pub(crate) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => database
            .code()
            .is_some_and(|code| code.starts_with("57P") || code.starts_with("08") || code.starts_with("25P")),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}
