//! The next events after a position, without a hole: from the stream, and from Postgres wherever the stream falls short.

mod proof;

use std::time::Duration;

use metrics::{counter, gauge};
use minispod_kernel::{LogPosition, Recorded};
use minispod_messaging::{FetchError, Fetcher, Nats};
use minispod_store::{LogReader, Store, StoreError};
use tokio::time::Instant;

use crate::backoff::Backoff;

/// Pause between looks at Postgres while the stream is away.
const WITHOUT_STREAM: Duration = Duration::from_millis(200);
/// Silences in a row, while the log grows, after which the consumer is not trusted.
const SILENCES: u32 = 2;
/// How long a stream that told another history than the log is left alone.
const DISTRUST: Duration = Duration::from_secs(10);

/// The log could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the checkpoint is at {checkpoint} but the log ends at {head}: the log was restored to an older point; \
         nothing is applied until an operator begins a new timeline"
    )]
    AheadOfLog { checkpoint: i64, head: i64 },
}

/// One role's reading of the log. The stream is the quick way and has no authority: Postgres fills what it lacks, and
/// nothing of the stream is passed on that is not the log's.
pub struct Feed {
    role: String,
    store: Store,
    nats: Option<Nats>,
    fetcher: Option<Fetcher>,
    open_failures: u32,
    open_again: Instant,
    /// Times in a row that the stream was silent while the log had grown.
    silences: u32,
    /// The stream told another history at the last look; said once.
    distrusted: bool,
}

impl Feed {
    /// For `role`, whose consumer is in `nats/consumers/`. Without NATS everything comes from Postgres.
    pub fn new(role: &str, store: Store, nats: Option<Nats>) -> Self {
        Self {
            role: role.to_owned(),
            store,
            nats,
            fetcher: None,
            open_failures: 0,
            open_again: Instant::now(),
            silences: 0,
            distrusted: false,
        }
    }

    /// The events that follow `after`, dense from `after + 1`, at most `limit`. Waits at most `wait`; empty: none came.
    pub async fn next(&mut self, after: LogPosition, limit: usize, wait: Duration) -> Result<Vec<Recorded>, FeedError> {
        self.open(after).await;
        let found = if let Some(fetcher) = &mut self.fetcher {
            match fetcher.next_batch(limit, wait).await {
                Ok(batch) => {
                    let silent = batch.is_empty();
                    let proven = self.proven(batch).await?;
                    let dense = self.without_holes(proven, after, limit).await?;
                    self.listen_for_silence(silent && !dense.is_empty());
                    dense
                }
                Err(error) => {
                    self.lost(&error);
                    self.read_postgres(after, limit).await?
                }
            }
        } else {
            let found = self.read_postgres(after, limit).await?;
            if found.is_empty() {
                tokio::time::sleep(wait.min(WITHOUT_STREAM)).await;
            }
            found
        };
        if found.is_empty()
            && let Some(head) = proof::head_below(&self.store, after).await?
        {
            return Err(FeedError::AheadOfLog { checkpoint: after.0, head: head.0 });
        }
        Ok(found)
    }

    /// Tells the server how far we are, for its reports only.
    pub async fn acknowledge(&mut self) {
        if let Some(fetcher) = &mut self.fetcher
            && let Err(error) = fetcher.acknowledge().await
        {
            self.lost(&error);
        }
    }

    /// The batch, if it is the log's own; nothing of it otherwise, and the stream is left alone for a while.
    async fn proven(&mut self, batch: Vec<Recorded>) -> Result<Vec<Recorded>, StoreError> {
        if batch.is_empty() {
            return Ok(batch);
        }
        match proof::belongs(&self.store, &batch).await {
            Ok(true) => {
                self.distrusted = false;
                gauge!("minispod_feed_distrusted", "role" => self.role.clone()).set(0.0);
                Ok(batch)
            }
            Ok(false) => {
                self.distrust(&batch);
                Ok(Vec::new())
            }
            Err(error) => {
                // What was fetched is dropped: begin again from the checkpoint.
                self.fetcher = None;
                Err(error)
            }
        }
    }

    /// The stream tells another history. Postgres alone is read until it has become the log's mirror again.
    fn distrust(&mut self, batch: &[Recorded]) {
        counter!("minispod_feed_foreign_events_total", "role" => self.role.clone()).increment(batch.len() as u64);
        gauge!("minispod_feed_distrusted", "role" => self.role.clone()).set(1.0);
        if !self.distrusted {
            let position = batch.first().map_or(0, |event| event.position.0);
            tracing::error!(
                role = self.role,
                position,
                "the stream tells another history than the log; nothing of it is applied, Postgres alone is read"
            );
        }
        self.distrusted = true;
        self.fetcher = None;
        self.open_again = Instant::now() + DISTRUST;
    }

    /// A consumer that stands above the end of a stream that lost its tail says nothing for ever: make it anew.
    fn listen_for_silence(&mut self, silent: bool) {
        self.silences = if silent { self.silences + 1 } else { 0 };
        if self.silences >= SILENCES {
            tracing::warn!(
                role = self.role,
                "the stream is silent though the log has grown; the consumer is made anew"
            );
            counter!("minispod_feed_silences_total", "role" => self.role.clone()).increment(1);
            self.silences = 0;
            self.fetcher = None;
        }
    }

    async fn open(&mut self, after: LogPosition) {
        let Some(nats) = self.nats.as_ref().filter(|_| self.fetcher.is_none()) else { return };
        if Instant::now() < self.open_again {
            return;
        }
        match Fetcher::open(nats, &self.role, after).await {
            Ok(fetcher) => {
                self.fetcher = Some(fetcher);
                self.open_failures = 0;
            }
            Err(error) => self.lost(&error),
        }
    }

    fn lost(&mut self, error: &FetchError) {
        tracing::warn!(role = self.role, %error, "the stream is away; reading from Postgres");
        counter!("minispod_feed_interruptions_total", "role" => self.role.clone()).increment(1);
        self.fetcher = None;
        self.open_again = Instant::now() + Backoff::LOOPS.after(self.open_failures, self.store.ids().as_ref());
        self.open_failures = self.open_failures.saturating_add(1);
    }

    async fn read_postgres(&self, after: LogPosition, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        let log: &LogReader = self.store.log();
        let found = log.read_after(after, i64::try_from(limit).unwrap_or(i64::MAX)).await?;
        counter!("minispod_feed_postgres_events_total", "role" => self.role.clone()).increment(found.len() as u64);
        Ok(found)
    }

    /// Drops what is known already and fills what is missing; the result is dense from `after + 1`.
    async fn without_holes(
        &self,
        batch: Vec<Recorded>,
        after: LogPosition,
        limit: usize,
    ) -> Result<Vec<Recorded>, StoreError> {
        let mut dense: Vec<Recorded> = Vec::with_capacity(batch.len());
        let mut next = after.0 + 1;
        for recorded in batch {
            if recorded.position.0 > next {
                counter!("minispod_feed_holes_total", "role" => self.role.clone()).increment(1);
                let room = limit.saturating_sub(dense.len()).max(1);
                let missing = usize::try_from(recorded.position.0 - next).unwrap_or(usize::MAX).min(room);
                dense.extend(self.read_postgres(LogPosition(next - 1), missing).await?);
                next = dense.last().map_or(next, |last| last.position.0 + 1);
            }
            if recorded.position.0 == next {
                next += 1;
                dense.push(recorded);
            }
        }
        if dense.is_empty() {
            // Nothing came: ask the log itself, so that a stream that lost its tail holds nobody up.
            dense = self.read_postgres(after, limit).await?;
        }
        Ok(dense)
    }
}
