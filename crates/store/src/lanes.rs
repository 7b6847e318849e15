//! Group commit: commands that wait share a transaction; a transaction starts as soon as a connection is free.
//!
//! One aggregate is in one transaction at a time, so commands of one process never race for a version. What waits
//! while all lanes are busy is what the next transaction carries: few tasks get a commit each, many share one.

use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::FutureExt;
use minispod_kernel::{Aggregate, Clock, IdSource, ids::is_aggregate_id};
use sqlx::{PgConnection, postgres::PgConnectOptions};
use tokio::sync::oneshot;

use crate::{
    CommandContext, CommandError, LaneConfig, Outcome, StoreConfig, StoreError,
    alone::{BUSY_AFTER, LaneConnection, Next},
    append::Trouble,
    batch::{Engine, Job},
    cache::StateCache,
    member::{Answer, CommandMember},
    sealing::Sealer,
};

/// Longest correlation, causation or trace text.
const TRACE_MAX: usize = 200;

/// The lanes of one process.
pub(crate) struct Lanes {
    pub engine: Engine,
    config: LaneConfig,
    options: PgConnectOptions,
    queue: Mutex<Queue>,
}

/// What waits.
#[derive(Default)]
struct Queue {
    /// Aggregates with waiting commands that no lane works on, the longest waiting first.
    ready: VecDeque<Arc<str>>,
    aggregates: HashMap<Arc<str>, Waiting>,
    commands: usize,
    active: usize,
    /// Lanes that are about to take what is ready; nobody need start another one meanwhile.
    taking: usize,
    idle: Vec<PgConnection>,
}

/// One aggregate's commands.
#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    in_flight: bool,
}

impl Queue {
    fn push(&mut self, job: Job, front: bool) {
        let place = job.member.subject().place().clone();
        let waiting = self.aggregates.entry(place.clone()).or_default();
        let newly = waiting.jobs.is_empty() && !waiting.in_flight;
        if front {
            waiting.jobs.push_front(job);
        } else {
            waiting.jobs.push_back(job);
        }
        self.commands += 1;
        if newly {
            self.ready.push_back(place);
        }
    }

    /// The next batch: whole aggregates, up to `limit` commands.
    fn take(&mut self, limit: usize) -> (Vec<Job>, Vec<Arc<str>>) {
        let (mut jobs, mut places) = (Vec::new(), Vec::new());
        while jobs.len() < limit
            && let Some(place) = self.ready.pop_front()
        {
            let Some(waiting) = self.aggregates.get_mut(&place) else { continue };
            let count = waiting.jobs.len().min(limit - jobs.len());
            jobs.extend(waiting.jobs.drain(..count));
            waiting.in_flight = true;
            places.push(place);
        }
        self.commands -= jobs.len();
        (jobs, places)
    }

    fn release(&mut self, places: Vec<Arc<str>>) {
        for place in places {
            let Some(waiting) = self.aggregates.get_mut(&place) else { continue };
            waiting.in_flight = false;
            if waiting.jobs.is_empty() {
                self.aggregates.remove(&place);
            } else {
                self.ready.push_back(place);
            }
        }
    }
}

/// What a batch leaves.
#[derive(Default)]
struct Left {
    /// Next in line, in order.
    deferred: Vec<Job>,
    later: Vec<(Box<Job>, Duration)>,
}

