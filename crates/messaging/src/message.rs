//! A recorded event as a message and back: the body is exactly the RFC 8785 payload, the headers carry all the rest.

use std::fmt::Write as _;

use async_nats::{HeaderMap, jetstream};
use bytes::Bytes;
use minispod_events::subject_name;
use minispod_kernel::{Actor, InsSeq, LogPosition, Metadata, Recorded, Sealed, Timestamp, chain};
use serde_json::Value;

use crate::subject;

/// The event's own id.
pub const EVENT_ID: &str = "Minispod-Event-Id";
/// Pascal-case name; the subject has it in snake case.
pub const EVENT_TYPE: &str = "Minispod-Event-Type";
/// Schema version, `1.0` form.
pub const EVENT_VERSION: &str = "Minispod-Event-Version";
/// Place in the aggregate's history, from 1.
pub const SEQUENCE: &str = "Minispod-Sequence";
/// Insertion sequence: what checkpoints wait for. Not part of the chain.
pub const INS_SEQ: &str = "Minispod-Ins-Seq";
/// Same for everything that follows from one request.
pub const CORRELATION_ID: &str = "Minispod-Correlation-Id";
/// The event that caused the command; absent when none did.
pub const CAUSATION_ID: &str = "Minispod-Causation-Id";
/// The command's idempotency key.
pub const COMMAND_KEY: &str = "Minispod-Command-Key";
/// `customer:<id>`, `administrator:<id>`, `anonymous`, `gateway:<name>` or `system:<name>`.
pub const ACTOR: &str = "Minispod-Actor";
/// UTC, six fractional digits.
pub const RECORDED_AT: &str = "Minispod-Recorded-At";
/// Hash chain up to and including this event, 64 hex digits.
pub const CHAIN: &str = "Minispod-Chain";
/// W3C trace context; absent when there was none.
pub const TRACEPARENT: &str = "traceparent";

/// Why an administrator did it: whose key seals it, a space, the sealed text; absent when nothing was said.
pub const REASON: &str = "Minispod-Reason";

/// An event that cannot become a message, or a message that is no event.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("event {event_id} of {aggregate_type}/{aggregate_id} has no subject")]
    NoSubject { event_id: String, aggregate_type: String, aggregate_id: String },
    #[error("subject {subject:?} is not an event's")]
    Subject { subject: String },
    #[error("header {name} of message {sequence} is missing or malformed")]
    Header { name: &'static str, sequence: u64 },
    #[error("the body of message {sequence} is not JSON")]
    Payload { sequence: u64, source: serde_json::Error },
    #[error("a message without stream position")]
    NotFromStream,
}

