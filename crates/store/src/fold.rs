//! From stored events to an aggregate's state, with the aggregate's type hidden from whoever reads the rows.

use std::{
    collections::BTreeSet,
    marker::PhantomData,
    sync::{Arc, LazyLock},
};

use cqrs_es::persist::{EventUpcaster, SerializedEvent};
use minispod_kernel::{Aggregate, Event};
use serde_json::Value;

use crate::{
    StoreError,
    cache::AnyState,
    sealing::{self, Keys},
};

/// An event as stored.
#[derive(Clone)]
pub(crate) struct StoredEvent {
    pub sequence: i64,
    pub ins_seq: i64,
    pub event_id: String,
    pub event_type: String,
    pub event_version: String,
    pub payload: Value,
}

/// A history on its way to a state.
pub(crate) trait Fold: Send {
    /// Whose keys are needed.
    fn persons(&mut self, into: &mut BTreeSet<String>);
    fn finish(self: Box<Self>, keys: &Keys) -> Result<AnyState, StoreError>;
}

/// A saved state that no longer fits; the whole history does.
pub(crate) struct BadState;

/// One aggregate whose type is hidden.
pub(crate) trait Subject: Send + Sync {
    fn aggregate_type(&self) -> &'static str;
    fn aggregate_id(&self) -> &str;
    fn fingerprint(&self) -> &'static str;
    /// `<aggregate type>/<aggregate id>`.
    fn place(&self) -> &Arc<str>;
    /// Starts folding a history, from a saved state when there is one.
    fn fold(
        &self,
        saved: Option<Value>,
        events: Vec<StoredEvent>,
    ) -> Result<Result<Box<dyn Fold>, BadState>, StoreError>;
}

/// An `A` with this id.
pub(crate) struct TypedSubject<A: Aggregate> {
    pub aggregate_id: String,
    pub place: Arc<str>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A: Aggregate> TypedSubject<A> {
    pub(crate) fn new(aggregate_id: &str) -> Self {
        let place = format!("{}/{aggregate_id}", <A::Event as Event>::AGGREGATE).into();
        Self { aggregate_id: aggregate_id.to_owned(), place, aggregate: PhantomData }
    }
}

impl<A: Aggregate> Subject for TypedSubject<A> {
    fn aggregate_type(&self) -> &'static str {
        <A::Event as Event>::AGGREGATE
    }
    fn aggregate_id(&self) -> &str {
        &self.aggregate_id
    }
    fn fingerprint(&self) -> &'static str {
        A::FINGERPRINT
    }
    fn place(&self) -> &Arc<str> {
        &self.place
    }

    fn fold(
        &self,
        saved: Option<Value>,
        events: Vec<StoredEvent>,
    ) -> Result<Result<Box<dyn Fold>, BadState>, StoreError> {
        let state = match saved.map(serde_json::from_value::<A>) {
            None => A::default(),
            Some(Ok(state)) => state,
            Some(Err(_)) => return Ok(Err(BadState)),
        };
        let events = events.iter().map(|stored| read_event(&self.aggregate_id, stored)).collect::<Result<_, _>>()?;
        Ok(Ok(Box::new(TypedFold::<A> { aggregate_id: self.aggregate_id.clone(), state, events })))
    }
}

static UPCASTERS: LazyLock<Vec<Box<dyn EventUpcaster>>> = LazyLock::new(minispod_events::upcast::upcasters);

/// Reads a stored event in its current shape; personal fields stay sealed.
pub(crate) fn read_event<E: Event>(aggregate_id: &str, stored: &StoredEvent) -> Result<E, StoreError> {
    let mut event_version = stored.event_version.clone();
    let mut payload = stored.payload.clone();
    for upcaster in UPCASTERS.iter() {
        if upcaster.can_upcast(&stored.event_type, &event_version) {
            let raised = upcaster.upcast(SerializedEvent::new(
                aggregate_id.to_owned(),
                usize::try_from(stored.sequence).unwrap_or_default(),
                E::AGGREGATE.to_owned(),
                stored.event_type.clone(),
                event_version,
                payload,
                Value::Null,
            ));
            event_version = raised.event_version;
            payload = raised.payload;
        }
    }
    serde_json::from_value(payload).map_err(|source| StoreError::Unreadable {
        aggregate_type: E::AGGREGATE.to_owned(),
        aggregate_id: aggregate_id.to_owned(),
        source,
    })
}

/// The name that binds a state's sealed fields.
pub(crate) fn state_kind<A: Aggregate>() -> String {
    format!("state/{}", <A::Event as Event>::AGGREGATE)
}

struct TypedFold<A: Aggregate> {
    aggregate_id: String,
    state: A,
    events: Vec<A::Event>,
}

impl<A: Aggregate> Fold for TypedFold<A> {
    fn persons(&mut self, into: &mut BTreeSet<String>) {
        sealing::persons(&self.state.sensitive(), &self.aggregate_id, true, into);
        for event in &mut self.events {
            sealing::persons(&event.sensitive(), &self.aggregate_id, true, into);
        }
    }

    fn finish(mut self: Box<Self>, keys: &Keys) -> Result<AnyState, StoreError> {
        sealing::open_fields(self.state.sensitive(), &self.aggregate_id, &state_kind::<A>(), keys)?;
        for event in &mut self.events {
            let name = event.name();
            sealing::open_fields(event.sensitive(), &self.aggregate_id, name, keys)?;
            self.state.apply(event);
        }
        Ok(Arc::new(self.state))
    }
}
