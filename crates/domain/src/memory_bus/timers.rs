//! Timers as the store keeps them: by id, fired in the order of their instants.

use std::collections::{BTreeMap, BTreeSet};

use minispod_kernel::{Consequence, Timestamp};
use serde_json::{Value, json};

use crate::AnyCommand;

/// A command and its instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Timer {
    pub id: String,
    pub due: Timestamp,
    pub aggregate_id: String,
    pub command: AnyCommand,
}

impl Timer {
    /// The command's key, as the store derives it: a timer that is set again for another instant fires again.
    pub fn command_key(&self) -> String {
        format!("timer/{}@{}", self.id, self.due.unix_millis())
    }
}

/// All that wait.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Timers {
    by_id: BTreeMap<String, Timer>,
    in_order: BTreeSet<(Timestamp, String)>,
}

impl Timers {
    /// Sets and forgets what `consequences` say; the last word on a timer counts.
    pub(super) fn play(&mut self, consequences: Vec<Consequence>) {
        for consequence in consequences {
            match consequence {
                Consequence::SetTimer { id, due, aggregate_type, aggregate_id, command } => {
                    let command = command_of(aggregate_type, command);
                    self.forget(&id);
                    self.in_order.insert((due, id.clone()));
                    self.by_id.insert(id.clone(), Timer { id, due, aggregate_id, command });
                }
                Consequence::CancelTimer { id } => self.forget(&id),
                Consequence::Hold { .. }
                | Consequence::Once { .. }
                | Consequence::Require { .. }
                | Consequence::Release { .. } => {}
            }
        }
    }

    /// The first that is due at `now`.
    pub(super) fn next_due(&self, now: Timestamp) -> Option<Timer> {
        let (_, id) = self.in_order.first().filter(|(due, _)| *due <= now)?;
        self.by_id.get(id).cloned()
    }

    /// When the first of all is due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.in_order.first().map(|(due, _)| *due)
    }

    /// All that are due at `now`, in order.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Timer> {
        let due = self.in_order.iter().take_while(|(due, _)| *due <= now);
        due.filter_map(|(_, id)| self.by_id.get(id)).cloned().collect()
    }

    /// Removes a fired timer, unless it has been set to another instant meanwhile.
    pub(super) fn done(&mut self, timer: &Timer) {
        if self.by_id.get(&timer.id).is_some_and(|set| set.due == timer.due) {
            self.forget(&timer.id);
        }
    }

    /// All, by id.
    pub(super) fn all(&self) -> impl Iterator<Item = &Timer> {
        self.by_id.values()
    }

    fn forget(&mut self, id: &str) {
        if let Some(timer) = self.by_id.remove(id) {
            self.in_order.remove(&(timer.due, timer.id));
        }
    }
}

/// Consequences write either the whole command or only the aggregate's own part of it. One that cannot be read would
/// stay due for ever.
fn command_of(aggregate_type: &str, command: Value) -> AnyCommand {
    let whole = command.get("aggregate").is_some();
    let command = if whole { command } else { json!({ "aggregate": aggregate_type, "command": command }) };
    serde_json::from_value(command).expect("a timer's command can be read")
}