impl Lanes {
    pub(crate) fn new(
        config: &StoreConfig,
        options: PgConnectOptions,
        sealer: Arc<Sealer>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Arc<Self> {
        let cache = StateCache::new(config.cache_entries);
        let engine = Engine { cache, sealer, clock, ids, state_every: config.state_every.max(1) };
        Arc::new(Self { engine, config: config.lanes, options, queue: Mutex::default() })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that can panic runs under the lock; a poisoned one is still whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the command and waits for its answer.
    pub(crate) async fn execute<A: Aggregate>(
        self: &Arc<Self>,
        aggregate_id: &str,
        command: A::Command,
        context: CommandContext,
    ) -> Result<Outcome<A::Event>, CommandError> {
        check(aggregate_id, &context)?;
        let (reply, answer) = oneshot::channel();
        let member = CommandMember::<A>::new(aggregate_id, command, context, reply);
        let deadline = Instant::now() + self.config.deadline;
        let job = Job { member: Box::new(member), deadline, tries: 0, alone: false, unsure: Vec::new() };
        {
            let mut queue = self.queue();
            if queue.commands >= self.config.waiting {
                metrics::counter!("minispod_commands_shed_total").increment(1);
                return Err(CommandError::Busy { after: BUSY_AFTER });
            }
            queue.push(job, false);
        }
        self.start_lane();
        answer.await.unwrap_or(Err(CommandError::Store(StoreError::UnknownCommit)))
    }

    /// Starts one more lane when there is work and a lane to spare.
    fn start_lane(self: &Arc<Self>) {
        let connection = {
            let mut queue = self.queue();
            if queue.ready.is_empty() || queue.taking > 0 || queue.active >= self.config.lanes.max(1) {
                return;
            }
            queue.active += 1;
            queue.taking += 1;
            LaneConnection { options: self.options.clone(), open: queue.idle.pop() }
        };
        tokio::spawn(self.clone().run(connection));
    }

    /// Batch after batch until nothing waits.
    async fn run(self: Arc<Self>, mut connection: LaneConnection) {
        loop {
            // Whoever was just answered comes back now, and shares the next transaction.
            tokio::task::yield_now().await;
            let (jobs, places) = {
                let mut queue = self.queue();
                queue.taking -= 1;
                let (jobs, places) = queue.take(self.config.batch.max(1));
                if jobs.is_empty() {
                    queue.release(places);
                    queue.active -= 1;
                    queue.idle.extend(connection.open.take());
                    return;
                }
                metrics::gauge!("minispod_commands_waiting").set(queue.commands as f64);
                (jobs, places)
            };
            // What did not fit may have another lane.
            self.start_lane();
            // A rule that panics costs its batch an answer, not the lane.
            let left = AssertUnwindSafe(self.batch(&mut connection, jobs)).catch_unwind().await;
            let left = left.unwrap_or_else(|_| {
                tracing::error!("a batch of commands panicked");
                connection.discard();
                Left::default()
            });
            self.put_back(left, places);
        }
    }

    fn put_back(self: &Arc<Self>, left: Left, places: Vec<Arc<str>>) {
        {
            let mut queue = self.queue();
            for job in left.deferred.into_iter().rev() {
                queue.push(job, true);
            }
            queue.release(places);
            queue.taking += 1;
        }
        for (job, wait) in left.later {
            let lanes = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                lanes.queue().push(*job, false);
                lanes.start_lane();
            });
        }
    }

    async fn batch(&self, connection: &mut LaneConnection, jobs: Vec<Job>) -> Left {
        let mut left = Left::default();
        let now = Instant::now();
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for mut job in jobs {
            if now >= job.deadline {
                let error = if job.unsure.is_empty() {
                    CommandError::Busy { after: BUSY_AFTER }
                } else {
                    CommandError::Store(StoreError::UnknownCommit)
                };
                job.member.answer(Answer::Failed(error));
            } else if job.alone {
                alone.push(job);
            } else {
                together.push(job);
            }
        }
        if !together.is_empty() {
            match connection.get().await {
                Err(error) => {
                    tracing::warn!(%error, "no connection for a lane");
                    alone.extend(together);
                }
                Ok(db) => match self.engine.attempt(db, together, false).await {
                    Ok(deferred) => left.deferred = deferred,
                    Err((jobs, trouble)) => {
                        self.after_failure(connection, &trouble);
                        alone.extend(jobs.into_iter().map(|job| of_failed(job, &trouble)));
                    }
                },
            }
        }
        for job in alone {
            if let Next::Later(job, wait) = self.engine.alone(connection, job).await {
                left.later.push((job, wait));
            }
        }
        left
    }

    fn after_failure(&self, connection: &mut LaneConnection, trouble: &Trouble) {
        let reason = match trouble {
            Trouble::Receipt => "receipt",
            Trouble::Conflict => "conflict",
            Trouble::ClaimHeld { .. } | Trouble::DoneBefore => "claim",
            Trouble::Unknown(error) => {
                tracing::warn!(%error, "a lane lost its connection");
                connection.discard();
                // The server went away: connections that were idle are likely gone too.
                self.queue().idle.clear();
                "connection"
            }
            Trouble::Failed(error) => {
                tracing::warn!(%error, "a batch failed");
                "error"
            }
        };
        metrics::counter!("minispod_batches_split_total", "reason" => reason).increment(1);
    }
}

/// A job whose batch failed: it runs alone, and remembers the events that may be in the log.
fn of_failed(mut job: Job, trouble: &Trouble) -> Job {
    job.alone = true;
    if matches!(trouble, Trouble::Unknown(_)) {
        job.unsure = job.member.event_ids().to_vec();
    }
    job
}

fn check(aggregate_id: &str, context: &CommandContext) -> Result<(), StoreError> {
    if !is_aggregate_id(aggregate_id) {
        return Err(StoreError::Limit { what: "the form of an aggregate's id" });
    }
    let texts = [Some(&context.correlation_id), context.causation_id.as_ref(), context.traceparent.as_ref()];
    if texts.into_iter().flatten().any(|text| text.len() > TRACE_MAX) {
        return Err(StoreError::Limit { what: "the length of a correlation, causation or trace" });
    }
    Ok(())
}
