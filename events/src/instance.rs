//! Facts about one running instance in the cluster.

use std::collections::BTreeMap;

use minispod_kernel::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{contract, is_zero};

/// What shall run; enough to build every cluster object. Generated credentials are in the vault
/// (`instance/<instance id>`), never here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceSpec {
    pub instance_id: String,
    pub subscription_id: String,
    pub user_id: String,
    pub offering: String,
    pub variant: String,
    pub display_name: String,
    pub docker_image: String,
    pub container_port: u16,
    pub environment: BTreeMap<String, String>,
    /// Names of the variables that the customer set, which win over the plan's. Their values are in the vault.
    pub overrides: Vec<String>,
    pub cpu_request: String,
    pub cpu_limit: String,
    pub mem_request: String,
    pub mem_limit: String,
    pub volume_size: Option<String>,
    pub volume_mount_path: Option<String>,
    pub storage_class: String,
    pub access_mode: String,
    /// DNS label; the host is `<subdomain>.<offering>.<cluster domain>`.
    pub subdomain: String,
    /// Hosts that the customer brought and proved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// The one of them that its public address has; none: the platform's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_host: Option<String>,
    /// The change of its hosts that the two above come from; 0: none, or one that was not counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hosts_edition: u32,
}

/// One object of an instance that is not as it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DriftFinding {
    /// Kind and place: `Deployment customer-x/n8n-y`.
    pub object: String,
    /// It is not there at all.
    pub missing: bool,
    /// Who holds the fields, by the names that the cluster knows; empty when it does not say.
    pub managers: Vec<String>,
    /// Paths of the fields that differ; values are not kept, as they may be secret.
    pub fields: Vec<String>,
}

