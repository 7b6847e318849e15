//! Why money was charged: the events behind an invoice, in the order in which they happened, each in a plain sentence.

mod chain;
mod words;

use minispod_events::Fact;
use minispod_kernel::{Actor, Language};
use serde_json::{Value, json};

pub use chain::behind;

/// One step, as people and programs read it. Nothing sealed is opened for it, so nothing sealed can be in it.
pub fn step(fact: &Fact, language: Language) -> Option<Value> {
    let text = words::sentence(&fact.event, language)?;
    let (recorded, metadata) = (&fact.recorded, &fact.recorded.metadata);
    Some(json!({
        "time": fact.event.occurred_at().to_contract(),
        "event": recorded.event_type,
        "text": text,
        "amount": words::amount(&fact.event).map(|amount| amount.to_string()),
        "by": by(&metadata.actor),
        "ids": {
            "eventId": metadata.event_id,
            "causedBy": metadata.causation_id,
            "correlationId": metadata.correlation_id,
            "aggregate": recorded.aggregate_type,
            "aggregateId": recorded.aggregate_id,
            "position": recorded.position.0,
        },
    }))
}

/// Whose doing it was; of people only in which capacity.
const fn by(actor: &Actor) -> &'static str {
    match actor {
        Actor::Customer { .. } => "customer",
        Actor::Administrator { .. } => "administrator",
        Actor::Anonymous => "anonymous",
        Actor::Gateway { .. } => "gateway",
        Actor::System { .. } => "system",
    }
}
