//! Reading your own writes: waiting, for a bounded time, until read models have seen a write.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use minispod_kernel::{Causes, InsSeq};
use minispod_messaging::{Hints, Nats};
use minispod_store::{Store, StoreError};
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longest wait for a read model.
pub const WAIT_MAX: Duration = Duration::from_secs(2);
/// A read model whose oldest missing event is older than this is not waited for.
pub const LAG_MAX: Duration = Duration::from_secs(2);
/// The net under the hints, while anybody waits.
const POLL: Duration = Duration::from_millis(25);
/// How often the tasks look up while there is nothing to do.
const IDLE: Duration = Duration::from_secs(1);

type Progress = HashMap<String, i64>;

/// Waits for checkpoints. Clones share one listener and one poll, however many requests wait.
#[derive(Clone)]
pub struct Visibility {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    progress: watch::Sender<Progress>,
    waiting: AtomicUsize,
    woken: Notify,
    _until_dropped: DropGuard,
}

impl Visibility {
    /// Starts listening; the tasks end when the last clone is dropped.
    pub fn start(store: Store, nats: Nats) -> Self {
        let ended = CancellationToken::new();
        let (progress, _) = watch::channel(Progress::new());
        let shared = Arc::new(Shared {
            store,
            progress,
            waiting: AtomicUsize::new(0),
            woken: Notify::new(),
            _until_dropped: ended.clone().drop_guard(),
        });
        let weak = Arc::downgrade(&shared);
        tokio::spawn(ended.clone().run_until_cancelled_owned(listen(nats, weak.clone())));
        tokio::spawn(ended.run_until_cancelled_owned(poll(weak)));
        Self { shared }
    }

    /// Whether every one of `projections` has seen `ins_seq`, after at most [`WAIT_MAX`]; false at once when one lags anyway.
    pub async fn wait(&self, projections: &[&str], ins_seq: InsSeq) -> bool {
        self.wait_within(projections, ins_seq, WAIT_MAX).await
    }

    /// Like [`Visibility::wait`], after at most `bound`: who names a long one also waits for a read model that lags.
    pub async fn wait_within(&self, projections: &[&str], ins_seq: InsSeq, bound: Duration) -> bool {
        let outcome = self.waited(projections, ins_seq, bound).await;
        metrics::counter!("minispod_visibility_waits_total", "outcome" => if outcome { "seen" } else { "gave_up" })
            .increment(1);
        outcome
    }

    async fn waited(&self, projections: &[&str], ins_seq: InsSeq, bound: Duration) -> bool {
        let mut progress = self.shared.progress.subscribe();
        if reached(&progress.borrow(), projections, ins_seq) {
            return true;
        }
        match self.lags(projections, ins_seq, bound.max(LAG_MAX)).await {
            Ok(false) => {}
            Ok(true) => return false,
            Err(error) => {
                tracing::warn!(error = %Causes(&error), "checkpoints cannot be read");
                return false;
            }
        }
        let _waiting = Waiting::enter(&self.shared);
        let seen = progress.wait_for(|progress| reached(progress, projections, ins_seq));
        matches!(tokio::time::timeout(bound, seen).await, Ok(Ok(_)))
    }

    /// Whether one of `projections` has not seen an event that is older than `most`. Also refreshes the progress.
    async fn lags(&self, projections: &[&str], ins_seq: InsSeq, most: Duration) -> Result<bool, StoreError> {
        let progress = refresh(&self.shared).await?;
        let behind = projections.iter().map(|name| progress.get(*name).copied().unwrap_or(0)).min().unwrap_or(i64::MAX);
        if behind >= ins_seq.0 {
            return Ok(false);
        }
        let age: Option<f64> = sqlx::query_scalar(
            "SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8 FROM log.events
             WHERE ins_seq > $1 ORDER BY ins_seq LIMIT 1",
        )
        .bind(behind)
        .fetch_optional(self.shared.store.pool())
        .await
        .map_err(|source| StoreError::Database { doing: "tell a read model's lag", source })?;
        Ok(age.is_some_and(|seconds| seconds > most.as_secs_f64()))
    }
}

/// Counts a waiter for as long as it lives, and wakes the poll.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn enter(shared: &'a Shared) -> Self {
        shared.waiting.fetch_add(1, Ordering::SeqCst);
        shared.woken.notify_one();
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

fn reached(progress: &Progress, projections: &[&str], ins_seq: InsSeq) -> bool {
    projections.iter().all(|name| progress.get(*name).is_some_and(|seen| *seen >= ins_seq.0))
}

/// Reads the table of checkpoints into the shared progress.
async fn refresh(shared: &Shared) -> Result<Progress, StoreError> {
    let read: Progress =
        shared.store.checkpoints().all().await?.into_iter().map(|place| (place.name, place.ins_seq.0)).collect();
    // The table is the truth: after a rebuild a checkpoint may even go back.
    shared.progress.send_if_modified(|progress| {
        let changed = *progress != read;
        progress.clone_from(&read);
        changed
    });
    Ok(read)
}

async fn poll(shared: Weak<Shared>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let pause = if strong.waiting.load(Ordering::SeqCst) == 0 { IDLE } else { POLL };
        let _ = tokio::time::timeout(pause, strong.woken.notified()).await;
        if strong.waiting.load(Ordering::SeqCst) == 0 {
            continue;
        }
        if let Err(error) = refresh(&strong).await {
            tracing::warn!(error = %Causes(&error), "checkpoints cannot be read");
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn listen(nats: Nats, shared: Weak<Shared>) {
    loop {
        match nats.checkpoint_hints().await {
            Ok(hints) => hear(hints, &shared).await,
            Err(error) => tracing::debug!(%error, "checkpoint hints are not heard"),
        }
        tokio::time::sleep(IDLE).await;
    }
}

/// A hint only says "look": what counts is read from the table.
async fn hear(mut hints: Hints, shared: &Weak<Shared>) {
    while let Some((projection, ins_seq)) = hints.next_checkpoint().await {
        let Some(strong) = shared.upgrade() else { return };
        if strong.progress.borrow().get(&projection).is_none_or(|seen| *seen < ins_seq) {
            strong.woken.notify_one();
        }
    }
}
