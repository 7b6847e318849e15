//! The watch over nodes: what the cluster has becomes facts, and those that joined by themselves and are silent are told.

use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use metrics::gauge;
use minispod_domain::{
    Amounts, AnyCommand, CommandRequest, NodeCommand,
    node::LATE,
    ports::fleet::{self, Fleet, FleetError, NodeSeen, NodeStanding, Resources},
};
use minispod_events::{NodeFacts, NodeTaint};
use minispod_kernel::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{cluster::Cause, watch::ReportSink};

/// Pause between two looks, as long as between two signs of life.
pub const EVERY: Duration = Duration::from_secs(30);

/// Effects of taints that keep customers' pods away, as they tolerate none.
const REPELLING: [&str; 2] = ["NoSchedule", "NoExecute"];

/// What facts and telemetry say of nodes.
#[async_trait]
pub trait NodeBook: Send + Sync {
    /// The nodes that facts know.
    async fn known(&self) -> Result<Vec<KnownNode>, Cause>;

    /// Keeps what the nodes that take pods give, so that no more is sold.
    async fn keep_room(&self, room: Amounts, at: Timestamp) -> Result<(), Cause>;

    /// What everything requests that is sold and to run.
    async fn sold(&self) -> Result<Amounts, Cause>;

    /// Nodes that joined by themselves and gave their last sign of life before `before`.
    async fn silent(&self, before: Timestamp) -> Result<Vec<(String, Timestamp)>, Cause>;
}

/// A node as facts know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    pub name: String,
    /// It joined by itself, and says itself whether it runs.
    pub joined: bool,
    pub ready: bool,
    pub schedulable: bool,
}

/// Why a look was not finished.
#[derive(Debug, thiserror::Error)]
pub enum NodeWatchError {
    #[error("the nodes cannot be looked at")]
    Fleet(#[from] FleetError),
    #[error("what is known of nodes cannot be read")]
    Book(#[source] Cause),
}

/// Tells changes only; several may run, as reports have derived keys and the same report again changes nothing.
pub struct NodeWatch {
    fleet: Arc<dyn Fleet>,
    book: Arc<dyn NodeBook>,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn ReportSink>,
}

impl NodeWatch {
    /// Over a cluster and what is known of it.
    pub fn new(
        fleet: Arc<dyn Fleet>,
        book: Arc<dyn NodeBook>,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn ReportSink>,
    ) -> Self {
        Self { fleet, book, clock, sink }
    }

    /// Until `shutdown`. An unreachable cluster makes no node unready.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut looks = tokio::time::interval(EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = looks.tick() => {}
            }
            if let Err(error) = self.look().await {
                tracing::warn!(error = &error as &dyn Error, "the look at the nodes was not finished");
            }
        }
    }

    /// One look at the cluster and one at who is silent; the one does not wait for the other.
    pub async fn look(&self) -> Result<(), NodeWatchError> {
        let now = self.clock.now();
        let cluster = self.look_at_cluster(now).await;
        for (name, last_seen) in self.book.silent(now.minus(LATE)).await.map_err(NodeWatchError::Book)? {
            self.tell(&name, now, NodeCommand::Miss { last_seen }).await;
        }
        cluster
    }

    async fn look_at_cluster(&self, now: Timestamp) -> Result<(), NodeWatchError> {
        let nodes = self.fleet.nodes().await?;
        for standing in NodeStanding::ALL {
            let count = nodes.iter().filter(|node| node.standing() == standing).count();
            gauge!("minispod_cluster_nodes", "status" => standing.as_str()).set(count as f64);
        }
        let sum = |of: fn(&NodeSeen) -> Resources| {
            nodes.iter().map(|node| of(node).amounts()).fold(Amounts::default(), Amounts::plus)
        };
        show("room", sum(|node| node.room));
        show("requested", sum(|node| node.requested));
        if let Some(used) = fleet::used(&nodes) {
            show("used", used);
        }
        // What is simulated runs nothing, so there is always room for more of it.
        if !self.fleet.is_simulated() {
            self.book.keep_room(room(&nodes), now).await.map_err(NodeWatchError::Book)?;
        }
        let known = self.book.known().await.map_err(NodeWatchError::Book)?;
        for node in &nodes {
            let is_so = known.iter().any(|one| {
                let same = one.joined || one.ready == node.is_ready();
                one.name == node.name && same && one.schedulable == node.schedulable
            });
            if !is_so {
                self.tell(&node.name, now, observation(node)).await;
            }
        }
        for one in known.iter().filter(|one| !one.joined && !nodes.iter().any(|node| node.name == one.name)) {
            self.tell(&one.name, now, NodeCommand::Remove).await;
        }
        // Last: no node waits for what plans say.
        show("sold", self.book.sold().await.map_err(NodeWatchError::Book)?);
        Ok(())
    }

    /// What was not taken is told at the next look.
    async fn tell(&self, name: &str, now: Timestamp, command: NodeCommand) {
        let what = match &command {
            NodeCommand::Observe { ready, schedulable, .. } => format!("seen-{ready}-{schedulable}"),
            NodeCommand::Miss { .. } => "missed".to_owned(),
            _ => "gone".to_owned(),
        };
        let turn = u128::from(now.unix_millis().unsigned_abs()) / EVERY.as_millis();
        let request = CommandRequest {
            key: format!("nodes.{name}.{turn}.{what}"),
            aggregate_id: name.to_owned(),
            command: AnyCommand::Node(command),
            on_refusal: None,
        };
        if let Err(error) = self.sink.report(request).await {
            tracing::warn!(node = name, error = error.as_ref() as &dyn Error, "a node is told of again later");
        }
    }
}

