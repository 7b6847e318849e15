//! The first half of the relay: barrier and numbering, woken by hints, backing off when there is nothing to do.

use std::{convert::Infallible, time::Duration};

use minispod_kernel::Causes;
use minispod_messaging::{Hints, Nats};
use minispod_store::{Store, StoreError};
use tokio::sync::watch;

/// Most events numbered in one pass.
const PASS: i64 = 1_000;
/// Shortest time between two barriers, hints or not: appends queue behind each of them.
const FLOOR: Duration = Duration::from_millis(5);
const POLL_BUSY: Duration = Duration::from_millis(20);
const POLL_IDLE: Duration = Duration::from_millis(250);
/// Barriers in a row that may time out before the relay steps back and lets the appenders finish.
const NULL_BARRIERS: u32 = 20;
const STEP_BACK: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Numbers for ever and tells `numbered` whenever the log has grown.
pub async fn run(store: &Store, nats: &Nats, numbered: watch::Sender<()>) -> Infallible {
    let mut pause = POLL_BUSY;
    let mut null_barriers = 0;
    let mut hints: Option<Hints> = None;
    loop {
        match pass(store).await {
            Ok(Pass::TimedOut) => {
                null_barriers += 1;
                pause = POLL_BUSY;
                if null_barriers >= NULL_BARRIERS {
                    null_barriers = 0;
                    metrics::counter!("minispod_relay_barrier_alarms_total").increment(1);
                    tracing::error!("an append has been open for {NULL_BARRIERS} barriers; events are not numbered");
                    tokio::time::sleep(STEP_BACK).await;
                }
                // No hint may cut this short: it is the time in which the appends that are in the way get done.
                tokio::time::sleep(pause).await;
                continue;
            }
            Ok(Pass::Numbered(0)) => {
                null_barriers = 0;
                pause = (pause * 2).min(POLL_IDLE);
            }
            Ok(Pass::Numbered(_)) => {
                null_barriers = 0;
                pause = POLL_BUSY;
                numbered.send_replace(());
            }
            Err(error) => {
                pause = (pause * 2).min(RETRY_MAX);
                metrics::counter!("minispod_relay_failures_total", "phase" => "number").increment(1);
                tracing::warn!(error = %Causes(&error), "numbering failed; trying again in {pause:?}");
            }
        }
        tokio::time::sleep(FLOOR).await;
        wait(nats, &mut hints, pause).await;
    }
}

enum Pass {
    TimedOut,
    Numbered(usize),
}

async fn pass(store: &Store) -> Result<Pass, StoreError> {
    let Some(up_to) = store.numbering().barrier().await? else { return Ok(Pass::TimedOut) };
    let mut count = 0;
    loop {
        let batch = store.numbering().number(up_to, PASS).await?;
        count += batch.events.len();
        if !batch.more {
            return Ok(Pass::Numbered(count));
        }
    }
}

/// Sleeps, or less when a hint comes.
async fn wait(nats: &Nats, hints: &mut Option<Hints>, pause: Duration) {
    if hints.is_none() && nats.is_connected() {
        *hints = nats.appended_hints().await.ok();
    }
    match hints {
        // The subscription outlives reconnections; it only ends with the connection itself.
        Some(hints) if nats.is_connected() => {
            hints.wait(pause).await;
        }
        _ => tokio::time::sleep(pause).await,
    }
}
