//! Copies of what a consumer could not digest, for operators with the `nats` CLI. The truth lies in Postgres.

use async_nats::jetstream::{self, message::PublishMessage};
use bytes::Bytes;

use crate::{Nats, subject};

/// One dead letter. Ids and codes only; never personal data or secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The reactor that could not digest it.
    pub role: String,
    /// The parked lane.
    pub lane: String,
    /// The effect's key; a repeat of the same letter within the stream's window is stored once.
    pub key: String,
    /// Why, in one line.
    pub reason: String,
    /// JSON of the effect.
    pub body: Vec<u8>,
}

/// The copy was not stored; the lane is parked all the same.
#[derive(Debug, thiserror::Error)]
#[error("the dead letter of lane {lane} was not stored")]
pub struct DeadLetterError {
    pub lane: String,
    pub source: jetstream::context::PublishError,
}

impl Nats {
    /// Stores a copy in `MINISPOD_DLQ`; returns its sequence.
    pub async fn dead_letter(&self, letter: DeadLetter) -> Result<u64, DeadLetterError> {
        let DeadLetter { role, lane, key, reason, body } = letter;
        let outgoing = PublishMessage::build()
            .payload(Bytes::from(body))
            .message_id(one_line(&key))
            .header("Minispod-Lane", one_line(&lane))
            .header("Minispod-Key", one_line(&key))
            .header("Minispod-Reason", one_line(&reason));
        let sent = self.jetstream().send_publish(subject::dead_letter(&role, &lane), outgoing).await;
        let stored = match sent {
            Ok(acknowledgement) => acknowledgement.await,
            Err(source) => Err(source),
        };
        match stored {
            Ok(ack) => Ok(ack.sequence),
            Err(source) => Err(DeadLetterError { lane, source }),
        }
    }
}

/// Header values are one line of text.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(1_024).collect()
}
