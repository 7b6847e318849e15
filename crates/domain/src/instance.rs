//! An instance in the cluster: what was asked for and what was seen.

use minispod_events::{InstanceEvent, InstanceSpec};
use minispod_kernel::{Aggregate, Moment, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

/// Name, under [`vault_owner`], of the JSON object with the values of the variables that the customer set.
pub const OVERRIDES: &str = "customer-overrides";

/// Who owns the secrets of an instance in the vault.
pub fn vault_owner(instance_id: &str) -> String {
    format!("instance/{instance_id}")
}

/// State: only what refusals need, and the specification that every request repeats.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Instance {
    asked: Option<Asked>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    spec: InstanceSpec,
    generation: u32,
    phase: Phase,
    applied: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Asked to run (first time, start or restart), not ready yet.
    Starting,
    Ready,
    Unhealthy,
    Failed,
    Stopping,
    Stopped,
    Deleting {
        purge: bool,
    },
    Deleted {
        purged: bool,
    },
}

/// Requests. Every request that changes what shall be makes a new generation; a report names the generation it
/// has seen, and one about any other generation is refused as stale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a command lives for one decision; boxing would only cost reading")]
pub enum InstanceCommand {
    Provision {
        spec: InstanceSpec,
        deadline: Timestamp,
    },
    /// The cluster took the objects of `generation`.
    RecordApplied {
        generation: u32,
        namespace: String,
        workload: String,
        internal_url: String,
        external_url: String,
        volume_claim: Option<String>,
        simulated: bool,
    },
    RecordReady {
        generation: u32,
        external_url: String,
    },
    RecordUnhealthy {
        generation: u32,
        detail: String,
    },
    RecordFailed {
        generation: u32,
        detail: String,
    },
    Stop,
    RecordStopped {
        generation: u32,
    },
    Start,
    Restart,
    /// Deploys again, over the volume that was kept, what was deleted.
    Redeploy,
    Delete {
        purge_volume: bool,
    },
    RecordDeleted {
        generation: u32,
        volume_purged: bool,
    },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstanceRefusal {
    #[error("this instance exists already")]
    AlreadyProvisioned,
    #[error("there is no such instance")]
    NotFound,
    #[error("the report is about an older generation")]
    Stale,
    #[error("the instance is deleted")]
    Deleted,
    #[error("the instance's state does not allow this")]
    WrongState,
}

refusals!(InstanceRefusal {
    AlreadyProvisioned => Conflict, "instance-already-provisioned";
    NotFound => NotFound, "instance-not-found";
    Stale => Conflict, "instance-stale-generation";
    Deleted => Conflict, "instance-deleted";
    WrongState => Conflict, "instance-wrong-state";
});

impl Aggregate for Instance {
    type Event = InstanceEvent;
    type Command = InstanceCommand;
    type Refusal = InstanceRefusal;
    const FINGERPRINT: &'static str = "instance-2";

    fn decide(&self, command: InstanceCommand, at: &Moment) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        let occurred_at = at.now;
        let Some(asked) = &self.asked else {
            return match command {
                InstanceCommand::Provision { spec, deadline } => {
                    Ok(vec![InstanceEvent::InstanceProvisionRequested { spec, generation: 1, deadline, occurred_at }])
                }
                _ => Err(InstanceRefusal::NotFound),
            };
        };
        match command {
            InstanceCommand::Provision { spec, .. } if spec == asked.spec => Ok(Vec::new()),
            InstanceCommand::Provision { .. } => Err(InstanceRefusal::AlreadyProvisioned),
            InstanceCommand::Stop => asked.stop(occurred_at),
            InstanceCommand::Start => asked.start(occurred_at),
            InstanceCommand::Restart => asked.restart(occurred_at),
            InstanceCommand::Redeploy => asked.redeploy(occurred_at),
            InstanceCommand::Delete { purge_volume } => Ok(asked.delete(purge_volume, occurred_at)),
            InstanceCommand::RecordApplied { generation, .. }
            | InstanceCommand::RecordReady { generation, .. }
            | InstanceCommand::RecordUnhealthy { generation, .. }
            | InstanceCommand::RecordFailed { generation, .. }
            | InstanceCommand::RecordStopped { generation }
            | InstanceCommand::RecordDeleted { generation, .. }
                if generation != asked.generation =>
            {
                Err(InstanceRefusal::Stale)
            }
            report => asked.record(report, occurred_at),
        }
    }

