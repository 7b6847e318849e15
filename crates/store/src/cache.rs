//! Folded states in memory: published only after a commit, never trusted for a refusal.

use std::{any::Any, sync::Arc};

/// A state of some aggregate type.
pub(crate) type AnyState = Arc<dyn Any + Send + Sync>;

/// A state as of a version that was committed.
#[derive(Clone)]
pub(crate) struct Held {
    pub version: i64,
    /// Of the event at `version`; 0 when there is none.
    pub ins_seq: i64,
    pub state: AnyState,
}

/// States by place (`<aggregate type>/<aggregate id>`).
pub(crate) struct StateCache {
    states: moka::sync::Cache<Arc<str>, Held>,
}

impl StateCache {
    pub(crate) fn new(entries: u64) -> Self {
        Self { states: moka::sync::Cache::new(entries) }
    }

    pub(crate) fn get(&self, place: &Arc<str>) -> Option<Held> {
        let found = self.states.get(place);
        metrics::counter!("minispod_state_cache_total", "result" => if found.is_some() { "hit" } else { "miss" })
            .increment(1);
        found
    }

    pub(crate) fn publish(&self, place: &Arc<str>, held: Held) {
        self.states.insert(place.clone(), held);
    }

    pub(crate) fn drop_state(&self, place: &Arc<str>) {
        self.states.invalidate(place);
    }
}
