//! The second half of the relay: what the stream lacks is published on top of it, after checking whose stream it is.

use std::time::Duration;

use minispod_kernel::{Causes, LogPosition, Recorded};
use minispod_messaging::{Nats, Published, StreamTail, topology};
use minispod_store::{Store, StoreError};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{RelayConfig, RelayError, audit};

/// Events read from the log and published in one step.
const BATCH: i64 = 1_000;
/// Longest wait for an answer of the database: one that vanished without a word must not hold the relay for ever.
const DATABASE_LIMIT: Duration = Duration::from_secs(10);
/// Another relay may have numbered: look even without news.
const LOOK_ANYWAY: Duration = Duration::from_millis(250);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
const DEAD_LETTERS: &str = "MINISPOD_DLQ";

/// Publishes for ever; returns only what no repetition can mend.
pub async fn run(store: &Store, nats: &Nats, config: &RelayConfig, mut news: watch::Receiver<()>) -> RelayError {
    let mut publisher = Publisher::new(store.clone(), nats.clone(), config.clone());
    let mut retry = RETRY_FIRST;
    let mut next_audit = Instant::now() + config.audit_every;
    loop {
        if !nats.is_connected() {
            let _ = tokio::time::timeout(LOOK_ANYWAY, news.changed()).await;
            continue;
        }
        let stepped = if Instant::now() >= next_audit {
            next_audit = Instant::now() + config.audit_every;
            publisher.audit().await.map(|_| Step::Published)
        } else {
            publisher.step().await
        };
        match stepped {
            Ok(Step::Published) => retry = RETRY_FIRST,
            Ok(Step::NothingNew) => {
                retry = RETRY_FIRST;
                let until = next_audit.min(Instant::now() + LOOK_ANYWAY);
                let _ = timeout_at(until, news.changed()).await;
            }
            Err(error) if error.is_passing() => {
                publisher.forget();
                metrics::counter!("minispod_relay_failures_total", "phase" => "publish").increment(1);
                tracing::warn!(error = %Causes(&error), "publishing failed; trying again in {retry:?}");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
            }
            Err(error) => {
                tracing::error!(error = %Causes(&error), "the relay stops");
                return error;
            }
        }
    }
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Published,
    NothingNew,
}

/// Where this relay believes the stream ends, checked once per connection and after every surprise.
pub struct Publisher {
    pub(super) store: Store,
    pub(super) nats: Nats,
    pub(super) config: RelayConfig,
    /// Last sequence of the stream and the connection on which its identity was checked.
    known: Option<(u64, u64)>,
    dead_letters_checked: u64,
}

impl Publisher {
    /// Knows nothing yet.
    pub fn new(store: Store, nats: Nats, config: RelayConfig) -> Self {
        Self { store, nats, config, known: None, dead_letters_checked: 0 }
    }

    /// Reads the stream's end again before the next publish.
    pub fn forget(&mut self) {
        self.known = None;
    }

    /// One batch: what the stream lacks, published.
    pub async fn step(&mut self) -> Result<Step, RelayError> {
        let batch = self.next_batch().await?;
        if batch.is_empty() {
            metrics::gauge!("minispod_relay_lag_seconds").set(0.0);
            return Ok(Step::NothingNew);
        }
        self.publish(&batch).await?;
        Ok(Step::Published)
    }

    /// The events that the stream lacks, in order; checks first whose stream it is.
    pub async fn next_batch(&mut self) -> Result<Vec<Recorded>, RelayError> {
        let epoch = self.nats.connection_epoch();
        let last = match self.known {
            Some((last, checked)) if checked == epoch => last,
            _ => {
                self.known = None;
                self.ensure_dead_letters(epoch).await?;
                let tail = self.identified_tail().await?;
                self.known = Some((tail.last_sequence, epoch));
                tail.last_sequence
            }
        };
        let batch = in_time(self.store.log().read_after(LogPosition(last as i64), BATCH)).await?;
        if let Some(first) = batch.first() {
            let age = self.store.clock().now().unix_millis() - first.recorded_at.unix_millis();
            metrics::gauge!("minispod_relay_lag_seconds").set(age.max(0) as f64 / 1_000.0);
        }
        Ok(batch)
    }