    fn apply(&mut self, event: &InstanceEvent) {
        if let InstanceEvent::InstanceProvisionRequested { spec, generation, .. } = event {
            let (spec, generation) = (spec.clone(), *generation);
            self.asked = Some(Asked { spec, generation, phase: Phase::Starting, applied: false });
        }
        if let Some(asked) = &mut self.asked {
            asked.apply(event);
        }
    }
}

impl Asked {
    const fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Deleting { .. } | Phase::Deleted { .. })
    }

    const fn next(&self) -> u32 {
        self.generation.saturating_add(1)
    }

    fn stop(&self, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        match self.phase {
            _ if self.is_gone() => Err(InstanceRefusal::Deleted),
            Phase::Stopping | Phase::Stopped => Ok(Vec::new()),
            _ => {
                let (spec, generation) = (self.spec.clone(), self.next());
                Ok(vec![InstanceEvent::InstanceStopRequested { spec, generation, occurred_at }])
            }
        }
    }

    fn start(&self, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        match self.phase {
            _ if self.is_gone() => Err(InstanceRefusal::Deleted),
            Phase::Starting | Phase::Ready | Phase::Unhealthy => Ok(Vec::new()),
            _ => {
                let (spec, generation) = (self.spec.clone(), self.next());
                Ok(vec![InstanceEvent::InstanceStartRequested { spec, generation, occurred_at }])
            }
        }
    }

    /// Restarting keeps the data and never starts what was stopped.
    fn restart(&self, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        match self.phase {
            _ if self.is_gone() => Err(InstanceRefusal::Deleted),
            Phase::Stopping | Phase::Stopped => Err(InstanceRefusal::WrongState),
            Phase::Starting => Ok(Vec::new()),
            _ => {
                let (spec, generation) = (self.spec.clone(), self.next());
                Ok(vec![InstanceEvent::InstanceRestartRequested { spec, generation, occurred_at }])
            }
        }
    }

    /// Only what is gone, and only while there is its volume: what still goes is waited for, and without its data it
    /// would be another instance. Starting never does this by itself, so nothing comes back unasked.
    fn redeploy(&self, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        match self.phase {
            Phase::Deleted { purged: false } => {
                let (spec, generation) = (self.spec.clone(), self.next());
                Ok(vec![InstanceEvent::InstanceStartRequested { spec, generation, occurred_at }])
            }
            _ if self.is_gone() => Err(InstanceRefusal::Deleted),
            _ => Err(InstanceRefusal::WrongState),
        }
    }

    /// Deleting again with less changes nothing; purging what was kept is a new request.
    fn delete(&self, purge_volume: bool, occurred_at: Timestamp) -> Vec<InstanceEvent> {
        match self.phase {
            Phase::Deleting { purge: done } | Phase::Deleted { purged: done } if done || !purge_volume => Vec::new(),
            _ => {
                let (spec, generation) = (self.spec.clone(), self.next());
                vec![InstanceEvent::InstanceDeletionRequested { spec, generation, purge_volume, occurred_at }]
            }
        }
    }

    /// A report about the current generation.
    fn record(&self, report: InstanceCommand, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        use InstanceCommand as Report;
        let subscription_id = self.spec.subscription_id.clone();
        match (report, self.phase) {
            (Report::RecordApplied { .. }, _) if self.applied => Ok(Vec::new()),
            (report @ Report::RecordApplied { .. }, _) if !self.is_gone() => Ok(applied(report, occurred_at)),
            (Report::RecordReady { .. }, Phase::Ready)
            | (Report::RecordUnhealthy { .. }, Phase::Unhealthy)
            | (Report::RecordFailed { .. }, Phase::Failed)
            | (Report::RecordStopped { .. }, Phase::Stopped)
            | (Report::RecordDeleted { .. }, Phase::Deleted { .. }) => Ok(Vec::new()),
            // Whoever only looks may see it run before the cluster's answer is known here: then it has no address yet.
            (Report::RecordReady { .. }, Phase::Starting) if !self.applied => Err(InstanceRefusal::WrongState),
            (Report::RecordReady { generation, external_url }, Phase::Starting | Phase::Unhealthy | Phase::Failed) => {
                Ok(vec![InstanceEvent::InstanceReady { subscription_id, generation, external_url, occurred_at }])
            }
            (Report::RecordUnhealthy { generation, detail }, Phase::Ready) => {
                Ok(vec![InstanceEvent::InstanceUnhealthy { generation, detail, occurred_at }])
            }
            (Report::RecordFailed { generation, detail }, Phase::Starting | Phase::Ready | Phase::Unhealthy) => {
                Ok(vec![InstanceEvent::InstanceFailed { subscription_id, generation, detail, occurred_at }])
            }
            (Report::RecordStopped { generation }, Phase::Stopping) => {
                Ok(vec![InstanceEvent::InstanceStopped { generation, occurred_at }])
            }
            (Report::RecordDeleted { generation, volume_purged }, Phase::Deleting { .. }) => {
                Ok(vec![InstanceEvent::InstanceDeleted { generation, volume_purged, occurred_at }])
            }
            _ => Err(InstanceRefusal::WrongState),
        }
    }

    fn apply(&mut self, event: &InstanceEvent) {
        match event {
            InstanceEvent::InstanceProvisionRequested { .. } => {}
            InstanceEvent::InstanceObjectsApplied { .. } => self.applied = true,
            InstanceEvent::InstanceReady { .. } => self.phase = Phase::Ready,
            InstanceEvent::InstanceUnhealthy { .. } => self.phase = Phase::Unhealthy,
            InstanceEvent::InstanceFailed { .. } => self.phase = Phase::Failed,
            InstanceEvent::InstanceStopped { .. } => self.phase = Phase::Stopped,
            InstanceEvent::InstanceDeleted { volume_purged, .. } => {
                self.phase = Phase::Deleted { purged: *volume_purged };
            }
            InstanceEvent::InstanceStopRequested { generation, .. } => self.ask(*generation, Phase::Stopping),
            InstanceEvent::InstanceStartRequested { generation, .. }
            | InstanceEvent::InstanceRestartRequested { generation, .. } => self.ask(*generation, Phase::Starting),
            InstanceEvent::InstanceDeletionRequested { generation, purge_volume, .. } => {
                self.ask(*generation, Phase::Deleting { purge: *purge_volume });
            }
        }
    }

    fn ask(&mut self, generation: u32, phase: Phase) {
        self.generation = generation;
        self.phase = phase;
        self.applied = false;
    }
}

