//! One read model's follower: applies what comes after its checkpoint, catches up from Postgres, stops at poison.
//!
//! What does not concern the read model moves only its checkpoint. That is saved with the next rows, or a moment after
//! the news ends: a transaction for each batch of others' events would take the disk from those who have rows to write.

use std::{sync::Arc, time::Duration};

use minispod_events::Fact;
use minispod_kernel::{Causes, InsSeq, LogPosition, Recorded};
use minispod_messaging::Nats;
use minispod_projections::{Projection, ProjectionError};
use minispod_store::{Store, StoreError};
use sqlx::Executor;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    ProjectorError,
    failure::is_passing,
    generations::{self, Generation, GenerationState},
};

/// Events read from Postgres at once.
const PAGE: i64 = 2_000;
/// Events applied in one transaction when several batches wait.
const BATCH_MAX: usize = 1_000;
/// Silence after which a place that moved without rows is saved; somebody may wait for it.
const SAVE_AFTER: Duration = Duration::from_millis(5);
/// Longest time for which such a place stays unsaved while news goes on.
const SAVE_WITHIN: Duration = Duration::from_millis(50);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Opened facts in log order, shared by all followers.
pub(super) type Batch = Arc<Vec<Fact>>;

/// Where a follower hears of new events.
pub(super) struct Inlet {
    pub batches: mpsc::Receiver<Batch>,
    /// A batch did not fit: what it held lies in Postgres.
    pub missed: Arc<Notify>,
}

/// How a follower ended; never by itself.
#[derive(Debug)]
pub(super) enum Ended {
    /// Its generation is not the live one any more.
    Superseded,
    /// Another projector writes.
    Fenced,
    /// An event it cannot digest.
    Stopped,
    Shutdown,
}

/// One generation being written.
pub(super) struct Follower {
    pub store: Store,
    /// Says when the checkpoint has moved; `None` while a rebuild fills a generation nobody reads.
    pub nats: Option<Nats>,
    pub projection: Arc<dyn Projection>,
    pub generation: Generation,
    pub fence: i64,
    pub position: LogPosition,
    /// Passed over without rows since the checkpoint was written.
    pub passed: Option<Passed>,
}

/// Events that did not concern the read model, behind its checkpoint and not yet in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    /// Where the saved checkpoint stands.
    saved: LogPosition,
    /// Of the last event passed over, which is at the follower's position.
    ins_seq: InsSeq,
    /// When the checkpoint is to be written at the latest.
    due: Instant,
}

impl Follower {
    /// At the generation's checkpoint.
    pub async fn open(
        store: &Store,
        nats: Option<Nats>,
        projection: Arc<dyn Projection>,
        generation: Generation,
        fence: i64,
    ) -> Result<Self, ProjectorError> {
        let place = store.checkpoints().load(&generation.checkpoint()).await?;
        let position = place.map_or(LogPosition(0), |place| place.position);
        Ok(Self { store: store.clone(), nats, projection, generation, fence, position, passed: None })
    }

    /// Follows for ever; failures that may pass are tried again with back-off.
    pub async fn follow(mut self, mut news: Inlet, shutdown: CancellationToken) -> Ended {
        let mut retry = RETRY_FIRST;
        let mut behind = true;
        loop {
            let worked = tokio::select! {
                () = shutdown.cancelled() => return Ended::Shutdown,
                worked = self.work(&mut behind, &mut news) => worked,
            };
            match worked {
                Ok(true) => retry = RETRY_FIRST,
                // The feed is gone, and the active projector with it.
                Ok(false) => return Ended::Shutdown,
                Err(error) if error.is_passing() => {
                    behind = true;
                    metrics::counter!("minispod_projection_retries_total", "projection" => self.projection.name())
                        .increment(1);
                    tracing::warn!(projection = self.projection.name(), error = %Causes(&error), "trying again in {retry:?}");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                }
                Err(error) => return self.end(error).await,
            }
        }
    }

    /// One round: catch up from Postgres when something is missing, else whatever the feed has. False: the feed is gone.
    async fn work(&mut self, behind: &mut bool, news: &mut Inlet) -> Result<bool, ProjectorError> {
        if *behind {
            while self.catch_up(None).await? {}
            *behind = false;
        }
        let batch = tokio::select! {
            biased;
            batch = news.batches.recv() => batch,
            () = news.missed.notified() => {
                *behind = true;
                return Ok(true);
            }
            () = until(self.passed.map(|passed| passed.due.min(Instant::now() + SAVE_AFTER))) => {
                self.save().await?;
                return Ok(true);
            }
        };
        let Some(batch) = batch else { return Ok(false) };
        let mut facts: Vec<Fact> = self.fresh(&batch);
        while facts.len() < BATCH_MAX
            && let Ok(more) = news.batches.try_recv()
        {
            facts.extend(self.fresh(&more));
        }
        let Some(first) = facts.first() else { return Ok(true) };
        let dense = facts.iter().zip(first.recorded.position.0..).all(|(fact, at)| fact.recorded.position.0 == at);
        if first.recorded.position.0 == self.position.0 + 1 && dense {
            self.take(&facts).await?;
        } else {
            // The feed went on while this read model was busy; what it missed lies in Postgres.
            *behind = true;
        }
        Ok(true)
    }

