//! From one reading of the stream to all followers: decoded and opened once, never waiting for a slow one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use minispod_kernel::{Causes, LogPosition, Recorded};
use minispod_messaging::Nats;
use minispod_store::Store;
use tokio::sync::{
    Notify,
    mpsc::{self, error::TrySendError},
};

use super::{
    ProjectorError,
    follower::{Batch, Inlet, read_facts},
};
use crate::{backoff::Backoff, feed::Feed};

/// The durable consumer's role.
const ROLE: &str = "projector";
const BATCH: usize = 1_000;
/// Batches that may wait for one follower before it has to catch up from Postgres.
const WAITING: usize = 16;
/// Silence after which the log itself is asked.
const SILENCE: Duration = Duration::from_secs(1);

/// The followers that listen, by read model.
#[derive(Clone, Default)]
pub(super) struct Outlets {
    by_name: Arc<Mutex<HashMap<String, Outlet>>>,
}

struct Outlet {
    batches: mpsc::Sender<Batch>,
    missed: Arc<Notify>,
}

impl Outlets {
    /// Opens the inlet of a follower; an older one of the same read model ends.
    pub fn open(&self, projection: &str) -> Inlet {
        let (sender, batches) = mpsc::channel(WAITING);
        let missed = Arc::new(Notify::new());
        let outlet = Outlet { batches: sender, missed: Arc::clone(&missed) };
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).insert(projection.to_owned(), outlet);
        Inlet { batches, missed }
    }

    /// Sends every follower to Postgres.
    fn wake_all(&self) {
        let outlets = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        outlets.values().for_each(|outlet| outlet.missed.notify_one());
    }

    /// Sends one follower to Postgres.
    pub fn wake(&self, projection: &str) {
        let outlets = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outlet) = outlets.get(projection) {
            outlet.missed.notify_one();
        }
    }

    fn send(&self, batch: &Batch) {
        let mut outlets = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        outlets.retain(|_, outlet| match outlet.batches.try_send(Arc::clone(batch)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                outlet.missed.notify_one();
                true
            }
            Err(TrySendError::Closed(_)) => false,
        });
    }
}

/// Reads for ever, from `after`; returns only when Postgres fails for a reason that does not pass.
pub(super) async fn feed(store: &Store, nats: &Nats, after: LogPosition, outlets: &Outlets) -> ProjectorError {
    let mut feed = Feed::new(ROLE, store.clone(), Some(nats.clone()));
    let mut position = after;
    let mut failures = 0;
    loop {
        let sent = async {
            let events = feed.next(position, BATCH, SILENCE).await?;
            let last = events.last().map_or(position, |last| last.position);
            send(store, events, outlets).await.map(|()| last)
        };
        match sent.await {
            Ok(last) => {
                failures = 0;
                if last > position {
                    position = last;
                    feed.acknowledge().await;
                }
            }
            Err(error) if error.is_passing() => {
                let pause = Backoff::LOOPS.after(failures, store.ids().as_ref());
                failures = failures.saturating_add(1);
                tracing::warn!(error = %Causes(&error), "the feed of the read models stumbled; again in {pause:?}");
                tokio::time::sleep(pause).await;
            }
            Err(error) => return error,
        }
    }
}

/// An event that cannot be read is left out with all after it: each follower then meets it in Postgres and stops for
/// itself.
async fn send(store: &Store, events: Vec<Recorded>, outlets: &Outlets) -> Result<(), ProjectorError> {
    let Some(next) = events.first().map(|first| first.position.0) else { return Ok(()) };
    match read_facts(store, ROLE, events, next).await {
        Ok(facts) => outlets.send(&Arc::new(facts)),
        Err((_, error)) if error.is_passing() => return Err(error),
        Err((facts, _)) => {
            outlets.send(&Arc::new(facts));
            outlets.wake_all();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_that_is_too_slow_is_sent_to_postgres_and_delays_nobody() {
        let outlets = Outlets::default();
        let (slow, mut quick) = (outlets.open("slow"), outlets.open("quick"));
        let batch: Batch = Arc::new(Vec::new());
        for _ in 0..=WAITING {
            outlets.send(&batch);
            assert!(quick.batches.try_recv().is_ok());
        }
        let missed = |inlet: &Inlet| {
            let notified = Arc::clone(&inlet.missed);
            async move { tokio::time::timeout(Duration::from_millis(10), notified.notified()).await.is_ok() }
        };
        assert!(missed(&slow).await);
        assert!(!missed(&quick).await);
    }

    #[tokio::test]
    async fn a_new_follower_replaces_the_old_one() {
        let outlets = Outlets::default();
        let mut old = outlets.open("one");
        let mut new = outlets.open("one");
        outlets.send(&Arc::new(Vec::new()));
        assert!(old.batches.recv().await.is_none());
        assert!(new.batches.try_recv().is_ok());
    }
}
