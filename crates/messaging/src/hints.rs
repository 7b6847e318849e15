//! Core-NATS hints: "something was appended", "a checkpoint moved". They save waiting and carry no authority.

use std::time::Duration;

use async_nats::{SubscribeError, Subscriber};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};

use crate::{Nats, subject};

/// A subscription to hints of one kind.
pub struct Hints {
    subscriber: Subscriber,
}

impl Nats {
    /// Says that something was appended. Never fails and never waits for the server.
    pub async fn hint_appended(&self) {
        self.hint(subject::HINT_APPENDED.to_owned(), Bytes::new()).await;
    }

    /// Says that `projection` has reached `ins_seq`.
    pub async fn hint_checkpoint(&self, projection: &str, ins_seq: i64) {
        self.hint(subject::checkpoint(projection), Bytes::from(ins_seq.to_string())).await;
    }

    async fn hint(&self, subject: String, body: Bytes) {
        // While the connection is down a hint would only fill the send buffer and arrive too late to matter.
        if self.is_connected()
            && let Err(error) = self.client().publish(subject, body).await
        {
            tracing::debug!(%error, "a hint was not sent");
        }
    }

    /// Hears [`subject::HINT_APPENDED`].
    pub async fn appended_hints(&self) -> Result<Hints, SubscribeError> {
        self.client().subscribe(subject::HINT_APPENDED).await.map(|subscriber| Hints { subscriber })
    }

    /// Hears the checkpoints of all projections.
    pub async fn checkpoint_hints(&self) -> Result<Hints, SubscribeError> {
        self.client().subscribe(subject::checkpoint("*")).await.map(|subscriber| Hints { subscriber })
    }
}

impl Hints {
    /// Waits for a hint at most `limit`, then swallows all others that lie ready; whether there was one.
    pub async fn wait(&mut self, limit: Duration) -> bool {
        let heard = matches!(tokio::time::timeout(limit, self.subscriber.next()).await, Ok(Some(_)));
        while let Some(Some(_)) = self.subscriber.next().now_or_never() {}
        heard
    }

    /// The next checkpoint hint: projection and insertion sequence; `None` when the connection is closed for good.
    pub async fn next_checkpoint(&mut self) -> Option<(String, i64)> {
        loop {
            let message = self.subscriber.next().await?;
            let position = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse().ok());
            if let (Some(projection), Some(ins_seq)) = (subject::projection_of(&message.subject), position) {
                return Some((projection.to_owned(), ins_seq));
            }
        }
    }
}