    /// Publishes a batch read by [`Self::next_batch`]. Being overtaken is no error: the next step looks again.
    pub async fn publish(&mut self, batch: &[Recorded]) -> Result<Published, RelayError> {
        let published = match self.nats.publish_batch(batch).await {
            Ok(published) => published,
            Err(error) => {
                self.forget();
                return Err(error.into());
            }
        };
        let stored = match published {
            Published::All => batch.len(),
            Published::Overtaken { stored } => stored,
        };
        metrics::counter!("minispod_relay_published_total").increment(stored as u64);
        match (published, batch.last()) {
            (Published::All, Some(last)) => {
                let position = last.position.0.unsigned_abs();
                self.known = Some((position, self.known.map_or(0, |(_, epoch)| epoch)));
                metrics::gauge!("minispod_relay_stream_position").set(position as f64);
            }
            (Published::All, None) => {}
            (Published::Overtaken { .. }, _) => {
                metrics::counter!("minispod_relay_overtaken_total").increment(1);
                self.forget();
            }
        }
        Ok(published)
    }

    /// The stream's end, after its last message was found to be the log's. Recreates a stream that is lost or cut open.
    pub(super) async fn identified_tail(&self) -> Result<StreamTail, RelayError> {
        let Some(tail) = self.nats.stream_tail().await? else {
            tracing::error!("the event stream is gone; it is made again from the log");
            return self.recreate().await;
        };
        if tail.last_sequence <= self.config.archive_floor {
            // Empty: nothing in it can be of another history. Where it begins must fit the floor.
            let begins_right =
                tail.first_sequence <= self.config.archive_floor + 1 && tail.last_sequence == self.config.archive_floor;
            return if begins_right { Ok(tail) } else { self.recreate().await };
        }
        // Read after the tail: in a healthy system the log is never behind the stream.
        let log = in_time(self.store.log().head()).await?;
        if tail.last_sequence > log.position.0.unsigned_abs() {
            return Err(RelayError::StreamAhead { stream: tail.last_sequence, log: log.position.0 });
        }
        if tail.last_is_missing || tail.count == 0 {
            tracing::error!(position = tail.last_sequence, "the stream has lost its last message; it is made again");
            return self.recreate().await;
        }
        let ours = self.chain_in_log(tail.last_sequence).await?;
        if tail.last_chain.is_none() || tail.last_chain != ours {
            return Err(RelayError::OtherHistory { position: tail.last_sequence });
        }
        Ok(tail)
    }

    /// The chain value the log has at `position`.
    pub(super) async fn chain_in_log(&self, position: u64) -> Result<Option<[u8; 32]>, RelayError> {
        Ok(in_time(self.store.log().at(LogPosition(position as i64))).await?.map(|event| event.chain))
    }

    /// An empty stream that begins above the archive floor; the log follows by ordinary steps.
    pub(super) async fn recreate(&self) -> Result<StreamTail, RelayError> {
        metrics::counter!("minispod_relay_recreations_total").increment(1);
        let floor = self.config.archive_floor;
        topology::recreate_stream(&self.nats, floor + 1, &self.config.overlay).await?;
        Ok(StreamTail {
            first_sequence: floor + 1,
            last_sequence: floor,
            count: 0,
            last_chain: None,
            last_is_missing: false,
        })
    }

    /// Compares stream and log and heals the stream where it is cut open.
    pub async fn audit(&mut self) -> Result<audit::Audit, RelayError> {
        audit::audit(self).await
    }

    /// The dead letters' stream has no other owner that is always there.
    async fn ensure_dead_letters(&mut self, epoch: u64) -> Result<(), RelayError> {
        if self.dead_letters_checked != epoch {
            topology::ensure_stream(&self.nats, DEAD_LETTERS, &self.config.overlay).await?;
            self.dead_letters_checked = epoch;
        }
        Ok(())
    }
}

async fn in_time<T>(reading: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(DATABASE_LIMIT, reading).await.unwrap_or_else(|_| {
        let source = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
        Err(StoreError::Database { doing: "answer the relay", source: sqlx::Error::Io(source) })
    })
}