fn applied(report: InstanceCommand, occurred_at: Timestamp) -> Vec<InstanceEvent> {
    let InstanceCommand::RecordApplied {
        generation,
        namespace,
        workload,
        internal_url,
        external_url,
        volume_claim,
        simulated,
    } = report
    else {
        return Vec::new();
    };
    vec![InstanceEvent::InstanceObjectsApplied {
        generation,
        namespace,
        workload,
        internal_url,
        external_url,
        volume_claim,
        simulated,
        occurred_at,
    }]
}

bridge!(Instance);

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::story::{given, given_nothing, noon};

    #[test]
    fn an_instance_is_provisioned_once() {
        given_nothing::<Instance>().when(provision("s")).then(vec![provisioned()]);
        given::<Instance>(vec![provisioned()]).when(provision("s")).then_nothing();
        given::<Instance>(vec![provisioned()]).when(provision("t")).then_refused(InstanceRefusal::AlreadyProvisioned);
    }

    #[test]
    fn nothing_can_be_asked_of_an_instance_that_does_not_exist() {
        for command in [InstanceCommand::Stop, InstanceCommand::Restart, InstanceCommand::Delete { purge_volume: true }]
        {
            given_nothing::<Instance>().when(command).then_refused(InstanceRefusal::NotFound);
        }
    }

    #[test]
    fn it_becomes_ready_once_its_objects_are_known() {
        given::<Instance>(vec![provisioned()]).when(report_ready(1)).then_refused(InstanceRefusal::WrongState);
        let taken =
            [vec![provisioned()], given::<Instance>(vec![provisioned()]).when(report_applied(1)).events()].concat();
        given::<Instance>(taken.clone()).when(report_ready(1)).then(vec![ready(1)]);
        let restart = InstanceEvent::InstanceRestartRequested { spec: spec("s"), generation: 2, occurred_at: noon() };
        given::<Instance>([taken, vec![ready(1), restart]].concat())
            .when(report_ready(2))
            .then_refused(InstanceRefusal::WrongState);
        given::<Instance>(vec![provisioned(), ready(1)]).when(report_ready(1)).then_nothing();
    }

    #[test]
    fn each_request_makes_a_new_generation_and_reports_about_others_are_stale() {
        let past = vec![provisioned(), ready(1), stop_requested(2)];
        for report in [
            report_ready(1),
            InstanceCommand::RecordStopped { generation: 1 },
            InstanceCommand::RecordFailed { generation: 1, detail: "late".into() },
            InstanceCommand::RecordStopped { generation: 3 },
        ] {
            given::<Instance>(past.clone()).when(report).then_refused(InstanceRefusal::Stale);
        }
        given::<Instance>(past)
            .when(InstanceCommand::RecordStopped { generation: 2 })
            .then(vec![InstanceEvent::InstanceStopped { generation: 2, occurred_at: noon() }]);
    }

    #[test]
    fn stopping_starting_and_restarting_twice_is_fine() {
        let running = vec![provisioned(), ready(1)];
        given::<Instance>(running.clone()).when(InstanceCommand::Start).then_nothing();
        given::<Instance>(running.clone()).when(InstanceCommand::Stop).then(vec![stop_requested(2)]);
        given::<Instance>([running.clone(), vec![stop_requested(2)]].concat())
            .when(InstanceCommand::Stop)
            .then_nothing();
        let restarted = InstanceEvent::InstanceRestartRequested { spec: spec("s"), generation: 2, occurred_at: noon() };
        given::<Instance>(running.clone()).when(InstanceCommand::Restart).then(vec![restarted.clone()]);
        given::<Instance>([running, vec![restarted]].concat()).when(InstanceCommand::Restart).then_nothing();
    }

    #[test]
    fn a_restart_never_starts_what_was_stopped() {
        given::<Instance>(vec![provisioned(), ready(1), stop_requested(2)])
            .when(InstanceCommand::Restart)
            .then_refused(InstanceRefusal::WrongState);
    }

    #[test]
    fn a_deleted_instance_cannot_be_run_again() {
        let past = vec![provisioned(), ready(1), deletion_requested(2, false)];
        for command in [InstanceCommand::Start, InstanceCommand::Restart, InstanceCommand::Stop] {
            given::<Instance>(past.clone()).when(command).then_refused(InstanceRefusal::Deleted);
        }
        given::<Instance>(past).when(report_ready(1)).then_refused(InstanceRefusal::Stale);
    }

    #[test]
    fn a_deleted_instance_is_deployed_again_only_over_its_kept_volume() {
        let gone = |purged| vec![provisioned(), ready(1), deletion_requested(2, purged), deleted(2, purged)];
        let started = InstanceEvent::InstanceStartRequested { spec: spec("s"), generation: 3, occurred_at: noon() };
        given::<Instance>(gone(false)).when(InstanceCommand::Redeploy).then(vec![started.clone()]);
        given::<Instance>([gone(false), vec![started]].concat())
            .when(InstanceCommand::Redeploy)
            .then_refused(InstanceRefusal::WrongState);
        given::<Instance>(gone(true)).when(InstanceCommand::Redeploy).then_refused(InstanceRefusal::Deleted);
        given::<Instance>(vec![provisioned(), ready(1), deletion_requested(2, false)])
            .when(InstanceCommand::Redeploy)
            .then_refused(InstanceRefusal::Deleted);
        given_nothing::<Instance>().when(InstanceCommand::Redeploy).then_refused(InstanceRefusal::NotFound);
    }

    #[test]
    fn kept_data_can_be_purged_later_and_only_once() {
        let past = vec![provisioned(), deletion_requested(2, false), deleted(2, false)];
        let delete = |purge_volume| InstanceCommand::Delete { purge_volume };
        given::<Instance>(past.clone()).when(delete(false)).then_nothing();
        given::<Instance>(past.clone()).when(delete(true)).then(vec![deletion_requested(3, true)]);
        given::<Instance>([past, vec![deletion_requested(3, true)]].concat()).when(delete(true)).then_nothing();
    }

    #[test]
    fn a_report_that_does_not_fit_the_state_is_refused() {
        given::<Instance>(vec![provisioned(), ready(1)])
            .when(InstanceCommand::RecordDeleted { generation: 1, volume_purged: true })
            .then_refused(InstanceRefusal::WrongState);
        given::<Instance>(vec![provisioned()])
            .when(InstanceCommand::RecordUnhealthy { generation: 1, detail: "starting".into() })
            .then_refused(InstanceRefusal::WrongState);
    }

    #[test]
    fn health_comes_and_goes() {
        let unhealthy = InstanceEvent::InstanceUnhealthy { generation: 1, detail: "probe".into(), occurred_at: noon() };
        given::<Instance>(vec![provisioned(), ready(1)])
            .when(InstanceCommand::RecordUnhealthy { generation: 1, detail: "probe".into() })
            .then(vec![unhealthy.clone()]);
        given::<Instance>(vec![provisioned(), ready(1), unhealthy]).when(report_ready(1)).then(vec![ready(1)]);
    }

    #[test]
    fn applied_objects_are_reported_once_per_generation() {
        let events = given::<Instance>(vec![provisioned()]).when(report_applied(1)).events();
        given::<Instance>([vec![provisioned()], events].concat()).when(report_applied(1)).then_nothing();
    }

    fn report_applied(generation: u32) -> InstanceCommand {
        InstanceCommand::RecordApplied {
            generation,
            namespace: "customer-ani".into(),
            workload: "w".into(),
            internal_url: "http://w".into(),
            external_url: "https://w".into(),
            volume_claim: None,
            simulated: true,
        }
    }

    pub fn spec(subscription: &str) -> InstanceSpec {
        InstanceSpec {
            instance_id: "i".into(),
            subscription_id: subscription.into(),
            user_id: "ani".into(),
            offering: "n8n".into(),
            variant: "basic".into(),
            display_name: "N8N - Basic".into(),
            docker_image: "n8nio/n8n:1.100.1".into(),
            container_port: 5678,
            environment: BTreeMap::new(),
            overrides: Vec::new(),
            cpu_request: "0.25".into(),
            cpu_limit: "1".into(),
            mem_request: "512Mi".into(),
            mem_limit: "1Gi".into(),
            volume_size: None,
            volume_mount_path: None,
            storage_class: "local-path".into(),
            access_mode: "ReadWriteOnce".into(),
            subdomain: "ani".into(),
        }
    }

    fn provision(subscription: &str) -> InstanceCommand {
        InstanceCommand::Provision { spec: spec(subscription), deadline: noon() }
    }

    fn provisioned() -> InstanceEvent {
        let occurred_at = noon();
        InstanceEvent::InstanceProvisionRequested { spec: spec("s"), generation: 1, deadline: noon(), occurred_at }
    }

    fn report_ready(generation: u32) -> InstanceCommand {
        InstanceCommand::RecordReady { generation, external_url: "https://ani".into() }
    }

    fn ready(generation: u32) -> InstanceEvent {
        InstanceEvent::InstanceReady {
            subscription_id: "s".into(),
            generation,
            external_url: "https://ani".into(),
            occurred_at: noon(),
        }
    }

    fn stop_requested(generation: u32) -> InstanceEvent {
        InstanceEvent::InstanceStopRequested { spec: spec("s"), generation, occurred_at: noon() }
    }

    fn deletion_requested(generation: u32, purge_volume: bool) -> InstanceEvent {
        let occurred_at = noon();
        InstanceEvent::InstanceDeletionRequested { spec: spec("s"), generation, purge_volume, occurred_at }
    }

    fn deleted(generation: u32, volume_purged: bool) -> InstanceEvent {
        InstanceEvent::InstanceDeleted { generation, volume_purged, occurred_at: noon() }
    }
}
