//! The next events after a position, without a hole: from the stream, and from Postgres wherever the stream falls short.

use std::time::Duration;

use metrics::counter;
use minispod_kernel::{LogPosition, Recorded};
use minispod_messaging::{FetchError, Fetcher, Nats};
use minispod_store::{LogReader, Store, StoreError};
use tokio::time::Instant;

use crate::backoff::Backoff;

/// Pause between looks at Postgres while the stream is away.
const WITHOUT_STREAM: Duration = Duration::from_millis(200);
/// Silences in a row, while the log grows, after which the consumer is not trusted.
const SILENCES: u32 = 2;

/// One role's reading of the log. The stream is the quick way and has no authority: Postgres fills what it lacks.
pub struct Feed {
    role: String,
    store: Store,
    nats: Option<Nats>,
    fetcher: Option<Fetcher>,
    open_failures: u32,
    open_again: Instant,
    /// Times in a row that the stream was silent while the log had grown.
    silences: u32,
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
        }
    }

    /// The events that follow `after`, dense from `after + 1`, at most `limit`. Waits at most `wait`; empty: none came.
    pub async fn next(
        &mut self,
        after: LogPosition,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.open(after).await;
        let Some(fetcher) = &mut self.fetcher else {
            let found = self.read_postgres(after, limit).await?;
            if found.is_empty() {
                tokio::time::sleep(wait.min(WITHOUT_STREAM)).await;
            }
            return Ok(found);
        };
        match fetcher.next_batch(limit, wait).await {
            Ok(batch) => {
                let silent = batch.is_empty();
                let dense = self.without_holes(batch, after, limit).await?;
                self.listen_for_silence(silent && !dense.is_empty());
                Ok(dense)
            }
            Err(error) => {
                self.lost(&error);
                self.read_postgres(after, limit).await
            }
        }
    }

    /// Tells the server how far we are, for its reports only.
    pub async fn acknowledge(&mut self) {
        if let Some(fetcher) = &mut self.fetcher
            && let Err(error) = fetcher.acknowledge().await
        {
            self.lost(&error);
        }
    }

    /// Begins again from the checkpoint at the next reading.
    pub fn restart(&mut self) {
        self.fetcher = None;
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
