//! One event as the log keeps it and as the stream carries it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Actor, InsSeq, LogPosition, Sealed, Timestamp};

/// Who, when and why: travels beside the payload, ids only; what is free text is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The event's own id.
    pub event_id: String,
    /// Same for everything that follows from one request.
    pub correlation_id: String,
    /// The event that caused the command, when one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// The command's idempotency key.
    pub command_key: String,
    /// Who did it.
    pub actor: Actor,
    /// W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Why an administrator did it, sealed with that administrator's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Sealed>,
}

/// A numbered event; its payload is as stored (personal fields sealed, before upcasting).
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    pub position: LogPosition,
    pub ins_seq: InsSeq,
    pub aggregate_type: String,
    pub aggregate_id: String,
    /// Place in the aggregate's history, from 1.
    pub sequence: i64,
    /// Pascal-case name.
    pub event_type: String,
    /// Schema version, `1.0` form.
    pub event_version: String,
    /// When Postgres took it, microseconds; for audit only.
    pub recorded_at: Timestamp,
    pub metadata: Metadata,
    pub payload: Value,
    /// Hash chain up to and including this event.
    pub chain: [u8; 32],
}