/// What travels: subject, headers, body. Positions travel as the stream sequence.
#[derive(Debug, Clone)]
pub struct Encoded {
    pub subject: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The message of an event.
pub fn encode(recorded: &Recorded) -> Result<Encoded, MessageError> {
    let metadata = &recorded.metadata;
    let subject = subject::of_recorded(&recorded.aggregate_type, &recorded.aggregate_id, &recorded.event_type)
        .ok_or_else(|| MessageError::NoSubject {
            event_id: metadata.event_id.clone(),
            aggregate_type: recorded.aggregate_type.clone(),
            aggregate_id: recorded.aggregate_id.clone(),
        })?;
    let mut headers = HeaderMap::new();
    headers.insert(EVENT_ID, escape(&metadata.event_id));
    headers.insert(EVENT_TYPE, escape(&recorded.event_type));
    headers.insert(EVENT_VERSION, escape(&recorded.event_version));
    headers.insert(SEQUENCE, recorded.sequence.to_string());
    headers.insert(INS_SEQ, recorded.ins_seq.0.to_string());
    headers.insert(CORRELATION_ID, escape(&metadata.correlation_id));
    if let Some(causation) = &metadata.causation_id {
        headers.insert(CAUSATION_ID, escape(causation));
    }
    headers.insert(COMMAND_KEY, escape(&metadata.command_key));
    headers.insert(ACTOR, escape(&metadata.actor.label()));
    headers.insert(RECORDED_AT, recorded.recorded_at.to_string());
    headers.insert(CHAIN, to_hex(&recorded.chain));
    if let Some(traceparent) = &metadata.traceparent {
        headers.insert(TRACEPARENT, escape(traceparent));
    }
    if let Some(reason) = &metadata.reason {
        headers.insert(REASON, format!("{} {}", escape(&reason.person), escape(&reason.sealed)));
    }
    Ok(Encoded { subject, headers, body: chain::canonical_json(&recorded.payload).into() })
}

/// The event of a delivered message; its position is the stream sequence.
pub fn decode(message: &jetstream::Message) -> Result<Recorded, MessageError> {
    let sequence = message.info().map_err(|_| MessageError::NotFromStream)?.stream_sequence;
    let empty = HeaderMap::new();
    decode_parts(&message.subject, message.headers.as_ref().unwrap_or(&empty), &message.payload, sequence)
}

/// The event of a message at stream sequence `sequence`.
pub fn decode_parts(subject: &str, headers: &HeaderMap, body: &[u8], sequence: u64) -> Result<Recorded, MessageError> {
    let parsed = subject::parse(subject).ok_or_else(|| MessageError::Subject { subject: subject.to_owned() })?;
    let optional = |name: &'static str| headers.get(name).map(|value| unescape(value.as_str()));
    let text = |name: &'static str| optional(name).ok_or(MessageError::Header { name, sequence });
    let number = |name: &'static str| text(name)?.parse::<i64>().map_err(|_| MessageError::Header { name, sequence });
    let event_type = text(EVENT_TYPE)?;
    if subject_name(&event_type) != parsed.event {
        return Err(MessageError::Header { name: EVENT_TYPE, sequence });
    }
    let recorded_at: Timestamp = serde_json::from_value(Value::String(text(RECORDED_AT)?))
        .map_err(|_| MessageError::Header { name: RECORDED_AT, sequence })?;
    Ok(Recorded {
        position: LogPosition(sequence as i64),
        ins_seq: InsSeq(number(INS_SEQ)?),
        aggregate_type: parsed.aggregate.to_owned(),
        aggregate_id: parsed.id.to_owned(),
        sequence: number(SEQUENCE)?,
        event_type,
        event_version: text(EVENT_VERSION)?,
        recorded_at,
        metadata: Metadata {
            event_id: text(EVENT_ID)?,
            correlation_id: text(CORRELATION_ID)?,
            causation_id: optional(CAUSATION_ID),
            command_key: text(COMMAND_KEY)?,
            actor: actor(&text(ACTOR)?).ok_or(MessageError::Header { name: ACTOR, sequence })?,
            traceparent: optional(TRACEPARENT),
            reason: reason(headers).map_err(|()| MessageError::Header { name: REASON, sequence })?,
        },
        payload: serde_json::from_slice(body).map_err(|source| MessageError::Payload { sequence, source })?,
        chain: chain_of(headers).ok_or(MessageError::Header { name: CHAIN, sequence })?,
    })
}

fn reason(headers: &HeaderMap) -> Result<Option<Sealed>, ()> {
    let Some(value) = headers.get(REASON) else { return Ok(None) };
    let (person, sealed) = value.as_str().split_once(' ').ok_or(())?;
    Ok(Some(Sealed { person: unescape(person), sealed: unescape(sealed) }))
}

/// The chain value in the headers.
pub fn chain_of(headers: &HeaderMap) -> Option<[u8; 32]> {
    from_hex(headers.get(CHAIN)?.as_str())
}

fn actor(label: &str) -> Option<Actor> {
    let (kind, rest) = label.split_once(':').unwrap_or((label, ""));
    match kind {
        "customer" => Some(Actor::Customer { id: rest.to_owned() }),
        "administrator" => Some(Actor::Administrator { id: rest.to_owned() }),
        "anonymous" => Some(Actor::Anonymous),
        "gateway" => Some(Actor::Gateway { name: rest.to_owned() }),
        "system" => Some(Actor::System { name: rest.to_owned() }),
        _ => None,
    }
}

/// Percent-encodes what a header line cannot carry unchanged (spaces are trimmed by the server, line ends would split it).
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let decoded = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = decoded.and_then(hex_byte) {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn to_hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut out = [0_u8; 32];
    for (index, slot) in out.iter_mut().enumerate() {
        *slot = hex_byte(text.get(index * 2..index * 2 + 2)?)?;
    }
    Some(out)
}

/// Two hex digits; the library's reader would take a sign for one.
fn hex_byte(digits: &str) -> Option<u8> {
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recorded(key: &str, actor: Actor, causation: Option<&str>) -> Recorded {
        Recorded {
            position: LogPosition(7),
            ins_seq: InsSeq(9),
            aggregate_type: "wallet".into(),
            aggregate_id: "c1".into(),
            sequence: 2,
            event_type: "WalletCredited".into(),
            event_version: "1.0".into(),
            recorded_at: Timestamp::from_unix_millis(1_800_000_000_123),
            metadata: Metadata {
                event_id: "e1".into(),
                correlation_id: "r1".into(),
                causation_id: causation.map(str::to_owned),
                command_key: key.into(),
                actor,
                traceparent: causation.map(|_| "00-aa-bb-01".to_owned()),
                reason: causation.map(|_| Sealed { person: "c1".to_owned(), sealed: "v1.AbC+/".to_owned() }),
            },
            payload: json!({ "z": 1, "a": { "y": "ü", "b": [1, 2] }, "amount": 150_000 }),
            chain: [0xab; 32],
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_event() {
        let actors = [
            Actor::Customer { id: "c9".into() },
            Actor::Administrator { id: "c8".into() },
            Actor::Anonymous,
            Actor::Gateway { name: "midtrans".into() },
            Actor::system("billing"),
        ];
        for actor in actors {
            for key in ["plain", " spaces kept ", "line\r\nInjected: yes", "100%41", "naïve-key", ""] {
                for causation in [None, Some("e0")] {
                    let event = recorded(key, actor.clone(), causation);
                    let sent = encode(&event).expect("encodes");
                    assert_eq!(sent.subject, "minispod.evt.billing.wallet.c1.wallet_credited");
                    let back = decode_parts(&sent.subject, &sent.headers, &sent.body, 7).expect("decodes");
                    assert_eq!(back, event);
                }
            }
        }
    }

    #[test]
    fn the_body_is_the_canonical_payload_and_nothing_else() {
        let sent = encode(&recorded("k", Actor::Anonymous, None)).expect("encodes");
        assert_eq!(&sent.body[..], r#"{"a":{"b":[1,2],"y":"ü"},"amount":150000,"z":1}"#.as_bytes());
    }

    #[test]
    fn a_message_with_a_missing_or_lying_header_is_refused_by_name() {
        let sent = encode(&recorded("k", Actor::Anonymous, None)).expect("encodes");
        let none = decode_parts(&sent.subject, &HeaderMap::new(), &sent.body, 7);
        assert!(matches!(none, Err(MessageError::Header { sequence: 7, .. })));
        let mut lying = sent.headers.clone();
        lying.insert(EVENT_TYPE, "WalletDebited");
        let other = decode_parts(&sent.subject, &lying, &sent.body, 7);
        assert!(matches!(other, Err(MessageError::Header { name: EVENT_TYPE, .. })));
        assert!(matches!(decode_parts("a.b", &sent.headers, &sent.body, 7), Err(MessageError::Subject { .. })));
    }
}
