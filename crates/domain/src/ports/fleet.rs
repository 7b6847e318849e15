//! The cluster as administrators look at it and keep it: nodes, what instances print, and what belongs to nobody.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use minispod_kernel::Timestamp;

use crate::Amounts;

/// Most lines of a log in one answer. Whoever goes on with a followed log is given as many from before, so that a short
/// break leaves no gap.
pub const LINES_MAX: u32 = 1_000;

/// The live cluster. Everything is asked anew at every call; nothing of it is a fact of the log.
#[async_trait]
pub trait Fleet: Send + Sync {
    /// Whether no real cluster answers; said in every answer.
    fn is_simulated(&self) -> bool;

    /// The newest lines that an instance's program printed; `None` when it has no pod.
    async fn log_of(&self, place: &Place, wish: &LogWish) -> Result<Option<LogSeen>, FleetError>;

    /// The lines that an instance's program prints from now on, and some from before; `None` when it has no pod.
    async fn follow_log(&self, place: &Place, wish: &FollowWish) -> Result<Option<LogFollowed>, FleetError>;

    /// What the cluster says happened to the objects of an instance lately, the newest first.
    async fn events_of(&self, place: &Place, workload: &str) -> Result<Vec<EventSeen>, FleetError>;

    /// Ids of the instances that have a pod on a node.
    async fn instances_on(&self, node: &str) -> Result<Vec<String>, FleetError>;

    /// The pods of these instances, the one that was made last first. What is no aggregate id has none.
    async fn pods_of(&self, instance_ids: &[String]) -> Result<Vec<PodPlace>, FleetError>;

    /// All namespaces, by name.
    async fn namespaces(&self) -> Result<Vec<NamespaceSeen>, FleetError>;

    /// The workloads in the namespaces of customers, by namespace and name; whoever made them.
    async fn workloads(&self) -> Result<Vec<WorkloadSeen>, FleetError>;

    /// Deletes exactly this workload as it was seen, and the services and ingresses that its instance has before that;
    /// volumes stay. One that was written since stays, and that is a refusal; of what is beside it, a failure.
    async fn remove(&self, workload: &WorkloadSeen) -> Result<Removed, FleetError>;

    /// Everything of ours in customers' namespaces that is not a workload, by namespace and name.
    async fn belongings(&self) -> Result<Vec<Belonging>, FleetError>;

    /// Deletes exactly this object as it was seen: one that was written since stays, and that is a refusal.
    async fn remove_belonging(&self, belonging: &Belonging) -> Result<(), FleetError>;

    /// All nodes, by name.
    async fn nodes(&self) -> Result<Vec<NodeSeen>, FleetError>;

    /// Opens a node to new pods, or closes it; `None` when there is no such node.
    async fn set_schedulable(&self, node: &str, schedulable: bool) -> Result<Option<NodeSeen>, FleetError>;

    /// Tells the cluster that a node's machine is off for certain, so that what it had runs elsewhere with its volumes; one
    /// that still answers is refused. Opening the node takes that back. `None` when there is no such node.
    async fn take_out_of_service(&self, node: &str) -> Result<Option<NodeSeen>, FleetError>;

    /// Closes a node and moves its pods away, within the wish's time; `None` when there is no such node.
    async fn drain(&self, node: &str, wish: &DrainWish) -> Result<Option<Drained>, FleetError>;
}

/// Why the cluster did not answer, or not with yes.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Passes by itself.
    #[error("{what}: the cluster could not be reached")]
    Unreachable {
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// An operator must grant it to this process.
    #[error("{what}: this process may not do this in the cluster: {reason}")]
    NotPermitted { what: String, reason: String },
    /// The cluster says no.
    #[error("{what}: {reason}")]
    Refused { what: String, reason: String },
}

/// Where an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub namespace: String,
    pub instance_id: String,
}

/// Where a pod of an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodPlace {
    pub instance_id: String,
    pub name: String,
    /// Which part of the instance it is: `app` is the program itself.
    pub component: String,
    /// The node it was placed on; `None` while there is none for it.
    pub node: Option<String>,
    /// Its own address inside the cluster; `None` before it has one.
    pub pod_ip: Option<String>,
    /// Kubernetes' word: `Running`.
    pub phase: String,
}

/// Which lines are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogWish {
    /// At most so many, the newest.
    pub lines: u32,
    /// None older.
    pub since: Option<Timestamp>,
    /// Each line begins with its instant.
    pub timestamps: bool,
}

