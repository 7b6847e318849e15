//! Stopping in good order: one token for all loops, and a bound on how long they may take to finish.

use std::{future::Future, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long loops may take to finish what they have begun.
pub const GRACE: Duration = Duration::from_secs(20);

/// A token that is cancelled by the first SIGINT or SIGTERM.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    });
    Ok(token)
}

/// Waits until all tasks are done, at most `grace`, then aborts the rest. False when some had to be aborted.
pub async fn finish<T: 'static>(tasks: &mut JoinSet<T>, grace: Duration) -> bool {
    let all = async { while tasks.join_next().await.is_some() {} };
    let in_time = tokio::time::timeout(grace, all).await.is_ok();
    if !in_time {
        tasks.shutdown().await;
    }
    in_time
}

/// Sleeps for `time`, or less when told to stop; whether it was told to stop.
pub async fn pause(time: Duration, stop: &CancellationToken) -> bool {
    or_stop(tokio::time::sleep(time), stop).await.is_none()
}

/// `work`'s result, or `None` when told to stop first; `work` is dropped then, so it must bear that.
pub async fn or_stop<T>(work: impl Future<Output = T>, stop: &CancellationToken) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}
