//! The projector: one active copy follows the stream and keeps every read model, each with its own checkpoint.
//!
//! A read model's tables lie in a generation: a schema `read_<name>_g<number>`, shown as views in schema `read`. A
//! rebuild fills another generation beside the live one and switches the views in one transaction.

mod failure;
mod follower;
mod generations;
mod manager;
mod outlets;
mod rebuild;

use std::{sync::Arc, time::Duration};

use minispod_kernel::Causes;
use minispod_messaging::Nats;
use minispod_projections::Projection;
use minispod_store::{Lease, Store, StoreError};
use tokio_util::sync::CancellationToken;

pub use failure::ProjectorError;
pub use generations::{Generation, GenerationState, all as generations, resume};
pub use rebuild::{Rebuilt, TableDifference, diff, rebuild, roll_back};

/// The lease that only one projector holds.
pub const LEASE: &str = "projector";
const LEASE_TIME: Duration = Duration::from_secs(10);
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// How often a standby asks whether it is needed.
const STANDBY: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(1);

/// Runs until `shutdown`: on standby while another copy holds the lease, else keeping `projections`.
pub async fn run(
    store: Store,
    nats: Nats,
    projections: Vec<Arc<dyn Projection>>,
    shutdown: CancellationToken,
) -> Result<(), ProjectorError> {
    let holder = store.ids().next_id();
    while !shutdown.is_cancelled() {
        let lease = match store.leases().try_acquire(LEASE, &holder, LEASE_TIME).await {
            Ok(Some(lease)) => lease,
            Ok(None) => {
                pause(STANDBY, &shutdown).await;
                continue;
            }
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "the projector's lease cannot be asked for");
                pause(RETRY, &shutdown).await;
                continue;
            }
        };
        tracing::info!(fence = lease.fence, "this projector is the active one");
        metrics::gauge!("minispod_projector_active").set(1.0);
        let ended = hold(&store, &nats, &projections, &lease, &shutdown).await;
        metrics::gauge!("minispod_projector_active").set(0.0);
        if let Err(error) = ended {
            tracing::warn!(error = %Causes(&error), "the projector gives up its lease");
        }
        if let Err(error) = store.leases().release(&lease).await {
            tracing::warn!(error = %Causes(&error), "the projector's lease was not given back; it will run out");
        }
        if !shutdown.is_cancelled() {
            pause(RETRY, &shutdown).await;
        }
    }
    Ok(())
}

/// Works for as long as the lease is ours.
async fn hold(
    store: &Store,
    nats: &Nats,
    projections: &[Arc<dyn Projection>],
    lease: &Lease,
    shutdown: &CancellationToken,
) -> Result<(), ProjectorError> {
    let ended = shutdown.child_token();
    let _ended = ended.clone().drop_guard();
    tokio::select! {
        worked = manager::run(store, nats, projections, lease.fence, &ended) => worked,
        lost = keep(store, lease) => Err(lost),
    }
}

/// Renews the lease; returns when it is lost, or when it may have run out unnoticed.
async fn keep(store: &Store, lease: &Lease) -> ProjectorError {
    let mut renewed = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        match store.leases().renew(lease, LEASE_TIME).await {
            Ok(true) => renewed = tokio::time::Instant::now(),
            Ok(false) => return ProjectorError::Store(StoreError::Fenced { name: LEASE.to_owned() }),
            Err(error) if renewed.elapsed() >= LEASE_TIME => return ProjectorError::Store(error),
            Err(error) => tracing::warn!(error = %Causes(&error), "the projector's lease was not renewed"),
        }
    }
}

async fn pause(time: Duration, shutdown: &CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
