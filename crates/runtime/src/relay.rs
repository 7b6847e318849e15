//! The relay: numbers what has committed, publishes it on top of what the stream holds, audits and heals the stream.
//!
//! The stream is a copy that may be lost at any time; Postgres decides. Safety does not depend on being alone: the
//! numbering takes turns under a row lock and the server stores position q only on top of q-1.

mod audit;
mod numbering;
mod publishing;
mod timeline;

use std::time::Duration;

use minispod_messaging::{Nats, PublishError, StreamError, TopologyError, topology::Overlay};
use minispod_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

pub use audit::{Audit, Mismatch};
pub use publishing::{Publisher, Step};
pub use timeline::begin_timeline;

/// How the relay runs; the defaults are the design's.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Production values over the files of `nats/`, for when the stream has to be made again.
    pub overlay: Overlay,
    /// Events up to this position have been archived and are not in the stream.
    pub archive_floor: u64,
    pub audit_every: Duration,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self { overlay: Overlay::new(), archive_floor: 0, audit_every: Duration::from_mins(1) }
    }
}

/// Why the relay cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(
        "the stream ends at {stream} but the log at {log}: the log was restored to an older point; \
         nothing is published until an operator begins a new timeline"
    )]
    StreamAhead { stream: u64, log: i64 },
    #[error(
        "message {position} of the stream belongs to another history than the log; \
         nothing is published until an operator begins a new timeline"
    )]
    OtherHistory { position: u64 },
    #[error(
        "read models hold events that the log does not have (it ends at {head}): {names}; build each of them again \
         (`minispod projections rebuild NAME`), then begin the timeline"
    )]
    ReadModelsAhead { names: String, head: i64 },
    #[error("the log could not be read or numbered")]
    Store(#[from] StoreError),
    #[error("the stream could not be read")]
    Stream(#[from] StreamError),
    #[error("the stream could not be made")]
    Topology(#[from] TopologyError),
    #[error("events could not be published")]
    Publish(#[from] PublishError),
}

impl RelayError {
    /// Whether trying again can help.
    const fn is_passing(&self) -> bool {
        !matches!(self, Self::StreamAhead { .. } | Self::OtherHistory { .. } | Self::ReadModelsAhead { .. })
    }
}

/// Runs until `shutdown`, or until the stream turns out to be of another history. Everything else is tried again.
pub async fn run(store: Store, nats: Nats, config: RelayConfig, shutdown: CancellationToken) -> Result<(), RelayError> {
    let (numbered, news) = tokio::sync::watch::channel(());
    tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        never = numbering::run(&store, &nats, numbered) => match never {},
        refused = publishing::run(&store, &nats, &config, news) => Err(refused),
    }
}