/// Shows amounts of the whole cluster beside each other.
fn show(what: &'static str, amounts: Amounts) {
    gauge!("minispod_cluster_cpu_millis", "what" => what).set(amounts.cpu_millis as f64);
    gauge!("minispod_cluster_memory_bytes", "what" => what).set(amounts.memory_bytes as f64);
}

/// What the nodes give that run and take pods.
fn room(nodes: &[NodeSeen]) -> Amounts {
    let repels = |node: &NodeSeen| node.taints.iter().any(|taint| REPELLING.contains(&taint.effect.as_str()));
    let open = nodes.iter().filter(|node| node.standing() == NodeStanding::Active && !repels(node));
    open.map(given).fold(Amounts::default(), Amounts::plus)
}

/// What pods may have of it; all of it where it does not say.
fn given(node: &NodeSeen) -> Amounts {
    let said = node.allocatable.get("cpu").zip(node.allocatable.get("memory"));
    said.and_then(|(cpu, memory)| Amounts::parse(cpu, memory).ok()).unwrap_or(node.room.amounts())
}

fn observation(node: &NodeSeen) -> NodeCommand {
    let ready = node.conditions.iter().find(|one| one.kind == "Ready");
    let reason = ready.map(|one| if one.message.is_empty() { &one.reason } else { &one.message });
    NodeCommand::Observe {
        facts: facts(node),
        ready: node.is_ready(),
        reason: reason.cloned().unwrap_or_else(|| "it has not said anything yet".to_owned()),
        schedulable: node.schedulable,
    }
}

