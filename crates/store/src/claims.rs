//! The consequences of one command's events, reduced to the rows that its transaction writes.

use std::collections::{BTreeMap, BTreeSet};

use minispod_kernel::{Consequence, Timestamp};
use serde::Serialize;
use serde_json::Value;

/// A claim to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ClaimRow {
    pub key: String,
    pub kind: &'static str,
    pub holder_type: &'static str,
    pub holder_id: String,
}

/// A timer to be set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TimerRow {
    pub id: String,
    pub due: Timestamp,
    pub aggregate_type: &'static str,
    pub aggregate_id: String,
    pub command: Value,
    pub correlation_id: String,
    pub causation_id: String,
}

/// What one command changes beside the log.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// Their kind says nothing.
    pub requires: Vec<ClaimRow>,
    pub claims: Vec<ClaimRow>,
    /// Their kind says nothing.
    pub releases: Vec<ClaimRow>,
    pub timers: Vec<TimerRow>,
    pub cancelled: Vec<String>,
}

/// What happens to one claim in the course of a command.
#[derive(Clone, Copy, Default)]
struct ClaimPlan {
    /// Must be ours before anything else happens.
    required: bool,
    /// Must be free (`once`), or free or ours (`hold`), even when it is given back at the end.
    taken: Option<&'static str>,
    /// Free when the command is through.
    released: bool,
}

/// Plays the consequences in their order, for one holder; later ones override earlier ones of the same key.
///
/// `(event id, consequence)` in the order of the events.
pub(crate) fn reduce(
    holder_type: &'static str,
    holder_id: &str,
    correlation_id: &str,
    consequences: Vec<(String, Consequence)>,
) -> Changes {
    let mut claims: BTreeMap<String, ClaimPlan> = BTreeMap::new();
    let mut timers: BTreeMap<String, Option<TimerRow>> = BTreeMap::new();
    for (event_id, consequence) in consequences {
        match consequence {
            Consequence::Require { key } => claims.entry(key).or_default().required = true,
            Consequence::Hold { key } => {
                let plan = claims.entry(key).or_default();
                plan.taken = plan.taken.or(Some("hold"));
                plan.released = false;
            }
            Consequence::Once { key } => {
                let plan = claims.entry(key).or_default();
                plan.taken = Some("once");
                plan.released = false;
            }
            Consequence::Release { key } => claims.entry(key).or_default().released = true,
            Consequence::SetTimer { id, due, aggregate_type, aggregate_id, command } => {
                let correlation_id = correlation_id.to_owned();
                let row = TimerRow {
                    id: id.clone(),
                    due,
                    aggregate_type,
                    aggregate_id,
                    command,
                    correlation_id,
                    causation_id: event_id,
                };
                timers.insert(id, Some(row));
            }
            Consequence::CancelTimer { id } => {
                timers.insert(id, None);
            }
        }
    }
    let mut changes = Changes::default();
    for (key, plan) in claims {
        let row = |kind| ClaimRow { key: key.clone(), kind, holder_type, holder_id: holder_id.to_owned() };
        if plan.required {
            changes.requires.push(row("hold"));
        }
        if let Some(kind) = plan.taken {
            changes.claims.push(row(kind));
        }
        if plan.released {
            changes.releases.push(row("hold"));
        }
    }
    for (id, row) in timers {
        match row {
            Some(row) => changes.timers.push(row),
            None => changes.cancelled.push(id),
        }
    }
    changes
}

impl Changes {
    /// The keys that no other command of the same transaction may touch, each with its kind before it.
    pub(crate) fn touched(&self) -> BTreeSet<String> {
        let claims = [&self.requires, &self.claims, &self.releases].into_iter().flatten();
        let claims = claims.map(|row| format!("c/{}", row.key));
        let timers = self.timers.iter().map(|row| format!("t/{}", row.id));
        let cancelled = self.cancelled.iter().map(|id| format!("t/{id}"));
        claims.chain(timers).chain(cancelled).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(consequences: Vec<Consequence>) -> Changes {
        reduce("user", "ani", "corr", consequences.into_iter().map(|one| ("e1".to_owned(), one)).collect())
    }

    fn hold(key: &str) -> Consequence {
        Consequence::Hold { key: key.to_owned() }
    }

    fn release(key: &str) -> Consequence {
        Consequence::Release { key: key.to_owned() }
    }

    #[test]
    fn a_claim_taken_and_given_back_is_still_checked() {
        let changes = play(vec![hold("a"), release("a")]);
        assert_eq!((changes.claims.len(), changes.releases.len()), (1, 1));
        assert_eq!(changes.touched().into_iter().collect::<Vec<_>>(), ["c/a"]);
    }

    #[test]
    fn a_claim_given_back_and_taken_again_stays() {
        let changes = play(vec![release("a"), hold("a")]);
        assert_eq!((changes.claims.len(), changes.releases.len()), (1, 0));
    }

    #[test]
    fn a_claim_may_be_required_and_given_back_in_one_command() {
        let changes = play(vec![Consequence::Require { key: "a".to_owned() }, release("a")]);
        assert_eq!((changes.requires.len(), changes.claims.len(), changes.releases.len()), (1, 0, 1));
    }

    #[test]
    fn the_last_word_on_a_timer_counts() {
        let set = Consequence::SetTimer {
            id: "t".into(),
            due: Timestamp::from_unix_millis(1),
            aggregate_type: "user",
            aggregate_id: "ani".into(),
            command: Value::Null,
        };
        let cancel = Consequence::CancelTimer { id: "t".into() };
        assert_eq!(play(vec![set.clone(), cancel.clone()]).cancelled, ["t"]);
        let changes = play(vec![cancel, set]);
        assert_eq!((changes.timers.len(), changes.cancelled.len()), (1, 0));
    }
}