    fn fresh(&self, batch: &Batch) -> Vec<Fact> {
        batch.iter().filter(|fact| fact.recorded.position > self.position).cloned().collect()
    }

    /// One page from Postgres, not beyond `until`; whether there may be more.
    pub async fn catch_up(&mut self, until: Option<LogPosition>) -> Result<bool, ProjectorError> {
        let limit = until.map_or(PAGE, |until| (until.0 - self.position.0).clamp(0, PAGE));
        let page = self.store.log().read_after(self.position, limit).await?;
        let (count, next) = (page.len() as i64, self.position.0 + 1);
        if page.is_empty() {
            self.refuse_ahead().await?;
        }
        let facts = read_facts(&self.store, self.projection.name(), page, next).await;
        match facts {
            Ok(facts) if facts.is_empty() => {}
            Ok(facts) => self.apply(&facts).await?,
            Err((facts, poison)) => {
                if !facts.is_empty() {
                    self.apply(&facts).await?;
                }
                return Err(poison);
            }
        }
        Ok(count == PAGE)
    }

    /// A place above the log's end is of another history: what the tables hold may never have happened.
    async fn refuse_ahead(&self) -> Result<(), ProjectorError> {
        let head = self.store.log().head().await?.position;
        if head >= self.position {
            return Ok(());
        }
        let name = self.generation.checkpoint();
        let place = self.store.checkpoints().load(&name).await?.map_or(LogPosition(0), |place| place.position);
        if place != self.saved() {
            // The database was restored beneath us: the tables went back with the log, only we did not.
            return Err(StoreError::Fenced { name }.into());
        }
        let projection = self.projection.name().to_owned();
        Err(ProjectorError::AheadOfLog { projection, checkpoint: self.position.0, head: head.0 })
    }

    /// Applies what begins right after the place, or passes over it when nothing of it concerns the read model.
    async fn take(&mut self, facts: &[Fact]) -> Result<(), ProjectorError> {
        if facts.iter().any(|fact| self.projection.concerns(&fact.event)) {
            return self.apply(facts).await;
        }
        if let Some(last) = facts.last() {
            let due = self.passed.map_or_else(|| Instant::now() + SAVE_WITHIN, |passed| passed.due);
            self.passed = Some(Passed { saved: self.saved(), ins_seq: last.recorded.ins_seq, due });
            self.position = last.recorded.position;
        }
        if self.passed.is_some_and(|passed| passed.due <= Instant::now()) { self.save().await } else { Ok(()) }
    }

    /// Where the written checkpoint stands.
    fn saved(&self) -> LogPosition {
        self.passed.map_or(self.position, |passed| passed.saved)
    }

    /// Writes a place that moved without rows.
    async fn save(&mut self) -> Result<(), ProjectorError> {
        let Some(passed) = self.passed else { return Ok(()) };
        let mut tx = self.store.pool().begin().await.map_err(ProjectorError::database("begin a batch"))?;
        generations::hold(&mut tx, &self.generation).await?;
        self.advance(&mut tx, self.position, passed.ins_seq).await?;
        tx.commit().await.map_err(ProjectorError::database("commit a batch"))?;
        self.passed = None;
        self.announce(passed.ins_seq).await;
        Ok(())
    }

