//! Facts to intents: one transaction writes what a batch asks for and moves the checkpoint; never I/O.

use std::{sync::Arc, time::Duration};

use metrics::{counter, gauge};
use minispod_events::Fact;
use minispod_kernel::{Causes, InsSeq, LogPosition, Recorded};
use minispod_store::{Lease, NewEffect, StoreError};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{ReactorParts, checkpoint_name, effects::new_effect};
use crate::{
    backoff::Backoff,
    dispatcher::Cause,
    feed::{Feed, FeedError},
    shutdown::{or_stop, pause},
};

/// Most events in one transaction.
const BATCH: usize = 500;
const WAIT: Duration = Duration::from_secs(1);
/// How long a copy that vanished keeps the others from reading.
const LEASE: Duration = Duration::from_secs(10);
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Events that ask for nothing move the table's checkpoint at least this often.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Why reading had to stop for now.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error("position {position} cannot be understood by this build")]
    Unreadable {
        position: i64,
        #[source]
        source: minispod_events::DecodeError,
    },
    #[error("an intent of position {position} cannot be written")]
    Unwritable {
        position: i64,
        #[source]
        source: serde_json::Error,
    },
    #[error("another copy reads now")]
    LeaseLost,
}

/// Until told to stop: whenever the lease is ours, reads on from the checkpoint.
pub(super) async fn run(parts: Arc<ReactorParts>, wake: Arc<Notify>, stop: CancellationToken) {
    let name = parts.reactor.name();
    let store = parts.dispatcher.store().clone();
    let mut failures = 0;
    while !stop.is_cancelled() {
        let lease = match store.leases().try_acquire(&checkpoint_name(name), &parts.options.holder, LEASE).await {
            Ok(Some(lease)) => lease,
            Ok(None) => {
                pause(WAIT, &stop).await;
                continue;
            }
            Err(error) => {
                tracing::warn!(reactor = name, %error, "the reading lease cannot be taken");
                failures = rest(&parts, failures, &stop).await;
                continue;
            }
        };
        let mut reading = Reading::new(&parts, lease.clone());
        match reading.read_until(&wake, &stop).await {
            Ok(()) => failures = 0,
            Err(error) => {
                counter!("minispod_reactor_halts_total", "reactor" => name).increment(1);
                tracing::error!(reactor = name, error = %Causes(&error), "reading halted; it begins again from the checkpoint");
                failures = if reading.moved { 0 } else { failures };
                failures = rest(&parts, failures, &stop).await;
            }
        }
        if let Err(error) = store.leases().release(&lease).await {
            tracing::debug!(reactor = name, %error, "the reading lease runs out by itself");
        }
    }
}

async fn rest(parts: &ReactorParts, failures: u32, stop: &CancellationToken) -> u32 {
    pause(Backoff::LOOPS.after(failures, parts.dispatcher.store().ids().as_ref()), stop).await;
    failures.saturating_add(1)
}

/// One holding of the lease.
struct Reading<'a> {
    parts: &'a ReactorParts,
    feed: Feed,
    lease: Lease,
    renewed: Instant,
    /// As the table has it.
    saved: LogPosition,
    saved_at: Instant,
    /// As far as we have read.
    position: LogPosition,
    ins_seq: InsSeq,
    moved: bool,
}

impl<'a> Reading<'a> {
    fn new(parts: &'a ReactorParts, lease: Lease) -> Self {
        let feed = Feed::new(parts.reactor.name(), parts.dispatcher.store().clone(), parts.nats.clone());
        Self {
            parts,
            feed,
            lease,
            renewed: Instant::now(),
            saved: LogPosition(0),
            saved_at: Instant::now(),
            position: LogPosition(0),
            ins_seq: InsSeq(0),
            moved: false,
        }
    }

