//! The contract between the domain's pure decisions and the store that keeps them.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{sensitive::SensitiveSlot, time::Timestamp};

/// What one aggregate can say has happened.
///
/// Extends the framework's event contract with what the log needs: where the event belongs on the wire
/// and which of its fields are personal.
pub trait Event: cqrs_es::DomainEvent + 'static {
    /// The context, lower snake case: second subject token (`billing`).
    const CONTEXT: &'static str;
    /// The aggregate type, lower snake case (`wallet`); also the `aggregate_type` column.
    const AGGREGATE: &'static str;

    /// The event's permanent name in Pascal case (`WalletCredited`).
    fn name(&self) -> &'static str;

    /// When it happened by the Clock; the only time that rules, projections and documents use.
    fn occurred_at(&self) -> Timestamp;

    /// The personal fields, to be sealed before storing and opened after loading.
    fn sensitive(&mut self) -> Vec<SensitiveSlot<'_>> {
        Vec::new()
    }
}

/// The moment and place of one decision: everything ambient that a rule may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The id of the aggregate that decides.
    pub aggregate_id: String,
    /// The Clock's reading when the command was accepted.
    pub now: Timestamp,
}

/// How a refusal is answered at the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The input breaks a rule (400).
    Invalid,
    /// The wallet does not cover it (402).
    Payment,
    /// Not allowed for this actor (403).
    Forbidden,
    /// There is no such thing (404).
    NotFound,
    /// The state forbids it (409).
    Conflict,
}

/// A domain refusal: a rule said no and nothing was written.
pub trait Refusal: std::error::Error + Clone + PartialEq + Send + Sync + 'static {
    /// Permanent kebab-case code, prefixed by the aggregate (`wallet-insufficient-balance`).
    fn code(&self) -> &'static str;
    /// How the edge answers it.
    fn kind(&self) -> RefusalKind;
}

/// What the store must do in the transaction of an event, as a pure function of that event.
#[derive(Debug, Clone, PartialEq)]
pub enum Consequence {
    /// Hold `key` for this aggregate. Held by another aggregate: the command is refused. Held by this one: no effect.
    Hold { key: String },
    /// Use `key` for the first time. Already used by anyone, this aggregate included: the command has been done
    /// before, so the whole command becomes "no events" and nothing of it is written. Only `Release` frees the key.
    Once { key: String },
    /// Go on only when this aggregate holds `key` (by `Hold` or `Once`). Not held: the whole command becomes
    /// "no events" and nothing of it is written. All `Require` and `Once` of a command are looked at before anything
    /// else of it is carried out, so `Require` and `Release` of the same key may stand in one event.
    Require { key: String },
    /// Give `key` back, so that it can be taken again; no effect when this aggregate does not hold it.
    Release { key: String },
    /// Fire `command` (the JSON of the domain's `AnyCommand`) at `aggregate_id` when the Clock passes `due`.
    /// Same `id`: replaced.
    SetTimer { id: String, due: Timestamp, aggregate_type: &'static str, aggregate_id: String, command: Value },
    /// Forget a timer; no effect when it is gone.
    CancelTimer { id: String },
}

/// A consistency boundary: pure `decide`, pure `apply`.
pub trait Aggregate: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its facts.
    type Event: Event;
    /// Its requests.
    type Command: Clone + Send + Sync + 'static;
    /// Its refusals.
    type Refusal: Refusal;

    /// Changes whenever the serialised state changes shape; cached states of another fingerprint are thrown away.
    const FINGERPRINT: &'static str;

    /// Early-return refusals, then the facts. An empty list means: already so.
    fn decide(&self, command: Self::Command, at: &Moment) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// Assignments only; exhaustive over the events.
    fn apply(&mut self, event: &Self::Event);

    /// The personal fields of the state, so that the store can seal them in its droppable state rows.
    fn sensitive(&mut self) -> Vec<SensitiveSlot<'_>> {
        Vec::new()
    }

    /// Claims, releases and timers that ride in the event's transaction.
    fn consequences(_id: &str, _event: &Self::Event) -> Vec<Consequence> {
        Vec::new()
    }
}
