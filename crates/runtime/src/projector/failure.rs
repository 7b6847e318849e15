//! What can stop a read model or the whole projector, and which of it may pass.

use minispod_kernel::Causes;
use minispod_store::StoreError;

use crate::feed::FeedError;

/// A failure of the projector or of one read model.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    #[error("the log or a checkpoint could not be used")]
    Store(#[from] StoreError),
    #[error("the database refused to {doing}")]
    Database {
        doing: &'static str,
        #[source]
        source: sqlx::Error,
    },
    #[error("read model {projection} cannot digest the event at position {position}")]
    Poisoned {
        projection: String,
        position: i64,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(
        "{projection} has applied everything up to {checkpoint} but the log ends at {head}: the log was restored to an \
         older point; build the read model again (`minispod projections rebuild {projection}`)"
    )]
    AheadOfLog { projection: String, checkpoint: i64, head: i64 },
    #[error("generation {schema} is no longer the one to write")]
    Superseded { schema: String },
    #[error("a read model's code crashed")]
    Crashed {
        #[source]
        source: tokio::task::JoinError,
    },
    #[error("another rebuild of {projection} is running")]
    Rebuilding { projection: String },
    #[error("the fresh generation of {projection} does not catch up with the live one")]
    NotCaughtUp { projection: String },
    #[error("{projection} has no generation to go back to")]
    NothingToGoBackTo { projection: String },
}

impl ProjectorError {
    /// For `map_err`: names what was to be done.
    pub(super) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Database { doing, source }
    }

    /// Whether somebody else has taken over what we were writing.
    pub(super) const fn is_overtaken(&self) -> bool {
        matches!(self, Self::Store(StoreError::Fenced { .. }) | Self::Superseded { .. })
    }

    /// Whether trying the same again can help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Store(StoreError::Database { source, .. }) | Self::Database { source, .. } => is_passing(source),
            Self::Poisoned { .. }
            | Self::AheadOfLog { .. }
            | Self::Superseded { .. }
            | Self::Crashed { .. }
            | Self::NothingToGoBackTo { .. }
            | Self::Store(_) => false,
            Self::Rebuilding { .. } | Self::NotCaughtUp { .. } => true,
        }
    }

    /// The error and its causes, for the status row. Never a value of an event.
    pub(super) fn reason(&self) -> String {
        Causes(self).to_string().chars().take(1_000).collect()
    }
}

impl From<FeedError> for ProjectorError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Store(error) => Self::Store(error),
            FeedError::AheadOfLog { checkpoint, head } => {
                Self::AheadOfLog { projection: "the feed".to_owned(), checkpoint, head }
            }
        }
    }
}

/// A lost connection, a full server, a conflict: the statement itself was not at fault.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| {
            // 08 connection, 40 rollback, 53 resources, 57 operator's intervention, 55P03 lock not available.
            ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)) || code == "55P03"
        }),
        _ => false,
    }
}