/// What a pod printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSeen {
    pub pod: String,
    pub text: String,
}

/// Where following a log begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowWish {
    /// So many lines from before, unless `after` says where to go on.
    pub lines: u32,
    /// Only lines after this instant, in nanoseconds since 1970: the last one that was seen.
    pub after: Option<i64>,
}

/// A line that was printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When, in nanoseconds since 1970; that of the line before where the cluster does not say.
    pub nanos: i64,
    pub text: String,
}

/// A log that goes on.
pub struct LogFollowed {
    pub pod: String,
    /// Ends with the container.
    pub lines: BoxStream<'static, Result<LogLine, FleetError>>,
}

/// What happened to an object, as the cluster tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSeen {
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// Kind and name: `Pod n8n-x-7d9f`.
    pub object: String,
    /// The cluster's word: `FailedScheduling`.
    pub reason: String,
    pub message: String,
    /// Something is wrong.
    pub warning: bool,
    /// How often.
    pub count: u32,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceSeen {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub created_at: Timestamp,
    /// It is one of a customer's.
    pub managed: bool,
}

/// A workload in a customer's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadSeen {
    pub namespace: String,
    pub name: String,
    /// The cluster's own id of it: another one of the same name is another workload.
    pub uid: String,
    /// Changes with every write to it, those of its status too.
    pub resource_version: String,
    /// The instance that it says to be of.
    pub instance_id: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub created_at: Timestamp,
    pub replicas: u32,
    pub ready_replicas: u32,
}

/// What went with a workload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    pub services: Vec<String>,
    pub ingresses: Vec<String>,
    /// What did not go: its name, and why.
    pub failures: Vec<(String, String)>,
}

/// What an instance has in a customer's namespace beside its workloads. What all instances of a customer share is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Belonging {
    pub kind: BelongingKind,
    pub namespace: String,
    pub name: String,
    /// The cluster's own id of it: another one of the same name is another object.
    pub uid: String,
    /// Changes with every write to it.
    pub resource_version: String,
    /// The instance that it says to be of.
    pub instance_id: Option<String>,
    pub created_at: Timestamp,
}

/// What kind of object it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BelongingKind {
    Volume,
    Secret,
    Service,
    Ingress,
    NetworkPolicy,
}

impl BelongingKind {
    /// Every value.
    pub const ALL: [Self; 5] = [Self::Volume, Self::Secret, Self::Service, Self::Ingress, Self::NetworkPolicy];

    /// Kubernetes' word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Volume => "PersistentVolumeClaim",
            Self::Secret => "Secret",
            Self::Service => "Service",
            Self::Ingress => "Ingress",
            Self::NetworkPolicy => "NetworkPolicy",
        }
    }
}

/// How a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeStanding {
    /// It has not said anything yet.
    Pending,
    Active,
    /// Closed to new pods.
    Maintenance,
    /// It says itself that it is not ready.
    NotReady,
    /// Nobody has heard of it for too long.
    Inactive,
}

impl NodeStanding {
    /// Every value.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Active, Self::Inactive, Self::Maintenance, Self::NotReady];

    /// The contract's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Active => "ACTIVE",
            Self::Maintenance => "MAINTENANCE",
            Self::NotReady => "NOT_READY",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSeen {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub created_at: Timestamp,
    /// It takes new pods.
    pub schedulable: bool,
    pub conditions: Vec<Condition>,
    /// In the cluster's own quantities.
    pub capacity: BTreeMap<String, String>,
    pub allocatable: BTreeMap<String, String>,
    /// Architecture, versions and the like, by the cluster's names.
    pub info: BTreeMap<String, String>,
    /// Kind (`InternalIP`, `Hostname`) and address.
    pub addresses: Vec<(String, String)>,
    /// Its last sign of life.
    pub heartbeat: Timestamp,
    /// What it has.
    pub room: Resources,
    pub pods_max: u32,
    /// Pods that have not ended.
    pub pods: u32,
    /// What those asked for.
    pub requested: Resources,
    /// What they use; `None` when nobody measures.
    pub usage: Option<Usage>,
}

impl NodeSeen {
    /// Its own word on whether it is ready: `True`, `False` or `Unknown`.
    fn ready(&self) -> Option<&str> {
        self.conditions.iter().find(|one| one.kind == "Ready").map(|one| one.status.as_str())
    }

