//! One command on its way through a batch: the typed part behind an untyped door, so that all aggregates share lanes.

use std::{collections::BTreeSet, sync::Arc};

use minispod_kernel::{Aggregate, Consequence, Event, Moment, Refusal};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    CommandContext, CommandError, Committed, Outcome, Refused, StoreError,
    cache::AnyState,
    fold::{StoredEvent, Subject, TypedSubject, read_event, state_kind},
    sealing::{self, Keys, Sealer},
};

/// Largest payload of an event, far below what one message of the stream may carry: a larger one could be written
/// but never published.
const PAYLOAD_MAX: usize = 256 * 1024;

/// What a decision came to.
pub(crate) enum Decided {
    Refused(Refused),
    /// This many events; none means: already so.
    Events(usize),
}

/// A sealed event, ready for its row.
pub(crate) struct SealedEvent {
    pub event_type: String,
    pub event_version: String,
    pub payload: String,
}

/// How a command ends for its caller.
pub(crate) enum Answer {
    /// The events of the last decision are in the log: sequence of the first, insertion number of the last.
    Done {
        first_sequence: i64,
        version: i64,
        ins_seq: i64,
    },
    Failed(CommandError),
}

/// A command whose aggregate type is hidden.
pub(crate) trait Member: Send + Sync {
    fn subject(&self) -> &dyn Subject;
    fn context(&self) -> &CommandContext;

    /// Decides on `state` without touching it, and keeps the events and the state after them.
    fn decide(&mut self, state: &AnyState, at: &Moment) -> Decided;
    /// Gives the decided events their ids.
    fn name_events(&mut self, next_id: &mut dyn FnMut() -> String);
    /// The ids of the decided events.
    fn event_ids(&self) -> &[String];
    fn consequences(&self) -> Vec<(String, Consequence)>;
    /// Whose keys sealing needs: of the events, and of the state when it is to be saved.
    fn persons(&mut self, with_state: bool, into: &mut BTreeSet<String>);
    fn seal(&mut self, sealer: &Sealer, keys: &Keys) -> Result<Vec<SealedEvent>, StoreError>;
    /// The state after the decided events; `None` when nothing was decided.
    fn next_state(&self) -> Option<AnyState>;
    /// That state for its row.
    fn saved_state(&self, sealer: &Sealer, keys: &Keys) -> Result<Value, StoreError>;

    /// Forgets the last decision: it was not written and will not be.
    fn decided_nothing(&mut self);
    fn answer(&mut self, answer: Answer);
    /// Answers from events read back from the log.
    fn answer_from_log(&mut self, found: FromLog, keys: &Keys);
    /// Whose keys opening `events` needs; false when they are not events of this aggregate type.
    fn persons_of(&self, found: &FromLog, into: &mut BTreeSet<String>) -> bool;
}

/// An outcome read back from the log.
pub(crate) struct FromLog {
    pub aggregate_id: String,
    pub version: i64,
    pub ins_seq: i64,
    pub events: Vec<StoredEvent>,
    pub replayed: bool,
}

/// What the command of `A` decided.
struct Made<A: Aggregate> {
    events: Vec<A::Event>,
    ids: Vec<String>,
    state: Arc<A>,
}

/// A command of `A` and whoever waits for it.
pub(crate) struct CommandMember<A: Aggregate> {
    subject: TypedSubject<A>,
    command: A::Command,
    context: CommandContext,
    made: Option<Made<A>>,
    reply: Option<oneshot::Sender<Result<Outcome<A::Event>, CommandError>>>,
}

impl<A: Aggregate> CommandMember<A> {
    pub(crate) fn new(
        aggregate_id: &str,
        command: A::Command,
        context: CommandContext,
        reply: oneshot::Sender<Result<Outcome<A::Event>, CommandError>>,
    ) -> Self {
        Self { subject: TypedSubject::new(aggregate_id), command, context, made: None, reply: Some(reply) }
    }

    fn send(&mut self, result: Result<Outcome<A::Event>, CommandError>) {
        if let Some(reply) = self.reply.take() {
            // Nobody waits any more: the command counts all the same.
            let _ = reply.send(result);
        }
    }
}

/// An event's row, sealed. The event itself stays open.
pub(crate) fn seal_event<E: Event>(
    event: &E,
    aggregate_id: &str,
    sealer: &Sealer,
    keys: &Keys,
) -> Result<SealedEvent, StoreError> {
    let mut sealed = event.clone();
    let name = event.name();
    sealer.seal_fields(sealed.sensitive(), aggregate_id, name, keys)?;
    let payload = serde_json::to_string(&sealed)
        .map_err(|source| StoreError::Unwritable { what: format!("an event {name}"), source })?;
    if payload.len() > PAYLOAD_MAX {
        return Err(StoreError::Limit { what: "the size of an event" });
    }
    Ok(SealedEvent { event_type: name.to_owned(), event_version: event.event_version(), payload })
}

