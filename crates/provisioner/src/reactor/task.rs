//! What a fact asks of the cluster, as the effects ledger keeps it.

use minispod_domain::ports::Intent;
use minispod_events::{Event, Fact, InstanceEvent, InstanceSpec};
use minispod_kernel::Timestamp;
use serde::{Deserialize, Serialize};

use super::RECONCILE;
use crate::cluster::Age;

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing of a request, and the ledger keeps them by name"
)]
pub struct Task {
    pub instance_id: String,
    pub generation: u32,
    /// Log position of the fact.
    pub position: i64,
    pub want: Want,
    pub spec: InstanceSpec,
    pub asked_at: Timestamp,
    /// Absent: the reactor's own for starts.
    pub deadline: Option<Timestamp>,
    /// The customer has never had it running: lateness is a failure whatever the cause.
    pub first: bool,
    /// Deleting takes the data too.
    pub purge: bool,
    /// It goes only to begin anew, so what has begun anew since is left alone.
    #[serde(default)]
    pub resets: bool,
    /// Nothing new is asked for: what is there is to be put right.
    #[serde(default)]
    pub repairs: bool,
    /// Only its doors change.
    #[serde(default)]
    pub doors: bool,
}

/// What shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    Running,
    Stopped,
    Deleted,
}

impl Want {
    /// For metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Deleted => "deleted",
        }
    }
}

impl Task {
    /// What the fact asks for, if anything.
    pub fn of(fact: &Fact) -> Option<Self> {
        let Event::Instance(event) = &fact.event else { return None };
        let asked = |want, spec: &InstanceSpec, generation: u32, asked_at: Timestamp| Self {
            instance_id: fact.recorded.aggregate_id.clone(),
            generation,
            position: fact.recorded.position.0,
            want,
            spec: spec.clone(),
            asked_at,
            deadline: None,
            first: false,
            purge: false,
            resets: false,
            repairs: false,
            doors: false,
        };
        Some(match event {
            InstanceEvent::InstanceProvisionRequested { spec, generation, deadline, occurred_at } => {
                Self { deadline: Some(*deadline), first: true, ..asked(Want::Running, spec, *generation, *occurred_at) }
            }
            InstanceEvent::InstanceStartRequested { spec, generation, occurred_at }
            | InstanceEvent::InstanceRestartRequested { spec, generation, occurred_at }
            | InstanceEvent::InstanceResizeRequested { spec, generation, occurred_at, .. } => {
                asked(Want::Running, spec, *generation, *occurred_at)
            }
            InstanceEvent::InstanceStopRequested { spec, generation, occurred_at } => {
                asked(Want::Stopped, spec, *generation, *occurred_at)
            }
            InstanceEvent::InstanceDeletionRequested { spec, generation, purge_volume, occurred_at } => {
                Self { purge: *purge_volume, ..asked(Want::Deleted, spec, *generation, *occurred_at) }
            }
            InstanceEvent::InstanceResetRequested { spec, generation, occurred_at } => {
                Self { purge: true, resets: true, ..asked(Want::Deleted, spec, *generation, *occurred_at) }
            }
            InstanceEvent::InstanceDriftDetected { spec, generation, runs, occurred_at, .. } => {
                let want = if *runs { Want::Running } else { Want::Stopped };
                Self { repairs: true, ..asked(want, spec, *generation, *occurred_at) }
            }
            InstanceEvent::InstanceHostsRequested { spec, generation, occurred_at } => {
                Self { repairs: true, doors: true, ..asked(Want::Running, spec, *generation, *occurred_at) }
            }
            InstanceEvent::InstanceRestingHostsRequested { spec, generation, occurred_at } => {
                Self { repairs: true, doors: true, ..asked(Want::Stopped, spec, *generation, *occurred_at) }
            }
            InstanceEvent::InstanceObjectsApplied { .. }
            | InstanceEvent::InstanceHostsChanged { .. }
            | InstanceEvent::InstanceHostsRefused { .. }
            | InstanceEvent::InstanceHealingPlanned { .. }
            | InstanceEvent::InstanceHealingGivenUp { .. }
            | InstanceEvent::InstanceDriftRepaired { .. }
            | InstanceEvent::InstanceDriftStands { .. }
            | InstanceEvent::InstanceRemovalHindered { .. }
            | InstanceEvent::InstanceStartHindered { .. }
            | InstanceEvent::InstanceReset { .. }
            | InstanceEvent::InstanceReady { .. }
            | InstanceEvent::InstanceUnhealthy { .. }
            | InstanceEvent::InstanceStopped { .. }
            | InstanceEvent::InstanceFailed { .. }
            | InstanceEvent::InstanceDeleted { .. }
            | InstanceEvent::InstanceLocked { .. }
            | InstanceEvent::InstanceUnlocked { .. }
            | InstanceEvent::InstanceReconfigured { .. }
            | InstanceEvent::InstanceResized { .. }
            | InstanceEvent::InstanceResizeFailed { .. } => return None,
        })
    }

    /// How new it is: by generation, and within one by the fact's position.
    pub const fn age(&self) -> Age {
        Age { generation: self.generation, position: self.position }
    }

    /// As an intent; one lane per instance, so that requests are carried out in order.
    pub fn to_intent(&self, event_id: &str) -> Option<Intent> {
        Some(Intent {
            key: format!("{event_id}.{RECONCILE}"),
            lane: format!("instance/{}", self.instance_id),
            kind: RECONCILE.to_owned(),
            payload: serde_json::to_value(self).ok()?,
            not_before: None,
        })
    }
}