fn facts(node: &NodeSeen) -> NodeFacts {
    let info = |name: &str| node.info.get(name).filter(|text| !text.is_empty()).cloned();
    let address = |kind: &str| node.addresses.iter().find(|(one, _)| one == kind).map(|(_, address)| address.clone());
    let amount = |name: &str| node.capacity.get(name).cloned().unwrap_or_default();
    NodeFacts {
        hostname: address("Hostname").unwrap_or_else(|| node.name.clone()),
        ip_address: address("InternalIP").unwrap_or_default(),
        architecture: info("architecture").unwrap_or_default(),
        operating_system: info("operatingSystem").unwrap_or_default(),
        cpu_cores: u32::try_from(node.room.cpu_millis / 1000).unwrap_or(u32::MAX),
        cpu_architecture: info("architecture").unwrap_or_default(),
        total_memory: amount("memory"),
        total_storage: amount("ephemeral-storage"),
        max_pods: node.pods_max,
        kubelet_version: info("kubeletVersion"),
        container_runtime: info("containerRuntimeVersion"),
        kernel_version: info("kernelVersion"),
        os_image: info("osImage"),
        labels: node.labels.clone(),
        taints: node
            .taints
            .iter()
            .map(|one| NodeTaint { key: one.key.clone(), value: one.value.clone(), effect: one.effect.clone() })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Mutex};

    use minispod_domain::ports::fleet::{
        Belonging, Condition, DrainWish, Drained, EventSeen, FollowWish, LogFollowed, LogSeen, LogWish, NamespaceSeen,
        Place, PodPlace, Removed, Taint, Usage, WorkloadSeen,
    };
    use minispod_kernel::ManualClock;

    use super::*;

    /// A cluster of these nodes; `None`: it does not answer.
    struct Machines(Mutex<Option<Vec<NodeSeen>>>);

    #[async_trait]
    impl Fleet for Machines {
        fn is_simulated(&self) -> bool {
            false
        }
        async fn log_of(&self, _: &Place, _: &LogWish) -> Result<Option<LogSeen>, FleetError> {
            Ok(None)
        }
        async fn follow_log(&self, _: &Place, _: &FollowWish) -> Result<Option<LogFollowed>, FleetError> {
            Ok(None)
        }
        async fn events_of(&self, _: &Place, _: &str) -> Result<Vec<EventSeen>, FleetError> {
            Ok(Vec::new())
        }
        async fn instances_on(&self, _: &str) -> Result<Vec<String>, FleetError> {
            Ok(Vec::new())
        }
        async fn pods_of(&self, _: &[String]) -> Result<Vec<PodPlace>, FleetError> {
            Ok(Vec::new())
        }
        async fn namespaces(&self) -> Result<Vec<NamespaceSeen>, FleetError> {
            Ok(Vec::new())
        }
        async fn workloads(&self) -> Result<Vec<WorkloadSeen>, FleetError> {
            Ok(Vec::new())
        }
        async fn remove(&self, _: &WorkloadSeen) -> Result<Removed, FleetError> {
            Ok(Removed::default())
        }
        async fn belongings(&self) -> Result<Vec<Belonging>, FleetError> {
            Ok(Vec::new())
        }
        async fn remove_belonging(&self, _: &Belonging) -> Result<(), FleetError> {
            Ok(())
        }
        async fn nodes(&self) -> Result<Vec<NodeSeen>, FleetError> {
            let nodes = self.0.lock().expect("not poisoned").clone();
            nodes.ok_or_else(|| FleetError::Unreachable { what: "look".to_owned(), source: None })
        }
        async fn set_schedulable(&self, _: &str, _: bool) -> Result<Option<NodeSeen>, FleetError> {
            Ok(None)
        }
        async fn take_out_of_service(&self, _: &str) -> Result<Option<NodeSeen>, FleetError> {
            Ok(None)
        }
        async fn drain(&self, _: &str, _: &DrainWish) -> Result<Option<Drained>, FleetError> {
            Ok(None)
        }
    }

    /// What is known, and what was told.
    #[derive(Default)]
    struct Notes {
        known: Mutex<Vec<KnownNode>>,
        silent: Mutex<Vec<(String, Timestamp)>>,
        told: Mutex<Vec<(String, NodeCommand)>>,
        room: Mutex<Option<Amounts>>,
        sold: Amounts,
    }

    #[async_trait]
    impl NodeBook for Notes {
        async fn known(&self) -> Result<Vec<KnownNode>, Cause> {
            Ok(self.known.lock().expect("not poisoned").clone())
        }
        async fn keep_room(&self, room: Amounts, _: Timestamp) -> Result<(), Cause> {
            *self.room.lock().expect("not poisoned") = Some(room);
            Ok(())
        }
        async fn sold(&self) -> Result<Amounts, Cause> {
            Ok(self.sold)
        }
        async fn silent(&self, before: Timestamp) -> Result<Vec<(String, Timestamp)>, Cause> {
            let silent = self.silent.lock().expect("not poisoned");
            Ok(silent.iter().filter(|(_, seen)| *seen <= before).cloned().collect())
        }
    }

    #[async_trait]
    impl ReportSink for Notes {
        async fn report(&self, request: CommandRequest) -> Result<(), Box<dyn Error + Send + Sync>> {
            if let AnyCommand::Node(command) = request.command {
                self.told.lock().expect("not poisoned").push((request.aggregate_id, command));
            }
            Ok(())
        }
    }

    fn node(ready: &str, schedulable: bool) -> NodeSeen {
        let condition = Condition { kind: "Ready".into(), status: ready.into(), ..Condition::default() };
        let at = Timestamp::from_unix_millis(0);
        NodeSeen {
            name: "n".into(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            created_at: at,
            schedulable,
            conditions: vec![condition],
            capacity: BTreeMap::new(),
            allocatable: BTreeMap::new(),
            info: BTreeMap::new(),
            addresses: Vec::new(),
            heartbeat: at,
            room: Resources::default(),
            pods_max: 110,
            pods: 0,
            requested: Resources::default(),
            usage: None,
        }
    }

    #[tokio::test]
    async fn only_what_open_nodes_give_to_pods_is_there_to_be_sold() {
        let room = Resources { cpu_millis: 4_000, memory_bytes: 8 << 30, storage_bytes: 0 };
        let mut whole = node("True", true);
        whole.room = room;
        let mut said = whole.clone();
        said.allocatable = BTreeMap::from([("cpu".into(), "3800m".into()), ("memory".into(), "7Gi".into())]);
        let (mut closed, mut silent) = (node("True", false), node("Unknown", true));
        (closed.room, silent.room) = (room, room);
        let taint = |effect: &str| Taint { key: "role".into(), value: String::new(), effect: effect.into() };
        let control_plane = NodeSeen { taints: vec![taint("NoSchedule")], ..whole.clone() };
        whole.taints = vec![taint("PreferNoSchedule")];
        let machines = Arc::new(Machines(Mutex::new(Some(vec![whole, said, closed, silent, control_plane]))));
        let notes = Arc::new(Notes::default());
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_000_000)));
        let watch = NodeWatch::new(machines, notes.clone(), clock, notes.clone());
        watch.look().await.expect("looked");
        let given = Amounts { cpu_millis: 7_800, memory_bytes: 15 << 30 };
        assert_eq!(*notes.room.lock().expect("not poisoned"), Some(given));
    }

    /// The amounts that one look at `nodes` shows.
    async fn shown(nodes: Vec<NodeSeen>) -> Vec<String> {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _here = metrics::set_default_local_recorder(&recorder);
        let sold = Amounts { cpu_millis: 300, memory_bytes: 3 };
        let notes = Arc::new(Notes { sold, ..Notes::default() });
        let machines = Arc::new(Machines(Mutex::new(Some(nodes))));
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_000_000)));
        NodeWatch::new(machines, notes.clone(), clock, notes).look().await.expect("looked");
        let text = recorder.handle().render();
        let amounts = text.lines().filter(|line| !line.starts_with('#') && line.contains("what="));
        let mut amounts: Vec<String> = amounts.map(str::to_owned).collect();
        amounts.sort_unstable();
        amounts
    }

    #[tokio::test]
    async fn what_is_there_asked_for_used_and_sold_is_shown_side_by_side() {
        let mut measured = node("True", true);
        measured.room = Resources { cpu_millis: 4_000, memory_bytes: 8, storage_bytes: 0 };
        measured.requested = Resources { cpu_millis: 1_500, memory_bytes: 2, storage_bytes: 0 };
        let silent = NodeSeen { name: "o".into(), ..measured.clone() };
        measured.usage = Some(Usage { cpu_millis: 250, memory_bytes: 1, at: measured.created_at });
        let lines = |used: bool| {
            let mut amounts = vec![("requested", 3_000, 4), ("room", 8_000, 16), ("sold", 300, 3)];
            amounts.extend(used.then_some(("used", 250, 1)));
            let cpu =
                amounts.iter().map(|(what, cpu, _)| format!("minispod_cluster_cpu_millis{{what=\"{what}\"}} {cpu}"));
            let memory = amounts
                .iter()
                .map(|(what, _, bytes)| format!("minispod_cluster_memory_bytes{{what=\"{what}\"}} {bytes}"));
            cpu.chain(memory).collect::<Vec<_>>()
        };
        assert_eq!(shown(vec![measured, silent.clone()]).await, lines(true));
        assert_eq!(shown(vec![silent.clone(), silent]).await, lines(false), "what nobody measures is not nothing");
    }

    #[tokio::test]
    async fn only_changes_are_told_and_a_cluster_that_is_away_changes_nothing() {
        let machines = Arc::new(Machines(Mutex::new(Some(vec![node("True", true)]))));
        let notes = Arc::new(Notes::default());
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_000_000)));
        let watch = NodeWatch::new(machines.clone(), notes.clone(), clock.clone(), notes.clone());
        let told = || std::mem::take(&mut *notes.told.lock().expect("not poisoned"));
        let set = |nodes: Option<Vec<NodeSeen>>| *machines.0.lock().expect("not poisoned") = nodes;
        let known = |joined, ready| {
            let node = KnownNode { name: "n".into(), joined, ready, schedulable: true };
            *notes.known.lock().expect("not poisoned") = vec![node];
        };
        watch.look().await.expect("looked");
        assert!(matches!(told().as_slice(), [(_, NodeCommand::Observe { ready: true, schedulable: true, .. })]));
        known(false, true);
        watch.look().await.expect("looked");
        assert_eq!(told(), []);
        known(true, false);
        watch.look().await.expect("looked");
        assert_eq!(told(), [], "it says itself whether it runs");
        set(Some(vec![node("True", false)]));
        watch.look().await.expect("looked");
        assert!(matches!(told().as_slice(), [(_, NodeCommand::Observe { schedulable: false, .. })]));
        known(false, true);
        set(None);
        let seen = clock.now();
        *notes.silent.lock().expect("not poisoned") = vec![("joined".into(), seen)];
        clock.advance(LATE.saturating_sub(Duration::from_secs(1)));
        assert!(watch.look().await.is_err());
        assert_eq!(told(), [], "nobody is late yet, and nothing is known of the cluster");
        clock.advance(Duration::from_secs(1));
        assert!(watch.look().await.is_err());
        assert_eq!(told(), [("joined".to_owned(), NodeCommand::Miss { last_seen: seen })]);
        notes.silent.lock().expect("not poisoned").clear();
        set(Some(Vec::new()));
        watch.look().await.expect("looked");
        assert_eq!(told(), [("n".to_owned(), NodeCommand::Remove)], "the cluster has it no more");
    }
}
