//! The reactors' loops: facts become recorded intents, workers carry them out, commands report back.

mod cleaning;
mod effects;
mod inline;
mod intender;
mod workers;

use std::{sync::Arc, time::Duration};

use metrics::gauge;
use minispod_domain::ports::Reactor;
use minispod_kernel::LogPosition;
use minispod_messaging::Nats;
use minispod_store::{Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use effects::{ALARM_AFTER, LEASE, PERFORM_LIMIT};
pub use inline::{INLINE_LIMIT, InlineEffect, InlineError, perform_inline};

pub(crate) use effects::Envelope;

use crate::{dispatcher::Dispatcher, shutdown::pause};

/// Effects tried beside each other by one copy.
pub const CONCURRENCY: usize = 16;
/// Pause between looks for due effects.
pub const POLL: Duration = Duration::from_millis(200);
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// Measurings between two cleanings.
const CLEAN_EVERY: u32 = 120;
const CHECKPOINT_PREFIX: &str = "reactor/";

/// How one copy of a reactor runs.
#[derive(Debug, Clone)]
pub struct ReactorOptions {
    /// This copy's name in leases; must differ between copies.
    pub holder: String,
    /// Effects tried beside each other; 0 leaves them to other copies.
    pub concurrency: usize,
    /// Pause between looks for due effects.
    pub poll: Duration,
}

impl ReactorOptions {
    /// The usual bounds for the copy called `holder`.
    pub fn new(holder: impl Into<String>) -> Self {
        Self { holder: holder.into(), concurrency: CONCURRENCY, poll: POLL }
    }
}

/// What a reactor runs on.
pub struct ReactorParts {
    pub reactor: Arc<dyn Reactor>,
    pub dispatcher: Dispatcher,
    /// `None`: reads from Postgres alone and copies no dead letters.
    pub nats: Option<Nats>,
    pub options: ReactorOptions,
}

/// A reactor's checkpoint. Read models have the plain names, and one of them is called like a reactor.
pub fn checkpoint_name(reactor: &str) -> String {
    format!("{CHECKPOINT_PREFIX}{reactor}")
}

/// Runs the reactor until told to stop; then finishes what it has begun. Never fails: it waits and tries again.
///
/// Any number of copies may run: one reads at a time, all of them work.
pub async fn run(
    reactor: Arc<dyn Reactor>,
    dispatcher: Dispatcher,
    nats: Option<Nats>,
    options: ReactorOptions,
    stop: CancellationToken,
) {
    let parts = Arc::new(ReactorParts { reactor, dispatcher, nats, options });
    let wake = Arc::new(Notify::new());
    tokio::join!(
        intender::run(Arc::clone(&parts), Arc::clone(&wake), stop.clone()),
        workers::run(Arc::clone(&parts), wake, stop.clone()),
        measure(&parts, stop),
    );
}

/// Everything up to here has been intended and finished: nothing at or below can run again, but for effects that repeat
/// (polling), which have run once and do not hang on receipts.
pub async fn floor(store: &Store, reactor: &str) -> Result<LogPosition, StoreError> {
    let read = store.checkpoints().load(&checkpoint_name(reactor)).await?;
    let read = read.map_or(LogPosition(0), |checkpoint| checkpoint.position);
    let open: Option<i64> = sqlx::query_scalar(
        "SELECT min(position) FROM ops.effects WHERE reactor = $1 AND state IN ('intended', 'parked') AND NOT repeats",
    )
    .bind(reactor)
    .fetch_one(store.pool())
    .await
    .map_err(|source| StoreError::Database { doing: "read a reactor's floor", source })?;
    Ok(open.map_or(read, |first| read.min(LogPosition(first - 1))))
}

/// Gauges, and the removal of what is long finished.
async fn measure(parts: &ReactorParts, stop: CancellationToken) {
    let mut turn: u32 = 0;
    while !pause(MEASURE_EVERY, &stop).await {
        turn = turn.wrapping_add(1);
        let name = parts.reactor.name();
        if let Err(error) = measure_once(parts).await {
            tracing::debug!(reactor = name, %error, "the reactor's gauges are stale");
        }
        if turn.is_multiple_of(CLEAN_EVERY)
            && let Err(error) = cleaning::once(parts.dispatcher.store(), name).await
        {
            tracing::warn!(reactor = name, %error, "old rows could not be removed");
        }
    }
}

async fn measure_once(parts: &ReactorParts) -> Result<(), StoreError> {
    let (store, name) = (parts.dispatcher.store(), parts.reactor.name());
    let head = store.log().head().await?.position;
    let read = store.checkpoints().load(&checkpoint_name(name)).await?;
    let read = read.map_or(0, |checkpoint| checkpoint.position.0);
    let floor = floor(store, name).await?;
    let open = store.ledger().open(name).await?;
    gauge!("minispod_reactor_lag_events", "reactor" => name).set((head.0 - read) as f64);
    gauge!("minispod_reactor_floor_position", "reactor" => name).set(floor.0 as f64);
    gauge!("minispod_effects_open", "reactor" => name).set(open.intended as f64);
    gauge!("minispod_lanes_parked", "reactor" => name).set(open.parked_lanes as f64);
    Ok(())
}
