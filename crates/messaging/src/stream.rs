//! The event stream itself: where it ends, one message of it, and publishing on top of a known sequence.

use async_nats::jetstream::{
    self,
    context::{PublishAckFuture, PublishErrorKind},
    message::{PublishMessage, StreamMessage},
    stream::RawMessage,
};
use minispod_kernel::Recorded;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{MessageError, Nats, RequestError, connection::STREAM_NOT_FOUND, message};

/// The stream that mirrors the log.
pub const EVENT_STREAM: &str = "MINISPOD_EVT";
/// Messages sent before their acknowledgements are awaited.
pub const PUBLISH_WINDOW: usize = 512;
/// The server's code for "no message found".
const NO_MESSAGE_FOUND: u64 = 10_037;
/// The server's code for "expected last sequence differs"; 10164 is the same refusal from another place of the server.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10_071, 10_164];

/// Where the stream begins and ends, and what its last message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamTail {
    /// 0 in a stream that never held a message.
    pub first_sequence: u64,
    /// 0 in a stream that never held a message.
    pub last_sequence: u64,
    /// Messages held; smaller than `last - first + 1` when some are missing inside.
    pub count: u64,
    /// Chain header of the last message; `None` when the stream is empty, or that message is gone or carries none.
    pub last_chain: Option<[u8; 32]>,
    /// The stream counts a last message that is not there.
    pub last_is_missing: bool,
}

/// Reading the stream did not work.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("the stream's state could not be read")]
    Info { source: RequestError },
    #[error("the stream's state is not understood: {what} is missing")]
    State { what: &'static str },
    #[error("message {sequence} of the stream could not be read")]
    Message { sequence: u64, source: async_nats::Error },
    #[error("message {sequence} of the stream is no event")]
    Decode { sequence: u64, source: MessageError },
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Every message is stored at its own sequence.
    All,
    /// The stream did not end where we thought: somebody else stored these or the tail was lost. Read it again.
    Overtaken {
        /// How many of the batch were stored before that.
        stored: usize,
    },
}

/// Publishing did not work; what was stored is not known, so read the tail again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("event at position {position} cannot be a message")]
    Encode { position: i64, source: MessageError },
    #[error("positions of a batch must follow each other; {position} does not")]
    NotConsecutive { position: i64 },
    #[error("there is no stream for events")]
    NoStream,
    #[error("event at position {position} was not acknowledged")]
    Publish { position: i64, source: jetstream::context::PublishError },
    #[error("event at position {position} was stored as {sequence} of {stream}")]
    WrongSequence { position: i64, sequence: u64, stream: String },
}