impl<A: Aggregate> Member for CommandMember<A> {
    fn subject(&self) -> &dyn Subject {
        &self.subject
    }
    fn context(&self) -> &CommandContext {
        &self.context
    }

    fn decide(&mut self, state: &AnyState, at: &Moment) -> Decided {
        self.made = None;
        // Two Rust types of one aggregate type do not exist outside tests; the default then refuses or conflicts.
        let default = A::default();
        let state = state.downcast_ref::<A>().unwrap_or(&default);
        match state.decide(self.command.clone(), at) {
            Err(refusal) => Decided::Refused(Refused {
                code: refusal.code().to_owned(),
                kind: refusal.kind(),
                message: refusal.to_string(),
            }),
            Ok(events) => {
                let count = events.len();
                if count > 0 {
                    let mut next = state.clone();
                    for event in &events {
                        next.apply(event);
                    }
                    self.made = Some(Made { events, ids: Vec::new(), state: Arc::new(next) });
                }
                Decided::Events(count)
            }
        }
    }

    fn name_events(&mut self, next_id: &mut dyn FnMut() -> String) {
        if let Some(made) = &mut self.made {
            made.ids = made.events.iter().map(|_| next_id()).collect();
        }
    }
    fn event_ids(&self) -> &[String] {
        self.made.as_ref().map_or(&[], |made| &made.ids)
    }
    fn consequences(&self) -> Vec<(String, Consequence)> {
        let Some(made) = &self.made else { return Vec::new() };
        let pairs = made.events.iter().zip(&made.ids);
        pairs
            .flat_map(|(event, id)| {
                A::consequences(&self.subject.aggregate_id, event)
                    .into_iter()
                    .map(|consequence| (id.clone(), consequence))
            })
            .collect()
    }

    fn persons(&mut self, with_state: bool, into: &mut BTreeSet<String>) {
        let Some(made) = &mut self.made else { return };
        for event in &mut made.events {
            sealing::persons(&event.sensitive(), &self.subject.aggregate_id, false, into);
        }
        if with_state {
            let mut state = A::clone(&made.state);
            sealing::persons(&state.sensitive(), &self.subject.aggregate_id, false, into);
        }
    }

    fn seal(&mut self, sealer: &Sealer, keys: &Keys) -> Result<Vec<SealedEvent>, StoreError> {
        let Some(made) = &self.made else { return Ok(Vec::new()) };
        made.events.iter().map(|event| seal_event(event, &self.subject.aggregate_id, sealer, keys)).collect()
    }

    fn next_state(&self) -> Option<AnyState> {
        self.made.as_ref().map(|made| made.state.clone() as AnyState)
    }

    fn saved_state(&self, sealer: &Sealer, keys: &Keys) -> Result<Value, StoreError> {
        let mut state = self.made.as_ref().map_or_else(A::default, |made| A::clone(&made.state));
        sealer.seal_fields(state.sensitive(), &self.subject.aggregate_id, &state_kind::<A>(), keys)?;
        serde_json::to_value(&state)
            .map_err(|source| StoreError::Unwritable { what: format!("the state of {}", self.subject.place), source })
    }

    fn decided_nothing(&mut self) {
        self.made = None;
    }

    fn answer(&mut self, answer: Answer) {
        let result = match answer {
            Answer::Failed(error) => Err(error),
            Answer::Done { first_sequence, version, ins_seq } => {
                let (events, ids) = self.made.take().map_or_else(Default::default, |made| (made.events, made.ids));
                let committed = ids.into_iter().zip(events).zip(first_sequence..);
                Ok(Outcome {
                    aggregate_id: self.subject.aggregate_id.clone(),
                    version,
                    ins_seq: minispod_kernel::InsSeq(ins_seq),
                    events: committed
                        .map(|((event_id, event), sequence)| Committed { event_id, sequence, event })
                        .collect(),
                    replayed: false,
                })
            }
        };
        self.send(result);
    }

    fn answer_from_log(&mut self, found: FromLog, keys: &Keys) {
        let read = |stored: StoredEvent| -> Result<Committed<A::Event>, StoreError> {
            let mut event: A::Event = read_event(&found.aggregate_id, &stored)?;
            let name = event.name();
            sealing::open_fields(event.sensitive(), &found.aggregate_id, name, keys)?;
            Ok(Committed { event_id: stored.event_id, sequence: stored.sequence, event })
        };
        let events = found.events.into_iter().map(read).collect::<Result<Vec<_>, _>>();
        let result = events.map_err(CommandError::Store).map(|events| Outcome {
            aggregate_id: found.aggregate_id.clone(),
            version: found.version,
            ins_seq: minispod_kernel::InsSeq(found.ins_seq),
            events,
            replayed: found.replayed,
        });
        self.send(result);
    }

    fn persons_of(&self, found: &FromLog, into: &mut BTreeSet<String>) -> bool {
        found.events.iter().all(|stored| {
            read_event::<A::Event>(&found.aggregate_id, stored).is_ok_and(|mut event| {
                sealing::persons(&event.sensitive(), &found.aggregate_id, true, into);
                true
            })
        })
    }
}
