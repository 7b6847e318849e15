//! What can go wrong between the process and its database.

use minispod_events::DecodeError;

/// A failure of storage or of what lies in it; never a rule that said no.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused, or could not be reached.
    #[error("the database did not {doing}")]
    Database {
        doing: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// The migrations could not be applied.
    #[error("the database could not be migrated")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A stored event does not fit the code.
    #[error("a stored event of {aggregate_type}/{aggregate_id} cannot be read")]
    Unreadable {
        aggregate_type: String,
        aggregate_id: String,
        #[source]
        source: serde_json::Error,
    },
    /// A recorded event of no known kind.
    #[error("a recorded event cannot be read")]
    Decode(#[from] DecodeError),
    /// An event or state could not become JSON (an open personal field that names no slot, most likely).
    #[error("{what} cannot be written as JSON")]
    Unwritable {
        what: String,
        #[source]
        source: serde_json::Error,
    },
    /// A sealed value does not open: another master key, or somebody changed it.
    #[error("a sealed value of {owner} does not open")]
    Unsealable { owner: String },
    /// Somebody else holds the work now: the caller must stop.
    #[error("{name} is held by somebody else")]
    Fenced { name: String },
    /// The database went away during the commit, and could not be asked in time whether it happened.
    #[error("the outcome of the commit is unknown")]
    UnknownCommit,
    /// An id, a key or a value is longer than its limit or has another form.
    #[error("{what} breaks its limit")]
    Limit { what: &'static str },
    /// The configuration cannot work.
    #[error("the database address cannot be read")]
    Address(#[source] sqlx::Error),
}

impl StoreError {
    /// For `map_err`: names what the statement was to do.
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }
}