impl Nats {
    /// Where the event stream ends; `None` when there is no stream.
    pub async fn stream_tail(&self) -> Result<Option<StreamTail>, StreamError> {
        let info = match self.api(&format!("STREAM.INFO.{EVENT_STREAM}"), &Value::Null).await {
            Ok(info) => info,
            Err(error) if error.code() == Some(STREAM_NOT_FOUND) => return Ok(None),
            Err(source) => return Err(StreamError::Info { source }),
        };
        let state = |what: &'static str| {
            info.get("state")
                .and_then(|state| state.get(what))
                .and_then(Value::as_u64)
                .ok_or(StreamError::State { what })
        };
        let (first_sequence, last_sequence, count) = (state("first_seq")?, state("last_seq")?, state("messages")?);
        let last = if last_sequence == 0 { None } else { self.raw_at(last_sequence).await? };
        let last_is_missing = last.is_none() && last_sequence > 0 && last_sequence >= first_sequence;
        let last_chain = last.and_then(|stored| message::chain_of(&stored.headers));
        Ok(Some(StreamTail { first_sequence, last_sequence, count, last_chain, last_is_missing }))
    }

    /// The event at `sequence`; `None` when it is not there.
    pub async fn read_at(&self, sequence: u64) -> Result<Option<Recorded>, StreamError> {
        let Some(stored) = self.raw_at(sequence).await? else { return Ok(None) };
        message::decode_parts(&stored.subject, &stored.headers, &stored.payload, sequence)
            .map(Some)
            .map_err(|source| StreamError::Decode { sequence, source })
    }

    /// The chain header at `sequence`; `None` when the message is not there or carries none.
    pub async fn chain_at(&self, sequence: u64) -> Result<Option<[u8; 32]>, StreamError> {
        Ok(self.raw_at(sequence).await?.and_then(|stored| message::chain_of(&stored.headers)))
    }

    async fn raw_at(&self, sequence: u64) -> Result<Option<StreamMessage>, StreamError> {
        let body = json!({ "seq": sequence });
        let answer = match self.api(&format!("STREAM.MSG.GET.{EVENT_STREAM}"), &body).await {
            Ok(answer) => answer,
            Err(error) if matches!(error.code(), Some(NO_MESSAGE_FOUND | STREAM_NOT_FOUND)) => return Ok(None),
            Err(source) => return Err(StreamError::Info { source }),
        };
        let stored = answer.get("message").ok_or(StreamError::State { what: "message" })?;
        let raw = RawMessage::deserialize(stored)
            .map_err(|source| StreamError::Message { sequence, source: Box::new(source) })?;
        StreamMessage::try_from(raw).map(Some).map_err(|source| StreamError::Message { sequence, source })
    }

    /// Publishes consecutive events, each on top of the one before; returns when every one is acknowledged at its own
    /// sequence, or with [`Published::Overtaken`] as soon as the server refuses one because the stream ends elsewhere.
    ///
    /// The first is sent alone: if it is refused, none of those behind it may happen to fit on top of a stream that has
    /// become another one.
    pub async fn publish_batch(&self, events: &[Recorded]) -> Result<Published, PublishError> {
        for (event, expected) in events.iter().zip(events.first().map_or(1, |first| first.position.0)..) {
            if event.position.0 != expected || expected < 1 {
                return Err(PublishError::NotConsecutive { position: event.position.0 });
            }
        }
        let (first, rest) = events.split_at(events.len().min(1));
        let mut stored = 0;
        for window in std::iter::once(first).chain(rest.chunks(PUBLISH_WINDOW)) {
            let mut pending = Vec::with_capacity(window.len());
            for event in window {
                pending.push((event.position.0, self.send(event).await?));
            }
            for (position, acknowledgement) in pending {
                match acknowledged(position, acknowledgement).await? {
                    Published::All => stored += 1,
                    Published::Overtaken { .. } => return Ok(Published::Overtaken { stored }),
                }
            }
        }
        Ok(Published::All)
    }

    async fn send(&self, event: &Recorded) -> Result<PublishAckFuture, PublishError> {
        let position = event.position.0;
        let encoded = message::encode(event).map_err(|source| PublishError::Encode { position, source })?;
        let outgoing = PublishMessage::build()
            .payload(encoded.body)
            .headers(encoded.headers)
            .expected_last_sequence((position - 1).unsigned_abs())
            .expected_stream(EVENT_STREAM);
        self.jetstream()
            .send_publish(encoded.subject, outgoing)
            .await
            .map_err(|source| PublishError::Publish { position, source })
    }
}

async fn acknowledged(position: i64, acknowledgement: PublishAckFuture) -> Result<Published, PublishError> {
    match acknowledgement.await {
        Ok(ack) if ack.sequence == position.unsigned_abs() && ack.stream == EVENT_STREAM => Ok(Published::All),
        Ok(ack) => Err(PublishError::WrongSequence { position, sequence: ack.sequence, stream: ack.stream }),
        Err(error) if is_wrong_last_sequence(&error) => Ok(Published::Overtaken { stored: 0 }),
        Err(error) if error.kind() == PublishErrorKind::StreamNotFound => Err(PublishError::NoStream),
        Err(source) => Err(PublishError::Publish { position, source }),
    }
}

/// The library maps only one of the two codes to its own kind.
fn is_wrong_last_sequence(error: &jetstream::context::PublishError) -> bool {
    let code = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<jetstream::Error>())
        .map(|refusal| refusal.error_code().0);
    error.kind() == PublishErrorKind::WrongLastSequence || code.is_some_and(|code| WRONG_LAST_SEQUENCE.contains(&code))
}
