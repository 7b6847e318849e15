//! The port to a cluster: apply, observe, scale, delete, watch; and its failures in words.

use std::{error::Error, time::Duration};

use async_trait::async_trait;
use minispod_kernel::Timestamp;
use serde_json::Value;

/// Something that can run instances.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// `kubernetes` or `simulated`; shown to operators and recorded with every instance.
    fn kind(&self) -> &'static str;

    /// Makes the objects so, in order, by server-side apply. The same objects again change nothing.
    async fn apply(&self, objects: &[Value]) -> Result<Applied, ClusterError>;

    /// What there is of an instance.
    async fn observe(&self, target: &Target) -> Result<Observed, ClusterError>;

    /// Sets the number of copies of all the instance's workloads. Fine when there are none.
    async fn scale(&self, target: &Target, replicas: u32) -> Result<(), ClusterError>;

    /// Asks for everything of the instance to go; its volumes only with `purge`. Fine when it is gone already.
    async fn delete(&self, target: &Target, purge: bool) -> Result<(), ClusterError>;

    /// All instances there are, and a mark to wait from.
    async fn survey(&self) -> Result<Survey, ClusterError>;

    /// Waits for a change of any instance after `mark`, at most `within`; `false` when nothing was seen.
    async fn changed(&self, mark: &str, within: Duration) -> Result<bool, ClusterError>;
}

/// Which instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub namespace: String,
    pub instance_id: String,
}

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Objects taken.
    pub objects: usize,
    /// Objects of ours that somebody else had changed, put right again.
    pub repaired: Vec<Drift>,
}

/// Fields of one of our objects that another manager had taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// `Deployment customer-x/n8n-y`.
    pub object: String,
    pub managers: Vec<String>,
    pub fields: Vec<String>,
}

/// What there is of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    pub workloads: Vec<Workload>,
    pub pods: Vec<PodSeen>,
    /// Names of its volume claims.
    pub volumes: Vec<String>,
    /// Services, ingresses, secrets, policies and the like that still exist.
    pub others: usize,
}

/// A Deployment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workload {
    pub name: String,
    pub component: String,
    /// The instance's generation that wrote it; 0 when unknown.
    pub generation: u32,
    /// The address the instance answers at; empty when unknown.
    pub address: String,
    /// Components that the program needs beside it; empty on all other workloads.
    pub companions: Vec<String>,
    /// Whether the cluster has looked at the newest version of it.
    pub observed: bool,
    pub wanted: u32,
    pub updated: u32,
    pub ready: u32,
    pub total: u32,
    /// Why pods cannot even be made (quota, Pod Security), in the cluster's words.
    pub refused: Option<String>,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodSeen {
    pub name: String,
    pub component: String,
    /// The instance's generation that the pod was made for; 0 when unknown.
    pub generation: u32,
    pub phase: String,
    pub ready: bool,
    pub leaving: bool,
    pub since: Option<Timestamp>,
    pub restarts: u32,
    /// Why a container waits: `ImagePullBackOff`, `CrashLoopBackOff` ...
    pub waiting: Option<Reason>,
    /// How a container ended last: `OOMKilled`, `Error`.
    pub ended: Option<Reason>,
    /// Why no node takes it.
    pub unschedulable: Option<String>,
}

/// The cluster's short word and its sentence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reason {
    pub word: String,
    pub sentence: String,
}

/// All instances at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    pub instances: Vec<(Target, Observed)>,
    /// For [`Cluster::changed`].
    pub mark: String,
}

impl Observed {
    /// The newest generation anything was written for.
    pub fn generation(&self) -> u32 {
        self.workloads.iter().map(|workload| workload.generation).max().unwrap_or(0)
    }

    /// Whether nothing is left but volumes.
    pub fn is_gone(&self) -> bool {
        self.workloads.is_empty() && self.pods.is_empty() && self.others == 0
    }
}

/// A cause that came from outside.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a cluster did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Nobody answered, or answered that it cannot now: passes.
    #[error("{what}: the cluster could not be reached")]
    Unreachable {
        what: String,
        #[source]
        source: Option<Cause>,
    },
    /// Our own identity may not do this: an operator must grant it.
    #[error("{what}: the provisioner may not do this: {reason}")]
    NotPermitted { what: String, reason: String },
    /// A rule of the cluster forbids the object (Pod Security, admission).
    #[error("{what}: forbidden: {reason}")]
    Forbidden { what: String, reason: String },
    /// The object is not valid.
    #[error("{what}: not valid: {reason}")]
    Invalid { what: String, reason: String },
    /// The customer's bound is reached.
    #[error("{what}: over the customer's quota: {reason}")]
    QuotaExceeded { what: String, reason: String },
    /// The object belongs to somebody else.
    #[error("{what}: belongs to {manager}")]
    Conflict { what: String, manager: String },
}

impl ClusterError {
    /// Whether trying again may help without anybody changing the request.
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NotPermitted { .. })
    }

    /// For metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::NotPermitted { .. } => "not_permitted",
            Self::Forbidden { .. } => "forbidden",
            Self::Invalid { .. } => "invalid",
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::Conflict { .. } => "conflict",
        }
    }
}
