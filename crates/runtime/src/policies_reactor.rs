//! The reactor that carries the domain's policies: every command that follows from an event becomes an intent.

use std::sync::Arc;

use async_trait::async_trait;
use minispod_domain::{
    CommandRequest, Settings, policies,
    ports::{Effect, EffectError, Intent, Performed, Reactor},
};
use minispod_events::Fact;
use serde_json::Value;

/// Kind of effects that are commands for our own aggregates; the runtime carries them out itself.
pub const COMMAND: &str = "command";

/// Adds the policies' commands to another reactor's effects, under that reactor's name.
pub struct PolicyReactor {
    name: &'static str,
    inner: Option<Arc<dyn Reactor>>,
    settings: Settings,
}

impl PolicyReactor {
    /// The policies and `inner`'s effects, as one reactor with `inner`'s name.
    pub fn around(inner: Arc<dyn Reactor>) -> Self {
        Self { name: inner.name(), inner: Some(inner), settings: Settings::default() }
    }

    /// The policies alone.
    pub fn alone(name: &'static str) -> Self {
        Self { name, inner: None, settings: Settings::default() }
    }

    /// With what this installation decides.
    pub fn under(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }
}

#[async_trait]
impl Reactor for PolicyReactor {
    fn name(&self) -> &'static str {
        self.name
    }

    fn intend(&self, fact: &Fact) -> Vec<Intent> {
        let event_id = &fact.recorded.metadata.event_id;
        let reactions = policies::react(&fact.recorded.aggregate_id, &fact.event);
        let commands =
            reactions.iter().map(|reaction| command_intent(&reaction.to_request(event_id).under(&self.settings)));
        commands.chain(self.inner.iter().flat_map(|inner| inner.intend(fact))).collect()
    }

    async fn perform(&self, effect: &Effect) -> Result<Performed, EffectError> {
        match &self.inner {
            Some(inner) => inner.perform(effect).await,
            None => Err(EffectError::Permanent { what: format!("an effect of kind {}", effect.kind), source: None }),
        }
    }
}

/// A command as an effect: commands for one aggregate go one after another, others beside them.
///
/// A command that cannot be written down (open personal data) becomes an empty payload: its lane parks and shows it,
/// where leaving it out would lose it in silence.
pub fn command_intent(request: &CommandRequest) -> Intent {
    Intent {
        key: format!("{COMMAND}/{}", request.key),
        lane: format!("{}/{}", request.command.aggregate_type(), request.aggregate_id),
        kind: COMMAND.to_owned(),
        payload: serde_json::to_value(request).unwrap_or(Value::Null),
        not_before: None,
    }
}