    async fn read_until(&mut self, wake: &Notify, stop: &CancellationToken) -> Result<(), Halt> {
        let name = checkpoint_name(self.parts.reactor.name());
        if let Some(checkpoint) = self.parts.dispatcher.store().checkpoints().load(&name).await? {
            (self.saved, self.position, self.ins_seq) = (checkpoint.position, checkpoint.position, checkpoint.ins_seq);
        }
        while !stop.is_cancelled() {
            self.renew().await?;
            // Nothing is taken from the feed until a whole batch is there, so stopping here loses nothing.
            let Some(batch) = or_stop(self.feed.next(self.position, BATCH, WAIT), stop).await else { break };
            let batch = batch?;
            let halt = self.take(batch, wake).await;
            self.save_if_old().await?;
            halt?;
            self.feed.acknowledge().await;
        }
        self.save().await
    }

    async fn renew(&mut self) -> Result<(), Halt> {
        if self.renewed.elapsed() >= RENEW_EVERY {
            if !self.parts.dispatcher.store().leases().renew(&self.lease, LEASE).await? {
                return Err(Halt::LeaseLost);
            }
            self.renewed = Instant::now();
        }
        Ok(())
    }

    /// Intends what the batch asks for. An event that cannot be understood stops the reactor before it, not at the batch.
    async fn take(&mut self, batch: Vec<Recorded>, wake: &Notify) -> Result<(), Halt> {
        let Some((mut to, mut ins_seq)) = batch.first().map(|_| (self.position, self.ins_seq)) else { return Ok(()) };
        let (mut effects, mut halt) = (Vec::new(), Ok(()));
        for recorded in batch {
            let (position, place) = (recorded.position, recorded.ins_seq);
            match self.intents(recorded) {
                Ok(intents) => effects.extend(intents),
                Err(error) => {
                    halt = Err(error);
                    break;
                }
            }
            (to, ins_seq) = (position, place);
        }
        if effects.is_empty() {
            (self.position, self.ins_seq) = (to, ins_seq);
        } else {
            self.commit(&effects, to, ins_seq).await?;
            wake.notify_one();
        }
        self.moved |= self.position > LogPosition(0);
        gauge!("minispod_reactor_position", "reactor" => self.parts.reactor.name()).set(self.position.0 as f64);
        halt
    }

    fn intents(&self, recorded: Recorded) -> Result<Vec<NewEffect>, Halt> {
        let position = recorded.position;
        let fact = Fact::read(recorded).map_err(|source| Halt::Unreadable { position: position.0, source })?;
        let cause = Cause::reacting(self.parts.reactor.name(), &fact.recorded.metadata);
        self.parts
            .reactor
            .intend(&fact)
            .into_iter()
            .map(|intent| new_effect(intent, &cause, Some(position)))
            .collect::<Result<_, _>>()
            .map_err(|source| Halt::Unwritable { position: position.0, source })
    }

    async fn commit(&mut self, effects: &[NewEffect], to: LogPosition, ins_seq: InsSeq) -> Result<(), Halt> {
        let store = self.parts.dispatcher.store();
        let name = self.parts.reactor.name();
        let failed = |doing| move |source| StoreError::Database { doing, source };
        let mut tx = store.pool().begin().await.map_err(failed("begin an intending transaction"))?;
        store.ledger().intend_in_tx(&mut tx, name, effects).await?;
        let checkpoint = checkpoint_name(name);
        store.checkpoints().advance_in_tx(&mut tx, &checkpoint, self.saved, to, ins_seq, self.lease.fence).await?;
        tx.commit().await.map_err(failed("commit intents"))?;
        (self.position, self.saved, self.ins_seq, self.saved_at) = (to, to, ins_seq, Instant::now());
        Ok(())
    }

    async fn save_if_old(&mut self) -> Result<(), Halt> {
        if self.saved_at.elapsed() >= SAVE_EVERY { self.save().await } else { Ok(()) }
    }

    async fn save(&mut self) -> Result<(), Halt> {
        self.saved_at = Instant::now();
        if self.position == self.saved {
            return Ok(());
        }
        self.commit(&[], self.position, self.ins_seq).await
    }
}