    /// Applies facts that begin right after the place: rows and checkpoint in one transaction. A batch with a bad
    /// event is halved until the good ones before it are in.
    async fn apply(&mut self, facts: &[Fact]) -> Result<(), ProjectorError> {
        let mut rest = facts;
        let mut size = facts.len();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            match self.write(now).await {
                Ok(()) => rest = later,
                Err(ProjectorError::Poisoned { .. }) if now.len() > 1 => size = now.len() / 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn write(&mut self, facts: &[Fact]) -> Result<(), ProjectorError> {
        let (Some(first), Some(last)) = (facts.first(), facts.last()) else { return Ok(()) };
        let mut tx = self.store.pool().begin().await.map_err(ProjectorError::database("begin a batch"))?;
        self.write_in(&mut tx, facts, first, last).await?;
        tx.commit().await.map_err(ProjectorError::database("commit a batch"))?;
        self.position = last.recorded.position;
        self.passed = None;
        self.say(facts.len(), last).await;
        Ok(())
    }

    /// The rows and the checkpoint, in the caller's transaction.
    pub async fn write_in(
        &self,
        tx: &mut sqlx::PgConnection,
        facts: &[Fact],
        first: &Fact,
        last: &Fact,
    ) -> Result<(), ProjectorError> {
        generations::hold(tx, &self.generation).await?;
        // A plan that is kept was made for the table as small as it was: a young read model would be read from end to end
        // for each batch, until the statistics are taken.
        let settings = format!(
            "SET LOCAL search_path TO {}; SET LOCAL plan_cache_mode TO force_custom_plan",
            self.generation.schema()
        );
        tx.execute(settings.as_str()).await.map_err(ProjectorError::database("find a generation"))?;
        if let Err(source) = self.projection.apply(tx, facts).await {
            return Err(self.failed(first.recorded.position, source));
        }
        self.advance(tx, last.recorded.position, last.recorded.ins_seq).await
    }

    async fn advance(
        &self,
        tx: &mut sqlx::PgConnection,
        to: LogPosition,
        ins_seq: InsSeq,
    ) -> Result<(), ProjectorError> {
        let name = self.generation.checkpoint();
        Ok(self.store.checkpoints().advance_in_tx(tx, &name, self.saved(), to, ins_seq, self.fence).await?)
    }

    fn failed(&self, position: LogPosition, error: ProjectionError) -> ProjectorError {
        match error {
            ProjectionError::Database { what, source } if is_passing(&source) => {
                ProjectorError::Database { doing: what, source }
            }
            lasting => ProjectorError::Poisoned {
                projection: self.projection.name().to_owned(),
                position: position.0,
                source: Box::new(lasting),
            },
        }
    }

    async fn say(&self, count: usize, last: &Fact) {
        if self.generation.state != GenerationState::Live {
            return;
        }
        let name = self.projection.name();
        let age = self.store.clock().now().unix_millis() - last.recorded.recorded_at.unix_millis();
        metrics::counter!("minispod_projection_events_total", "projection" => name).increment(count as u64);
        metrics::gauge!("minispod_projection_lag_seconds", "projection" => name).set(age.max(0) as f64 / 1_000.0);
        metrics::gauge!("minispod_projection_position", "projection" => name).set(self.position.0 as f64);
        self.announce(last.recorded.ins_seq).await;
    }

    /// Tells whoever waits that the checkpoint has moved.
    async fn announce(&self, ins_seq: InsSeq) {
        if self.generation.state == GenerationState::Live
            && let Some(nats) = &self.nats
        {
            nats.hint_checkpoint(self.projection.name(), ins_seq.0).await;
        }
    }

    async fn end(self, error: ProjectorError) -> Ended {
        match &error {
            ProjectorError::Superseded { .. } => return Ended::Superseded,
            error if error.is_overtaken() => return Ended::Fenced,
            _ => {}
        }
        let name = self.projection.name();
        metrics::gauge!("minispod_projection_stopped", "projection" => name).set(1.0);
        tracing::error!(projection = name, error = %Causes(&error), "a read model stops; the others go on");
        let position = match &error {
            ProjectorError::Poisoned { position, .. } => LogPosition(*position),
            _ => LogPosition(self.position.0 + 1),
        };
        if let Err(unnoted) = generations::note_stop(&self.store, &self.generation, position, &error.reason()).await {
            tracing::warn!(projection = name, error = %Causes(&unnoted), "why it stopped was not noted");
        }
        Ended::Stopped
    }
}

/// Waits for an instant; for ever when there is none.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Decodes and opens what was read; it must begin at `next` and have no holes. On poison: the good ones before it.
pub(super) async fn read_facts(
    store: &Store,
    projection: &str,
    events: Vec<Recorded>,
    next: i64,
) -> Result<Vec<Fact>, (Vec<Fact>, ProjectorError)> {
    let mut facts = Vec::with_capacity(events.len());
    let mut poison = None;
    for (recorded, expected) in events.into_iter().zip(next..) {
        let position = recorded.position.0;
        debug_assert_eq!(position, expected, "positions are dense");
        match Fact::read(recorded) {
            Ok(fact) => facts.push(fact),
            Err(source) => {
                let projection = projection.to_owned();
                poison = Some(ProjectorError::Poisoned { projection, position, source: Box::new(source) });
                break;
            }
        }
    }
    if let Err(error) = store.vault().open_facts(&mut facts).await {
        return Err((Vec::new(), error.into()));
    }
    match poison {
        None => Ok(facts),
        Some(poison) => Err((facts, poison)),
    }
}
