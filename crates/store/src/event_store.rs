//! The framework's event store contract over the same log, so `CqrsFramework` and its tools work on it.

use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    sync::Arc,
};

use cqrs_es::{AggregateContext, AggregateError, EventEnvelope, EventStore};
use minispod_kernel::{Actor, Event, Metadata};
use sqlx::PgPool;

use crate::{
    LogReader, StoreError,
    append::{self, DataKeyRow, EventRow, Side, Trouble},
    claims,
    fold::{StoredEvent, Subject, TypedSubject, read_event},
    lanes::Lanes,
    loading,
    member::seal_event,
    sealing::{open_fields, persons},
};

/// Events of the framework, kept in `log.events`. Commands of ours go through [`crate::CommandBus`]: it adds
/// receipts, batches and retries.
#[derive(Clone)]
pub struct PgEventStore {
    pool: PgPool,
    lanes: Arc<Lanes>,
}

/// A loaded aggregate and the version it was loaded at.
pub struct EventContext<A> {
    pub aggregate_id: String,
    pub version: i64,
    aggregate: A,
}

impl<A: cqrs_es::Aggregate> AggregateContext<A> for EventContext<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.aggregate
    }
}

/// Both contracts on one type, over the same events.
pub trait Bridged:
    cqrs_es::Aggregate<Event = <Self as Bridged>::OneEvent>
    + minispod_kernel::Aggregate<Event = <Self as Bridged>::OneEvent>
{
    type OneEvent: Event;
}

impl<A, E> Bridged for A
where
    A: cqrs_es::Aggregate<Event = E> + minispod_kernel::Aggregate<Event = E>,
    E: Event,
{
    type OneEvent = E;
}

impl PgEventStore {
    pub(crate) fn new(pool: PgPool, lanes: Arc<Lanes>) -> Self {
        Self { pool, lanes }
    }

    async fn read<A: Bridged>(&self, aggregate_id: &str) -> Result<Vec<EventEnvelope<A>>, StoreError> {
        let sealer = &self.lanes.engine.sealer;
        let history = LogReader::new(self.pool.clone()).history(A::OneEvent::AGGREGATE, aggregate_id).await?;
        let mut envelopes = Vec::with_capacity(history.len());
        let mut whose = BTreeSet::new();
        for recorded in history {
            let stored = StoredEvent {
                sequence: recorded.sequence,
                ins_seq: recorded.ins_seq.0,
                event_id: recorded.metadata.event_id.clone(),
                event_type: recorded.event_type,
                event_version: recorded.event_version,
                payload: recorded.payload,
            };
            let mut payload: A::OneEvent = read_event(aggregate_id, &stored)?;
            persons(&payload.sensitive(), aggregate_id, true, &mut whose);
            envelopes.push(EventEnvelope::<A> {
                aggregate_id: aggregate_id.to_owned(),
                sequence: usize::try_from(recorded.sequence).unwrap_or_default(),
                payload,
                metadata: to_map(&recorded.metadata)?,
            });
        }
        let keys = sealer.keys(&self.pool, &whose).await?;
        for envelope in &mut envelopes {
            let name = envelope.payload.name();
            open_fields(envelope.payload.sensitive(), aggregate_id, name, &keys)?;
        }
        Ok(envelopes)
    }

    /// The aggregate as its events make it now; its beginning when there are none.
    pub async fn state<A: Bridged>(&self, aggregate_id: &str) -> Result<A, StoreError> {
        Ok(self.load::<A>(aggregate_id).await?.aggregate)
    }

    async fn load<A: Bridged>(&self, aggregate_id: &str) -> Result<EventContext<A>, StoreError> {
        let subject = TypedSubject::<A>::new(aggregate_id);
        let mut db = self.pool.acquire().await.map_err(StoreError::database("accept a connection"))?;
        let mut states = loading::load(&mut db, &self.lanes.engine.sealer, &[&subject], true).await?;
        let held = states.remove(subject.place());
        let version = held.as_ref().map_or(0, |held| held.version);
        let state = held.and_then(|held| held.state.downcast_ref::<A>().cloned()).unwrap_or_default();
        Ok(EventContext { aggregate_id: aggregate_id.to_owned(), version, aggregate: state })
    }