    /// Whether it runs what it has.
    pub fn is_ready(&self) -> bool {
        self.ready() == Some("True")
    }

    /// How it stands: what does not run counts before what is closed.
    pub fn standing(&self) -> NodeStanding {
        match self.ready() {
            None => NodeStanding::Pending,
            Some("True") if self.schedulable => NodeStanding::Active,
            Some("True") => NodeStanding::Maintenance,
            Some("False") => NodeStanding::NotReady,
            Some(_) => NodeStanding::Inactive,
        }
    }
}

/// Keeps pods away that do not tolerate it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    pub key: String,
    pub value: String,
    pub effect: String,
}

/// What all nodes together use, of those that are measured; `None` when nobody measures.
pub fn used(nodes: &[NodeSeen]) -> Option<Amounts> {
    let measured = nodes.iter().filter_map(|node| node.usage);
    measured
        .map(|usage| Amounts { cpu_millis: usage.cpu_millis, memory_bytes: usage.memory_bytes })
        .reduce(Amounts::plus)
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    pub reason: String,
    pub message: String,
    pub heartbeat_at: Option<Timestamp>,
    pub changed_at: Option<Timestamp>,
}

/// Amounts of what pods share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    /// Of the node's own disk.
    pub storage_bytes: u64,
}

impl Resources {
    /// Without the disk, which nobody sells.
    pub const fn amounts(self) -> Amounts {
        Amounts { cpu_millis: self.cpu_millis, memory_bytes: self.memory_bytes }
    }
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    pub at: Timestamp,
}

/// How to empty a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainWish {
    /// How long a pod may take to stop.
    pub grace: Duration,
    /// How long all of it may take.
    pub timeout: Duration,
    /// Also pods that nothing would bring back.
    pub force: bool,
    /// Also pods that keep data on the node itself; what an instance keeps lies on its volumes.
    pub delete_local_data: bool,
}

/// A node after draining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drained {
    pub node: NodeSeen,
    pub evictions: Vec<Eviction>,
}

/// What became of a pod that was to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    pub namespace: String,
    pub name: String,
    /// Why it is still there.
    pub fault: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: Option<&str>, schedulable: bool) -> NodeSeen {
        let at = Timestamp::from_unix_millis(0);
        let condition =
            |status: &str| Condition { kind: "Ready".into(), status: status.into(), ..Condition::default() };
        NodeSeen {
            name: "n".into(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            created_at: at,
            schedulable,
            conditions: ready.map(condition).into_iter().collect(),
            capacity: BTreeMap::new(),
            allocatable: BTreeMap::new(),
            info: BTreeMap::new(),
            addresses: Vec::new(),
            heartbeat: at,
            room: Resources::default(),
            pods_max: 0,
            pods: 0,
            requested: Resources::default(),
            usage: None,
        }
    }

    #[test]
    fn what_nobody_measures_is_not_taken_for_nothing() {
        let at = Timestamp::from_unix_millis(0);
        let measured = |cpu_millis, memory_bytes| NodeSeen {
            usage: Some(Usage { cpu_millis, memory_bytes, at }),
            ..node(Some("True"), true)
        };
        let silent = node(Some("True"), true);
        assert_eq!(used(&[silent.clone(), silent.clone()]), None);
        assert_eq!(used(&[]), None);
        let sum = Amounts { cpu_millis: 500, memory_bytes: 3 };
        assert_eq!(used(&[measured(400, 1), silent, measured(100, 2)]), Some(sum));
        assert_eq!(used(&[measured(0, 0)]), Some(Amounts::default()), "idle is measured too");
    }

    #[test]
    fn a_node_is_active_only_when_it_says_so_itself_and_is_open() {
        let standing = |ready: Option<&str>, schedulable| {
            let node = node(ready, schedulable);
            (node.standing(), node.is_ready())
        };
        assert_eq!(standing(Some("True"), true), (NodeStanding::Active, true));
        assert_eq!(standing(Some("True"), false), (NodeStanding::Maintenance, true));
        assert_eq!(standing(Some("False"), true), (NodeStanding::NotReady, false));
        assert_eq!(standing(Some("Unknown"), false), (NodeStanding::Inactive, false));
        assert_eq!(standing(None, true), (NodeStanding::Pending, false));
    }
}
