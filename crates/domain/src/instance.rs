//! An instance in the cluster: what was asked for and what was seen.

use minispod_events::{DriftFinding, InstanceEvent, InstanceSpec, PlanSnapshot};
use minispod_kernel::{Aggregate, Consequence, Moment, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bridge::{bridge, refusals};

mod hindering;
mod holding;
mod keeping;
mod resizing;
mod serving;

pub use holding::{Holds, ToBe};
pub use keeping::{Kept, MOST_ATTEMPTS};

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
    /// The mark of the program that was applied last.
    program: Option<String>,
    /// Nobody is paying for it.
    locked: bool,
    /// The change of plan that waits for it.
    resizing: Option<u32>,
    /// The size of the volume it was last ready with: it grows from there.
    volume: Option<String>,
    /// The generation of a reset whose data still goes, whatever was asked for since.
    wiping: Option<u32>,
    care: keeping::Care,
    doors: serving::Doors,
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
    /// Its data goes; then it starts.
    Resetting,
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
        /// The mark of the program as it was applied.
        #[serde(default)]
        program: Option<String>,
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
    /// Wipes its data and starts it anew; settings and credentials stay.
    Reset,
    /// Deploys again, over the volume that was kept, what was deleted.
    Redeploy,
    /// Nobody is paying: stop it, and let nothing start it.
    Lock,
    /// It is paid for again: start it.
    Unlock,
    /// The customer's variables are these, by name. What runs is restarted with them.
    Reconfigure {
        overrides: Vec<String>,
    },
    /// It answers to these hosts too, and has `public_host` of them in its public address. Only another public address
    /// restarts what runs.
    Serve {
        hosts: Vec<String>,
        public_host: Option<String>,
        #[serde(default)]
        edition: u32,
    },
    /// Its doors are so.
    RecordHosts {
        generation: u32,
        hosts: Vec<String>,
        #[serde(default)]
        edition: u32,
    },
    /// Its doors cannot be so.
    RecordHostsRefused {
        generation: u32,
        edition: u32,
        detail: String,
    },
    /// The cluster refused its doors a while ago: does it still?
    RequestHostsAgain {
        edition: u32,
    },
    /// It is to have what `plan` gives. What runs is restarted with it; what does not is not started.
    Resize {
        change: u32,
        plan: PlanSnapshot,
    },
    Delete {
        purge_volume: bool,
    },
    RecordDeleted {
        generation: u32,
        volume_purged: bool,
    },
    /// It was ill when its restart was planned: is it still?
    Heal {
        generation: u32,
    },
    /// The cluster has something else than was applied.
    RecordDrift {
        generation: u32,
        findings: Vec<DriftFinding>,
    },
    /// It is as it was applied again, or `fault` says why it cannot be.
    RecordDriftOver {
        generation: u32,
        fault: Option<String>,
        /// The mark of the program as it was applied again.
        #[serde(default)]
        program: Option<String>,
    },
    /// Its objects do not go, or something keeps it from starting.
    RecordHindered {
        generation: u32,
        detail: String,
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
    #[error("the subscription does not entitle this instance to run")]
    Locked,
}

refusals!(InstanceRefusal {
    AlreadyProvisioned => Conflict, "instance-already-provisioned";
    NotFound => NotFound, "instance-not-found";
    Stale => Conflict, "instance-stale-generation";
    Deleted => Conflict, "instance-deleted";
    WrongState => Conflict, "instance-wrong-state";
    Locked => Conflict, "instance-locked";
});

impl Aggregate for Instance {
    type Event = InstanceEvent;
    type Command = InstanceCommand;
    type Refusal = InstanceRefusal;
    const FINGERPRINT: &'static str = "instance-10";

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
            InstanceCommand::Start | InstanceCommand::Restart | InstanceCommand::Reset | InstanceCommand::Redeploy
                if asked.locked =>
            {
                Err(InstanceRefusal::Locked)
            }
            InstanceCommand::Stop => asked.stop(occurred_at),
            InstanceCommand::Start => asked.start(occurred_at),
            InstanceCommand::Restart => asked.restart(occurred_at),
            InstanceCommand::Reset => asked.reset(occurred_at),
            InstanceCommand::Redeploy => asked.redeploy(occurred_at),
            InstanceCommand::Lock => asked.lock(occurred_at),
            InstanceCommand::Unlock => asked.unlock(occurred_at),
            InstanceCommand::Reconfigure { overrides } => {
                // A value may have changed where the names have not, so it is never nothing.
                asked.reconfigure(InstanceSpec { overrides, ..asked.spec.clone() }, occurred_at)
            }
            InstanceCommand::Serve { hosts, public_host, edition } => {
                asked.serve(hosts, public_host, edition, occurred_at)
            }
            InstanceCommand::Resize { change, plan } => Ok(asked.resize(&plan, change, occurred_at)),
            InstanceCommand::Delete { purge_volume } => Ok(asked.delete(purge_volume, occurred_at)),
            InstanceCommand::RecordDeleted { generation, volume_purged: true } if asked.wiping == Some(generation) => {
                Ok(asked.wiped(generation, occurred_at))
            }
            InstanceCommand::RecordApplied { generation, .. }
            | InstanceCommand::Heal { generation }
            | InstanceCommand::RecordDrift { generation, .. }
            | InstanceCommand::RecordDriftOver { generation, .. }
            | InstanceCommand::RecordHindered { generation, .. }
            | InstanceCommand::RecordHosts { generation, .. }
            | InstanceCommand::RecordHostsRefused { generation, .. }
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
            self.asked = Some(Asked {
                spec,
                generation,
                phase: Phase::Starting,
                applied: false,
                program: None,
                locked: false,
                resizing: None,
                volume: None,
                wiping: None,
                care: keeping::Care::default(),
                doors: serving::Doors::default(),
            });
        }
        if let Some(asked) = &mut self.asked {
            asked.apply(event);
        }
    }

    fn consequences(id: &str, event: &InstanceEvent) -> Vec<Consequence> {
        let kept = keeping::consequences(id, event);
        kept.into_iter().chain(serving::consequence(id, event)).collect()
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
                let stop = InstanceEvent::InstanceStopRequested { spec, generation, occurred_at };
                Ok([stop].into_iter().chain(self.resize_done(generation, occurred_at)).collect())
            }
        }
    }

    fn start(&self, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        match self.phase {
            _ if self.is_gone() => Err(InstanceRefusal::Deleted),
            Phase::Starting | Phase::Resetting | Phase::Ready | Phase::Unhealthy => Ok(Vec::new()),
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
            Phase::Starting | Phase::Resetting => Ok(Vec::new()),
            _ => {
                let (spec, generation) = (self.spec.clone(), self.next());
                Ok(vec![InstanceEvent::InstanceRestartRequested { spec, generation, occurred_at }])
            }
        }
    }

    /// Not before it was ready once: there is nothing to wipe, and its first start has a deadline.
    fn reset(&self, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        match self.phase {
            _ if self.is_gone() => Err(InstanceRefusal::Deleted),
            Phase::Resetting => Ok(Vec::new()),
            Phase::Starting | Phase::Stopping => Err(InstanceRefusal::WrongState),
            _ if self.resizing.is_some() || self.wiping.is_some() => Err(InstanceRefusal::WrongState),
            _ => {
                let (spec, generation) = (self.spec.clone(), self.next());
                Ok(vec![InstanceEvent::InstanceResetRequested { spec, generation, occurred_at }])
            }
        }
    }

    /// The data is gone: it starts with an empty volume. Whoever asked for something else meanwhile gets that.
    fn wiped(&self, generation: u32, occurred_at: Timestamp) -> Vec<InstanceEvent> {
        let spec = self.spec.clone();
        let reset = InstanceEvent::InstanceReset {
            subscription_id: spec.subscription_id.clone(),
            user_id: spec.user_id.clone(),
            display_name: spec.display_name.clone(),
            generation,
            occurred_at,
        };
        let start = (self.phase == Phase::Resetting).then(|| InstanceEvent::InstanceStartRequested {
            spec,
            generation: self.next(),
            occurred_at,
        });
        [reset].into_iter().chain(start).collect()
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

    /// Also what is gone: whoever brings it back finds the lock.
    fn lock(&self, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        if self.locked {
            return Ok(Vec::new());
        }
        let stopped = if self.is_gone() { Vec::new() } else { self.stop(occurred_at)? };
        Ok(stopped.into_iter().chain([InstanceEvent::InstanceLocked { occurred_at }]).collect())
    }

    /// What is gone is not brought back by this.
    fn unlock(&self, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        if !self.locked {
            return Ok(Vec::new());
        }
        let started = if self.is_gone() { Vec::new() } else { self.start(occurred_at)? };
        Ok([InstanceEvent::InstanceUnlocked { occurred_at }].into_iter().chain(started).collect())
    }

    fn reconfigure(&self, spec: InstanceSpec, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        let (changed, generation) = (spec.clone(), self.generation);
        let reconfigured = InstanceEvent::InstanceReconfigured { spec: changed, generation, occurred_at };
        match self.phase {
            _ if self.is_gone() => Err(InstanceRefusal::Deleted),
            Phase::Stopping | Phase::Stopped | Phase::Resetting => Ok(vec![reconfigured]),
            _ => {
                let generation = self.next();
                Ok(vec![reconfigured, InstanceEvent::InstanceRestartRequested { spec, generation, occurred_at }])
            }
        }
    }

    /// Deleting again with less changes nothing; purging what was kept is a new request.
    fn delete(&self, purge_volume: bool, occurred_at: Timestamp) -> Vec<InstanceEvent> {
        match self.phase {
            Phase::Deleting { purge: done } | Phase::Deleted { purged: done } if done || !purge_volume => Vec::new(),
            _ => {
                let (spec, generation) = (self.spec.clone(), self.next());
                let deletion = InstanceEvent::InstanceDeletionRequested { spec, generation, purge_volume, occurred_at };
                [deletion].into_iter().chain(self.resize_done(generation, occurred_at)).collect()
            }
        }
    }

    /// A report about the current generation.
    fn record(&self, report: InstanceCommand, occurred_at: Timestamp) -> Result<Vec<InstanceEvent>, InstanceRefusal> {
        use InstanceCommand as Report;
        let subscription_id = self.spec.subscription_id.clone();
        match (report, self.phase) {
            (Report::RecordApplied { program, .. }, _)
                if self.applied && (program.is_none() || program == self.program) =>
            {
                Ok(Vec::new())
            }
            (report @ Report::RecordApplied { .. }, _) if !self.is_gone() => {
                Ok(applied(report, occurred_at).into_iter().chain(self.applied_hosts(occurred_at)).collect())
            }
            (Report::RecordReady { .. }, Phase::Ready)
            | (Report::RecordUnhealthy { .. }, Phase::Unhealthy)
            | (Report::RecordFailed { .. }, Phase::Failed)
            | (Report::RecordStopped { .. }, Phase::Stopped)
            | (Report::RecordDeleted { .. }, Phase::Deleted { .. }) => Ok(Vec::new()),
            // Whoever only looks may see it run before the cluster's answer is known here: then it has no address yet.
            (Report::RecordReady { .. }, Phase::Starting) if !self.applied => Err(InstanceRefusal::WrongState),
            (Report::RecordReady { generation, external_url }, Phase::Starting | Phase::Unhealthy | Phase::Failed) => {
                let resized = self.resize_done(generation, occurred_at);
                let ready = InstanceEvent::InstanceReady { subscription_id, generation, external_url, occurred_at };
                Ok([ready].into_iter().chain(resized).collect())
            }
            (Report::RecordUnhealthy { generation, detail }, Phase::Ready) => {
                let ill = InstanceEvent::InstanceUnhealthy { generation, detail, occurred_at };
                Ok([ill].into_iter().chain(self.plan_healing(occurred_at)).collect())
            }
            (Report::RecordFailed { generation, detail }, Phase::Starting | Phase::Ready | Phase::Unhealthy) => {
                let not_resized = self.resize_failed(generation, &detail, occurred_at);
                // Whoever changes its plan takes that back, and then it starts anew.
                let healing = if not_resized.is_none() { self.plan_healing(occurred_at) } else { None };
                let failed = InstanceEvent::InstanceFailed { subscription_id, generation, detail, occurred_at };
                Ok([failed].into_iter().chain(not_resized).chain(healing).collect())
            }
            (Report::Heal { .. }, phase) => Ok(self.heal(phase, occurred_at)),
            (Report::RecordDrift { generation, findings }, phase) => {
                self.drift(phase, generation, findings, occurred_at)
            }
            (Report::RecordDriftOver { generation, fault, program }, _) => {
                Ok(self.drift_over(generation, fault, program, occurred_at))
            }
            (Report::RecordHindered { generation, detail }, phase) => {
                self.hindered(phase, generation, detail, occurred_at)
            }
            (Report::RecordHosts { hosts, edition, .. }, _) => Ok(self.hosts_seen(edition, &hosts, occurred_at)),
            (Report::RecordHostsRefused { edition, detail, .. }, _) => {
                Ok(self.hosts_refused(edition, detail, occurred_at))
            }
            (Report::RequestHostsAgain { edition }, _) => Ok(self.hosts_again(edition, occurred_at)),
            (Report::RecordStopped { generation }, Phase::Stopping) => {
                let stopped = InstanceEvent::InstanceStopped { generation, occurred_at };
                Ok([stopped].into_iter().chain(self.rested_hosts(occurred_at)).collect())
            }
            (Report::RecordDeleted { generation, volume_purged }, Phase::Deleting { .. }) => {
                let deleted = InstanceEvent::InstanceDeleted { generation, volume_purged, occurred_at };
                Ok([deleted].into_iter().chain(self.no_hosts(occurred_at)).collect())
            }
            _ => Err(InstanceRefusal::WrongState),
        }
    }

    fn apply(&mut self, event: &InstanceEvent) {
        self.care.apply(event);
        self.doors.apply(&self.spec, event);
        match event {
            InstanceEvent::InstanceProvisionRequested { .. }
            | InstanceEvent::InstanceHealingPlanned { .. }
            | InstanceEvent::InstanceHealingGivenUp { .. }
            | InstanceEvent::InstanceDriftDetected { .. }
            | InstanceEvent::InstanceDriftStands { .. }
            | InstanceEvent::InstanceRemovalHindered { .. }
            | InstanceEvent::InstanceStartHindered { .. }
            | InstanceEvent::InstanceHostsRequested { .. }
            | InstanceEvent::InstanceRestingHostsRequested { .. }
            | InstanceEvent::InstanceHostsChanged { .. }
            | InstanceEvent::InstanceHostsRefused { .. } => {}
            InstanceEvent::InstanceLocked { .. } => self.locked = true,
            InstanceEvent::InstanceUnlocked { .. } => self.locked = false,
            InstanceEvent::InstanceReconfigured { spec, .. } => self.spec.clone_from(spec),
            InstanceEvent::InstanceObjectsApplied { program, .. } => {
                self.applied = true;
                self.program.clone_from(program);
            }
            InstanceEvent::InstanceDriftRepaired { program, .. } => {
                self.program = program.clone().or_else(|| self.program.take());
            }
            InstanceEvent::InstanceReady { .. } => {
                self.phase = Phase::Ready;
                self.volume.clone_from(&self.spec.volume_size);
            }
            InstanceEvent::InstanceUnhealthy { .. } => self.phase = Phase::Unhealthy,
            InstanceEvent::InstanceFailed { .. } => self.phase = Phase::Failed,
            InstanceEvent::InstanceStopped { .. } => self.phase = Phase::Stopped,
            InstanceEvent::InstanceDeleted { volume_purged, .. } => {
                self.wiping = None;
                self.phase = Phase::Deleted { purged: *volume_purged };
            }
            InstanceEvent::InstanceStopRequested { generation, .. } => self.ask(*generation, Phase::Stopping),
            InstanceEvent::InstanceStartRequested { generation, .. }
            | InstanceEvent::InstanceRestartRequested { generation, .. } => self.ask(*generation, Phase::Starting),
            InstanceEvent::InstanceResizeRequested { spec, generation, change, .. } => {
                self.spec.clone_from(spec);
                self.resizing = Some(*change);
                self.ask(*generation, Phase::Starting);
            }
            InstanceEvent::InstanceResetRequested { generation, .. } => {
                self.wiping = Some(*generation);
                self.ask(*generation, Phase::Resetting);
            }
            InstanceEvent::InstanceReset { .. } => {
                self.wiping = None;
                self.volume = None;
            }
            InstanceEvent::InstanceResized { .. } | InstanceEvent::InstanceResizeFailed { .. } => self.resizing = None,
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
        program,
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
        program,
        occurred_at,
    }]
}

bridge!(Instance);

#[cfg(test)]
pub(crate) mod tests;
