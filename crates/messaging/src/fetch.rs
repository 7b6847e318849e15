//! Fetching: the events after a checkpoint, in batches, from a role's own durable consumer.

use std::time::Duration;

use async_nats::jetstream::{self, consumer};
use futures::{FutureExt, StreamExt};
use minispod_kernel::{LogPosition, Recorded};

use crate::{Nats, TopologyError, message, topology};

/// Messages asked for at once.
const PULL_BATCH: usize = 1_000;
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// Twice this without a sign of life ends the subscription.
const PULL_HEARTBEAT: Duration = Duration::from_secs(2);

/// Fetching did not work; open the fetcher again, from the checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the consumer of {role} could not be made")]
    Consumer { role: String, source: TopologyError },
    #[error("{role} could not subscribe to its consumer")]
    Subscribe { role: String, source: consumer::StreamError },
    #[error("the messages of {role} stopped coming")]
    Interrupted { role: String, source: consumer::pull::MessagesError },
    #[error("the consumer of {role} has ended")]
    Ended { role: String },
    #[error("what {role} has read could not be acknowledged")]
    Acknowledge { role: String, source: async_nats::Error },
}

/// The subscription of one role. Acknowledging is for the server's reports only; the checkpoint is the truth.
pub struct Fetcher {
    role: String,
    messages: consumer::pull::Stream,
    last: Option<jetstream::Message>,
}

impl Fetcher {
    /// Makes the role's consumer anew so that it begins after `after`, and subscribes.
    pub async fn open(nats: &Nats, role: &str, after: LogPosition) -> Result<Self, FetchError> {
        let consumer = topology::ensure_consumer(nats, role, after)
            .await
            .map_err(|source| FetchError::Consumer { role: role.to_owned(), source })?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(PULL_BATCH)
            .expires(PULL_EXPIRES)
            .heartbeat(PULL_HEARTBEAT)
            .messages()
            .await
            .map_err(|source| FetchError::Subscribe { role: role.to_owned(), source })?;
        Ok(Self { role: role.to_owned(), messages, last: None })
    }

    /// Waits at most `wait` for a first event and takes whatever lies ready, at most `limit`. Empty: nothing came.
    /// What cannot be read is left out, so it shows as a missing position.
    pub async fn next_batch(&mut self, limit: usize, wait: Duration) -> Result<Vec<Recorded>, FetchError> {
        let mut batch = Vec::new();
        let Ok(first) = tokio::time::timeout(wait, self.messages.next()).await else { return Ok(batch) };
        self.take(first, &mut batch)?;
        while batch.len() < limit {
            let Some(next) = self.messages.next().now_or_never() else { break };
            self.take(next, &mut batch)?;
        }
        Ok(batch)
    }

    fn take(
        &mut self,
        item: Option<Result<jetstream::Message, consumer::pull::MessagesError>>,
        batch: &mut Vec<Recorded>,
    ) -> Result<(), FetchError> {
        let message = match item {
            Some(Ok(message)) => message,
            Some(Err(source)) => return Err(FetchError::Interrupted { role: self.role.clone(), source }),
            None => return Err(FetchError::Ended { role: self.role.clone() }),
        };
        match message::decode(&message) {
            Ok(recorded) => batch.push(recorded),
            Err(error) => {
                metrics::counter!("minispod_messages_unreadable_total", "role" => self.role.clone()).increment(1);
                tracing::warn!(role = self.role, %error, subject = %message.subject, "a message of the stream is no event");
            }
        }
        self.last = Some(message);
        Ok(())
    }

    /// Acknowledges everything fetched so far. Call after the commit.
    pub async fn acknowledge(&mut self) -> Result<(), FetchError> {
        match self.last.take() {
            Some(last) => {
                last.ack().await.map_err(|source| FetchError::Acknowledge { role: self.role.clone(), source })
            }
            None => Ok(()),
        }
    }
}
