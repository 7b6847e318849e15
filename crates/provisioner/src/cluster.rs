//! The port to a cluster: apply, observe, scale, delete, watch; and its failures in words.

use std::{collections::BTreeMap, error::Error, net::IpAddr, time::Duration};

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

    /// The same, but ends before the first object that a newer request than `upto` wrote; what is written meanwhile stays.
    /// Objects without a generation are shared by instances and applied as they are. `made` gets those that were not there
    /// before, whether all goes well or not.
    async fn apply_upto(&self, objects: &[Value], upto: Age, made: &mut Vec<Made>) -> Result<Applied, ClusterError>;

    /// Takes back what [`Cluster::apply_upto`] made, as far as no newer request than `upto` wrote it since.
    async fn unmake(&self, made: &[Made], upto: Age) -> Result<(), ClusterError>;

    /// The address of a Service inside the cluster; none where it has none.
    async fn service_address(&self, namespace: &str, service: &str) -> Result<Option<IpAddr>, ClusterError>;

    /// How the volumes of a class are kept; `None` where there is no such class.
    async fn storage_class(&self, name: &str) -> Result<Option<VolumeClass>, ClusterError>;

    /// What there is of an instance.
    async fn observe(&self, target: &Target) -> Result<Observed, ClusterError>;

    /// Sets the number of copies of the instance's workloads that no newer generation wrote, and marks them with `generation`,
    /// so that nothing older writes over it. Fine when there are none.
    async fn scale(&self, target: &Target, replicas: u32, generation: u32) -> Result<(), ClusterError>;

    /// Asks for what `removal` names to go, as far as it was written for generation `upto` or an earlier one: what has
    /// begun anew since is never touched. Fine when it is gone already.
    async fn delete(&self, target: &Target, removal: Removal, upto: u32) -> Result<(), ClusterError>;

    /// What of the instance was asked to go and does not.
    async fn leftovers(&self, target: &Target) -> Result<Vec<Leftover>, ClusterError>;

    /// Which of the objects are not as an apply would make them. Changes nothing.
    async fn compare(&self, objects: &[Value]) -> Result<Vec<Drift>, ClusterError>;

    /// One number per instance that changes whenever somebody writes one of its objects or its customer's.
    async fn inventory(&self) -> Result<Inventory, ClusterError>;

    /// What instances use now; none where nobody measures.
    async fn usage(&self) -> Result<Vec<InstanceUsage>, ClusterError>;

    /// All instances there are, and a mark to wait from.
    async fn survey(&self) -> Result<Survey, ClusterError>;

    /// Waits for a change of any instance after `mark`, at most `within`; `false` when nothing was seen.
    async fn changed(&self, mark: &str, within: Duration) -> Result<bool, ClusterError>;
}

/// How the volumes of a class are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeClass {
    /// What is deleted is gone. Otherwise the cluster keeps it, and with it the data of what was purged.
    pub deletes: bool,
    /// They may grow.
    pub grows: bool,
}

/// Which instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub namespace: String,
    pub instance_id: String,
}

/// How new a request is: by its generation, and within one by the log position of the fact that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age {
    pub generation: u32,
    pub position: i64,
}

/// How much of an instance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Everything but its volumes.
    Program,
    /// Everything.
    Everything,
    /// Only what leads to it from outside.
    Doors,
    /// Its workloads and volumes; addresses, certificates and secrets stay for what begins anew.
    Data,
}

/// What all pods of an instance use together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceUsage {
    pub instance_id: String,
    /// Thousandths of a core.
    pub cpu_millis: u64,
    pub memory_bytes: u64,
}

/// An object that was asked to go and is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// `Service customer-x/n8n-y`.
    pub object: String,
    /// What must take its name off the object first.
    pub finalizers: Vec<String>,
    /// When it was asked to go.
    pub since: Option<Timestamp>,
}

/// See [`Cluster::inventory`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    instances: BTreeMap<Target, u64>,
    namespaces: BTreeMap<String, u64>,
}

impl Inventory {
    /// Adds one object's number; the order does not matter.
    pub fn add(&mut self, namespace: &str, instance_id: Option<&str>, number: u64) {
        let sum = match instance_id {
            Some(id) => {
                let target = Target { namespace: namespace.to_owned(), instance_id: id.to_owned() };
                self.instances.entry(target).or_default()
            }
            None => self.namespaces.entry(namespace.to_owned()).or_default(),
        };
        *sum = sum.wrapping_add(number);
    }

    /// The instance's number; that of its namespace alone when nothing of it is there.
    pub fn of(&self, target: &Target) -> u64 {
        let own = self.instances.get(target).copied().unwrap_or_default();
        own.wrapping_mul(31).wrapping_add(self.namespaces.get(&target.namespace).copied().unwrap_or_default())
    }
}

/// An object that was not there before it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub api_version: String,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    /// Another one of the same name is another object.
    pub uid: String,
}

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Objects taken.
    pub objects: usize,
    /// Objects of ours that somebody else had changed, put right again.
    pub repaired: Vec<Drift>,
    /// It ended before an object that a newer request wrote.
    pub overtaken: bool,
}

/// One of our objects that is not as it was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// `Deployment customer-x/n8n-y`.
    pub object: String,
    /// It is not there.
    pub missing: bool,
    /// Who took the fields; empty when the cluster does not say.
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
    /// The mark of the plan that it was applied by; empty on others than the program's, and when unknown.
    pub plan: String,
    /// The mark of that plan without its doors.
    pub program: String,
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

impl Age {
    /// Whatever was asked within `generation`.
    pub const fn of_generation(generation: u32) -> Self {
        Self { generation, position: i64::MAX }
    }
}

impl Observed {
    /// The newest generation anything was written for.
    pub fn generation(&self) -> u32 {
        self.workloads.iter().map(|workload| workload.generation).max().unwrap_or(0)
    }

    /// Whether neither workload nor pod is left.
    pub fn rests(&self) -> bool {
        self.workloads.is_empty() && self.pods.is_empty()
    }

    /// Whether nothing is left but volumes.
    pub fn is_gone(&self) -> bool {
        self.rests() && self.others == 0
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
    /// The namespace is on its way out, and `reason` is what holds it: passes once it is gone.
    #[error("{what}: its namespace is being deleted: {reason}")]
    Ending { what: String, reason: String },
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
        matches!(self, Self::Unreachable { .. } | Self::Ending { .. } | Self::NotPermitted { .. })
    }

    /// What was tried.
    pub fn what(&self) -> &str {
        match self {
            Self::Unreachable { what, .. }
            | Self::Ending { what, .. }
            | Self::NotPermitted { what, .. }
            | Self::Forbidden { what, .. }
            | Self::Invalid { what, .. }
            | Self::QuotaExceeded { what, .. }
            | Self::Conflict { what, .. } => what,
        }
    }

    /// For metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Ending { .. } => "ending",
            Self::NotPermitted { .. } => "not_permitted",
            Self::Forbidden { .. } => "forbidden",
            Self::Invalid { .. } => "invalid",
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::Conflict { .. } => "conflict",
        }
    }
}
