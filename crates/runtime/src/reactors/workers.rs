//! The workers: take the heads of lanes, try them beside each other, settle them.

use std::{convert::Infallible, future, sync::Arc};

use minispod_store::{StoreError, TakenEffect};
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    ReactorParts,
    effects::{LEASE, PERFORM_LIMIT, RENEW_EVERY, Workbench},
};
use crate::{
    backoff::Backoff,
    shutdown::{GRACE, finish, or_stop, pause},
};

/// Until told to stop: takes what is due, at most `concurrency` at a time. What has begun is finished, at most [`GRACE`].
pub(super) async fn run(parts: Arc<ReactorParts>, wake: Arc<Notify>, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut failures = 0;
    while !stop.is_cancelled() {
        match take(&parts, tasks.len()).await {
            Ok(taken) => {
                failures = 0;
                for effect in taken {
                    tasks.spawn(carry_out(Arc::clone(&parts), effect));
                }
            }
            Err(error) => {
                tracing::warn!(reactor = parts.reactor.name(), %error, "effects cannot be taken");
                let ids = parts.dispatcher.store().ids();
                pause(Backoff::LOOPS.after(failures, ids.as_ref()), &stop).await;
                failures = failures.saturating_add(1);
                continue;
            }
        }
        let news = async {
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(parts.options.poll) => {}
                // A lane whose head is settled has a new head.
                Some(_) = tasks.join_next() => {}
            }
        };
        or_stop(news, &stop).await;
        while tasks.try_join_next().is_some() {}
    }
    if !finish(&mut tasks, GRACE).await {
        tracing::warn!(reactor = parts.reactor.name(), "effects were left to their leases");
    }
}

async fn take(parts: &ReactorParts, busy: usize) -> Result<Vec<TakenEffect>, StoreError> {
    let free = parts.options.concurrency.saturating_sub(busy);
    if free == 0 {
        return Ok(Vec::new());
    }
    let ledger = parts.dispatcher.store().ledger();
    ledger.take(parts.reactor.name(), &parts.options.holder, i64::try_from(free).unwrap_or(i64::MAX), LEASE).await
}

async fn carry_out(parts: Arc<ReactorParts>, taken: TakenEffect) {
    let bench = Workbench {
        reactor: parts.reactor.as_ref(),
        dispatcher: &parts.dispatcher,
        nats: parts.nats.as_ref(),
        limit: PERFORM_LIMIT,
    };
    let key = taken.key.clone();
    let settled = tokio::select! {
        settled = bench.carry_out(taken.clone()) => settled,
        never = keep(&parts, &taken) => match never {},
    };
    if let Err(error) = settled {
        // Its lease runs out and somebody tries again; every effect bears that.
        tracing::warn!(reactor = parts.reactor.name(), key, %error, "an effect could not be settled");
    }
}

/// Renews the lease of an effect that is worked on, until somebody else has it. Never ends by itself.
async fn keep(parts: &ReactorParts, taken: &TakenEffect) -> Infallible {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        match parts.dispatcher.store().ledger().renew(taken, LEASE).await {
            Ok(()) => {}
            // Settling will find out too.
            Err(StoreError::Fenced { .. }) => return future::pending().await,
            Err(error) => tracing::warn!(key = taken.key, %error, "the lease of an effect was not renewed"),
        }
    }
}