/// Facts about one instance; the aggregate id is the instance id. `generation` only grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum InstanceEvent {
    InstanceProvisionRequested {
        spec: InstanceSpec,
        generation: u32,
        deadline: Timestamp,
        occurred_at: Timestamp,
    },
    /// The cluster took the objects; `simulated` when no real cluster did.
    InstanceObjectsApplied {
        generation: u32,
        namespace: String,
        workload: String,
        internal_url: String,
        external_url: String,
        volume_claim: Option<String>,
        simulated: bool,
        /// The mark of the program's plan, by which a change of the objects by hand is told from another build's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
        occurred_at: Timestamp,
    },
    InstanceReady {
        subscription_id: String,
        generation: u32,
        external_url: String,
        occurred_at: Timestamp,
    },
    InstanceUnhealthy {
        generation: u32,
        detail: String,
        occurred_at: Timestamp,
    },
    /// Its data shall go and it begins anew with an empty volume; settings and credentials stay.
    InstanceResetRequested {
        spec: InstanceSpec,
        generation: u32,
        occurred_at: Timestamp,
    },
    /// The data is gone; the start that follows finds an empty volume.
    InstanceReset {
        subscription_id: String,
        user_id: String,
        display_name: String,
        generation: u32,
        occurred_at: Timestamp,
    },
    /// Its owner is told at the first attempt; the restart follows at `due` unless it is well before.
    InstanceHealingPlanned {
        subscription_id: String,
        user_id: String,
        display_name: String,
        generation: u32,
        /// Counts from 1 since it was last well for long.
        attempt: u32,
        due: Timestamp,
        occurred_at: Timestamp,
    },
    /// Restarting does not help: somebody must look.
    InstanceHealingGivenUp {
        subscription_id: String,
        user_id: String,
        display_name: String,
        generation: u32,
        attempts: u32,
        occurred_at: Timestamp,
    },
    /// The cluster has something else than was applied; it is put right.
    InstanceDriftDetected {
        spec: InstanceSpec,
        generation: u32,
        /// It is to run; otherwise it is to rest.
        runs: bool,
        findings: Vec<DriftFinding>,
        occurred_at: Timestamp,
    },
    InstanceDriftRepaired {
        generation: u32,
        /// As in `InstanceObjectsApplied`; absent where nothing was applied.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
        occurred_at: Timestamp,
    },
    /// It could not be put right, and is not tried again until something else differs.
    InstanceDriftStands {
        generation: u32,
        detail: String,
        occurred_at: Timestamp,
    },
    /// Something keeps its objects from going; `detail` names the object and the reason.
    InstanceRemovalHindered {
        generation: u32,
        detail: String,
        occurred_at: Timestamp,
    },
    /// Something keeps it from starting, and it is tried on; `detail` names what does.
    InstanceStartHindered {
        generation: u32,
        detail: String,
        occurred_at: Timestamp,
    },
    InstanceStopRequested {
        spec: InstanceSpec,
        generation: u32,
        occurred_at: Timestamp,
    },
    InstanceStopped {
        generation: u32,
        occurred_at: Timestamp,
    },
    InstanceStartRequested {
        spec: InstanceSpec,
        generation: u32,
        occurred_at: Timestamp,
    },
    InstanceRestartRequested {
        spec: InstanceSpec,
        generation: u32,
        occurred_at: Timestamp,
    },
    InstanceFailed {
        subscription_id: String,
        generation: u32,
        detail: String,
        occurred_at: Timestamp,
    },
    /// The workload shall go; `purge_volume` also deletes the data.
    InstanceDeletionRequested {
        spec: InstanceSpec,
        generation: u32,
        purge_volume: bool,
        occurred_at: Timestamp,
    },
    InstanceDeleted {
        generation: u32,
        volume_purged: bool,
        occurred_at: Timestamp,
    },
    /// Nobody is paying for it: until it is unlocked nothing starts it.
    InstanceLocked {
        occurred_at: Timestamp,
    },
    InstanceUnlocked {
        occurred_at: Timestamp,
    },
    /// What it is built from from now on; what runs already is restarted with it by a request of its own.
    InstanceReconfigured {
        spec: InstanceSpec,
        generation: u32,
        occurred_at: Timestamp,
    },
    /// Its doors shall be those of the specification; what runs goes on.
    InstanceHostsRequested {
        spec: InstanceSpec,
        generation: u32,
        occurred_at: Timestamp,
    },
    /// The same of what rests and goes on resting: its doors lead to a page that says so.
    InstanceRestingHostsRequested {
        spec: InstanceSpec,
        generation: u32,
        occurred_at: Timestamp,
    },
    /// It answers to no other hosts than these besides the platform's, and to none that it answered to before.
    InstanceHostsChanged {
        generation: u32,
        hosts: Vec<String>,
        /// The specification's; 0: one that was not counted.
        #[serde(default, skip_serializing_if = "is_zero")]
        edition: u32,
        occurred_at: Timestamp,
    },
    /// The cluster does not take its doors; they are asked for again at `due` unless something else brings them.
    InstanceHostsRefused {
        generation: u32,
        edition: u32,
        detail: String,
        due: Timestamp,
        occurred_at: Timestamp,
    },
    /// It shall run with what another plan gives; `change` is the subscription's change of plan.
    InstanceResizeRequested {
        spec: InstanceSpec,
        generation: u32,
        change: u32,
        occurred_at: Timestamp,
    },
    /// It runs with it, or will when it is started.
    InstanceResized {
        subscription_id: String,
        change: u32,
        generation: u32,
        occurred_at: Timestamp,
    },
    InstanceResizeFailed {
        subscription_id: String,
        change: u32,
        generation: u32,
        detail: String,
        occurred_at: Timestamp,
    },
}

contract!(
    InstanceEvent,
    "compute",
    "instance",
    [
        InstanceProvisionRequested,
        InstanceObjectsApplied,
        InstanceReady,
        InstanceUnhealthy,
        InstanceHealingPlanned,
        InstanceHealingGivenUp,
        InstanceDriftDetected,
        InstanceDriftRepaired,
        InstanceDriftStands,
        InstanceRemovalHindered,
        InstanceStartHindered,
        InstanceStopRequested,
        InstanceStopped,
        InstanceStartRequested,
        InstanceRestartRequested,
        InstanceResetRequested,
        InstanceReset,
        InstanceFailed,
        InstanceDeletionRequested,
        InstanceDeleted,
        InstanceLocked,
        InstanceUnlocked,
        InstanceReconfigured,
        InstanceHostsRequested,
        InstanceRestingHostsRequested,
        InstanceHostsChanged,
        InstanceHostsRefused,
        InstanceResizeRequested,
        InstanceResized,
        InstanceResizeFailed,
    ]
);