    async fn write<A: Bridged>(
        &self,
        events: Vec<A::OneEvent>,
        context: EventContext<A>,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, Trouble> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let (engine, id) = (&self.lanes.engine, context.aggregate_id);
        let mut db = self.pool.acquire().await.map_err(StoreError::database("accept a connection")).map_err(failed)?;
        let mut whose = BTreeSet::new();
        let mut events = events;
        for event in &mut events {
            persons(&event.sensitive(), &id, false, &mut whose);
        }
        let (keys, new_keys) = engine.keys_for(&mut db, &whose).await.map_err(failed)?;
        let mut side = Side::default();
        side.data_keys.extend(
            new_keys
                .iter()
                .map(|(_, key)| DataKeyRow { person: key.person.clone(), wrapped: hex::encode(&key.wrapped) }),
        );
        let (mut rows, mut envelopes, mut consequences) = (Vec::new(), Vec::new(), Vec::new());
        let correlation = metadata.get("correlation_id").cloned().unwrap_or_else(|| engine.ids.next_id());
        for (event, sequence) in events.into_iter().zip(context.version + 1..) {
            let stamped = from_map(&metadata, engine.ids.next_id(), &correlation);
            for consequence in A::consequences(&id, &event) {
                consequences.push((stamped.event_id.clone(), consequence));
            }
            let sealed = seal_event(&event, &id, &engine.sealer, &keys).map_err(failed)?;
            rows.push(EventRow {
                aggregate_type: A::OneEvent::AGGREGATE,
                aggregate_id: id.clone(),
                sequence,
                event_type: sealed.event_type,
                event_version: sealed.event_version,
                payload: sealed.payload,
                metadata: serde_json::to_string(&stamped).map_err(unwritable).map_err(failed)?,
            });
            envelopes.push(EventEnvelope {
                aggregate_id: id.clone(),
                sequence: usize::try_from(sequence).unwrap_or_default(),
                payload: event,
                metadata: to_map(&stamped).map_err(failed)?,
            });
        }
        side.add(claims::reduce(A::OneEvent::AGGREGATE, &id, &correlation, consequences));
        append::append(&mut db, &rows, &side).await?;
        for (key, row) in new_keys {
            engine.sealer.remember(&row.person, Some(key));
        }
        engine.cache.drop_state(TypedSubject::<A>::new(&id).place());
        Ok(envelopes)
    }
}

impl<A: Bridged> EventStore<A> for PgEventStore {
    type AC = EventContext<A>;

    async fn load_events(&self, aggregate_id: &str) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        self.read::<A>(aggregate_id).await.map_err(of_store)
    }

    async fn load_aggregate(&self, aggregate_id: &str) -> Result<Self::AC, AggregateError<A::Error>> {
        self.load::<A>(aggregate_id).await.map_err(of_store)
    }

    /// A claim held by another aggregate, and a once-key that is used, are unexpected here: the framework has no
    /// word for them.
    async fn commit(
        &self,
        events: Vec<<A as cqrs_es::Aggregate>::Event>,
        context: Self::AC,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        self.write::<A>(events, context, metadata).await.map_err(|trouble| match trouble {
            Trouble::Conflict | Trouble::Receipt => AggregateError::AggregateConflict,
            Trouble::ClaimHeld { key, .. } => AggregateError::UnexpectedError(format!("{key} is held").into()),
            Trouble::DoneBefore => AggregateError::UnexpectedError("this has been done before".into()),
            Trouble::Unknown(source) => AggregateError::DatabaseConnectionError(Box::new(source)),
            Trouble::Failed(error) => of_store(error),
        })
    }
}

fn failed(error: StoreError) -> Trouble {
    Trouble::Failed(error)
}

fn unwritable(source: serde_json::Error) -> StoreError {
    StoreError::Unwritable { what: "an event's metadata".to_owned(), source }
}

fn of_store<T: Error>(error: StoreError) -> AggregateError<T> {
    match error {
        StoreError::Database { .. } => AggregateError::DatabaseConnectionError(Box::new(error)),
        StoreError::Unreadable { .. } => AggregateError::DeserializationError(Box::new(error)),
        other => AggregateError::UnexpectedError(Box::new(other)),
    }
}

/// The framework's flat metadata; the actor is JSON text.
fn to_map(metadata: &Metadata) -> Result<HashMap<String, String>, StoreError> {
    let mut map = HashMap::from([
        ("event_id".to_owned(), metadata.event_id.clone()),
        ("correlation_id".to_owned(), metadata.correlation_id.clone()),
        ("command_key".to_owned(), metadata.command_key.clone()),
        ("actor".to_owned(), serde_json::to_string(&metadata.actor).map_err(unwritable)?),
    ]);
    let reason = metadata.reason.as_ref().map(serde_json::to_string).transpose().map_err(unwritable)?;
    let optional =
        [("causation_id", &metadata.causation_id), ("traceparent", &metadata.traceparent), ("reason", &reason)];
    map.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))));
    Ok(map)
}

fn from_map(map: &HashMap<String, String>, event_id: String, correlation_id: &str) -> Metadata {
    let actor = map.get("actor").and_then(|text| serde_json::from_str(text).ok());
    Metadata {
        correlation_id: correlation_id.to_owned(),
        causation_id: map.get("causation_id").cloned(),
        command_key: map.get("command_key").cloned().unwrap_or_else(|| event_id.clone()),
        actor: actor.unwrap_or_else(|| Actor::system("framework")),
        traceparent: map.get("traceparent").cloned(),
        reason: map.get("reason").and_then(|text| serde_json::from_str(text).ok()),
        event_id,
    }
}
