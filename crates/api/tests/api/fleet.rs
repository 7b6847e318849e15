//! A cluster that says what a test lays into it, and remembers what it was asked to do.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use minispod_domain::ports::fleet::{
    Belonging, BelongingKind, Condition, DrainWish, Drained, EventSeen, Eviction, Fleet, FleetError, FollowWish,
    LogFollowed, LogLine, LogSeen, LogWish, NamespaceSeen, NodeSeen, Place, PodPlace, Removed, Resources, Taint, Usage,
    WorkloadSeen,
};
use minispod_kernel::Timestamp;

/// What there is.
#[derive(Default)]
pub struct Laid {
    pub nodes: Vec<NodeSeen>,
    pub workloads: Vec<WorkloadSeen>,
    pub belongings: Vec<Belonging>,
    /// Names of what somebody else writes right after each look.
    pub rewritten: Vec<String>,
    pub on_nodes: BTreeMap<String, Vec<String>>,
    pub pods: Vec<PodPlace>,
    /// Looks at where pods are, and the instances each was for.
    pub looks_at_pods: Vec<Vec<String>>,
    pub log: Option<LogSeen>,
    /// What whoever follows is told, and whether it goes on afterwards.
    pub lines: Vec<LogLine>,
    pub goes_on: bool,
    pub events: Vec<EventSeen>,
    /// Nobody answers.
    pub away: bool,
    /// How many deletions are answered before nobody answers those; `None`: all.
    pub deletions: Option<u32>,
    /// What it was asked to do, in words.
    pub asked: Vec<String>,
}

/// The cluster.
#[derive(Default)]
pub struct PlayedFleet(Mutex<Laid>);

impl PlayedFleet {
    /// To lay something into it, or to see what was asked.
    pub fn laid(&self) -> MutexGuard<'_, Laid> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self) -> Result<MutexGuard<'_, Laid>, FleetError> {
        let laid = self.laid();
        if laid.away {
            return Err(no_answer());
        }
        Ok(laid)
    }

    /// The same to delete something.
    fn reach_to_delete(&self, name: &str) -> Result<MutexGuard<'_, Laid>, FleetError> {
        let mut laid = self.reach()?;
        laid.asked.push(format!("delete {name}"));
        match laid.deletions {
            Some(0) => return Err(no_answer()),
            Some(left) => laid.deletions = Some(left - 1),
            None => {}
        }
        Ok(laid)
    }
}

/// A node that is ready and measured.
pub fn node(name: &str) -> NodeSeen {
    let at = Timestamp::from_unix_millis(1_790_000_000_000);
    let text = |text: &str| text.to_owned();
    let amounts = [("cpu", "4"), ("memory", "8Gi"), ("ephemeral-storage", "10Gi"), ("pods", "110")];
    let amounts: BTreeMap<String, String> = amounts.map(|(name, amount)| (text(name), text(amount))).into();
    let info = [
        "architecture",
        "bootID",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "kubeletVersion",
        "machineID",
        "operatingSystem",
        "osImage",
        "systemUUID",
    ];
    NodeSeen {
        name: text(name),
        labels: BTreeMap::from([(text("zone"), text("a"))]),
        taints: vec![Taint { key: text("k"), value: String::new(), effect: text("NoSchedule") }],
        created_at: at,
        schedulable: true,
        conditions: vec![Condition {
            kind: text("Ready"),
            status: text("True"),
            heartbeat_at: Some(at),
            changed_at: Some(at),
            ..Condition::default()
        }],
        allocatable: amounts.clone(),
        capacity: amounts,
        info: info.map(|name| (text(name), format!("its {name}"))).into(),
        addresses: vec![(text("InternalIP"), text("10.0.0.1")), (text("Hostname"), format!("{name}.local"))],
        heartbeat: at,
        room: Resources { cpu_millis: 4_000, memory_bytes: 8 << 30, storage_bytes: 10 << 30 },
        pods_max: 110,
        pods: 3,
        requested: Resources { cpu_millis: 1_500, memory_bytes: 2 << 30, storage_bytes: 0 },
        usage: Some(Usage { cpu_millis: 400, memory_bytes: 1 << 30, at }),
    }
}

/// A workload of `instance_id` in a customer's namespace.
pub fn workload(namespace: &str, name: &str, instance_id: Option<&str>) -> WorkloadSeen {
    WorkloadSeen {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: format!("{namespace}-{name}"),
        resource_version: "1".to_owned(),
        instance_id: instance_id.map(str::to_owned),
        labels: BTreeMap::new(),
        created_at: Timestamp::from_unix_millis(1_790_000_000_000),
        replicas: 1,
        ready_replicas: 1,
    }
}

/// What `instance_id` has beside its workload in a customer's namespace.
pub fn belonging(kind: BelongingKind, namespace: &str, name: &str, instance_id: &str) -> Belonging {
    Belonging {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: format!("{}-{namespace}-{name}", kind.as_str()),
        resource_version: "1".to_owned(),
        instance_id: Some(instance_id.to_owned()),
        created_at: Timestamp::from_unix_millis(1_790_000_000_000),
    }
}

/// A pod of `instance_id`'s program on `node`.
pub fn pod(instance_id: &str, node: &str) -> PodPlace {
    PodPlace {
        instance_id: instance_id.to_owned(),
        name: format!("n8n-{instance_id}-1"),
        component: "app".to_owned(),
        node: Some(node.to_owned()),
        pod_ip: Some("10.42.0.7".to_owned()),
        phase: "Running".to_owned(),
    }
}

fn no_answer() -> FleetError {
    FleetError::Unreachable { what: "look".into(), source: Some("connect 10.1.2.3".into()) }
}

fn changed(name: &str) -> FleetError {
    FleetError::Refused { what: format!("delete {name}"), reason: "it was changed meanwhile".to_owned() }
}

#[async_trait]
impl Fleet for PlayedFleet {
    fn is_simulated(&self) -> bool {
        true
    }

    async fn log_of(&self, place: &Place, wish: &LogWish) -> Result<Option<LogSeen>, FleetError> {
        let mut laid = self.reach()?;
        let since = wish.since.map(Timestamp::to_contract);
        laid.asked.push(format!("log {} {} {since:?} {}", place.instance_id, wish.lines, wish.timestamps));
        Ok(laid.log.clone())
    }

    async fn follow_log(&self, place: &Place, wish: &FollowWish) -> Result<Option<LogFollowed>, FleetError> {
        let mut laid = self.reach()?;
        laid.asked.push(format!("follow {} {} {:?}", place.instance_id, wish.lines, wish.after));
        let Some(pod) = laid.log.as_ref().map(|log| log.pod.clone()) else { return Ok(None) };
        let after = wish.after.unwrap_or_default();
        let lines: Vec<_> = laid.lines.iter().filter(|line| line.nanos > after).cloned().map(Ok).collect();
        let lines = if laid.goes_on {
            stream::iter(lines).chain(stream::pending()).boxed()
        } else {
            stream::iter(lines).boxed()
        };
        Ok(Some(LogFollowed { pod, lines }))
    }

    async fn events_of(&self, _: &Place, workload: &str) -> Result<Vec<EventSeen>, FleetError> {
        let mut laid = self.reach()?;
        laid.asked.push(format!("events {workload}"));
        Ok(laid.events.clone())
    }

    async fn instances_on(&self, node: &str) -> Result<Vec<String>, FleetError> {
        Ok(self.reach()?.on_nodes.get(node).cloned().unwrap_or_default())
    }

    async fn pods_of(&self, instance_ids: &[String]) -> Result<Vec<PodPlace>, FleetError> {
        let mut laid = self.reach()?;
        laid.looks_at_pods.push(instance_ids.to_vec());
        Ok(laid.pods.iter().filter(|one| instance_ids.contains(&one.instance_id)).cloned().collect())
    }

    async fn namespaces(&self) -> Result<Vec<NamespaceSeen>, FleetError> {
        let laid = self.reach()?;
        let mut names: Vec<String> = laid.workloads.iter().map(|one| one.namespace.clone()).collect();
        names.dedup();
        let seen = |name: String| NamespaceSeen {
            name,
            labels: BTreeMap::from([("minispod.dev/customer".to_owned(), "x".to_owned())]),
            created_at: Timestamp::from_unix_millis(0),
            managed: true,
        };
        Ok(names.into_iter().map(seen).collect())
    }

    async fn workloads(&self) -> Result<Vec<WorkloadSeen>, FleetError> {
        let mut laid = self.reach()?;
        let laid = &mut *laid;
        let seen = laid.workloads.clone();
        for one in laid.workloads.iter_mut().filter(|one| laid.rewritten.contains(&one.name)) {
            one.resource_version.push('1');
        }
        Ok(seen)
    }

    async fn remove(&self, workload: &WorkloadSeen) -> Result<Removed, FleetError> {
        let mut laid = self.reach_to_delete(&workload.name)?;
        let Some(place) = laid.workloads.iter().position(|one| one.uid == workload.uid) else {
            return Ok(Removed::default());
        };
        if laid.workloads[place].resource_version != workload.resource_version {
            return Err(changed(&workload.name));
        }
        laid.workloads.remove(place);
        laid.belongings.retain(|one| {
            one.kind != BelongingKind::Service || one.namespace != workload.namespace || one.name != workload.name
        });
        Ok(Removed { services: vec![workload.name.clone()], ..Removed::default() })
    }

    async fn belongings(&self) -> Result<Vec<Belonging>, FleetError> {
        let mut laid = self.reach()?;
        let laid = &mut *laid;
        let seen = laid.belongings.clone();
        for one in laid.belongings.iter_mut().filter(|one| laid.rewritten.contains(&one.name)) {
            one.resource_version.push('1');
        }
        Ok(seen)
    }

    async fn remove_belonging(&self, belonging: &Belonging) -> Result<(), FleetError> {
        let mut laid = self.reach_to_delete(&belonging.name)?;
        let Some(place) = laid.belongings.iter().position(|one| one.uid == belonging.uid) else { return Ok(()) };
        if laid.belongings[place].resource_version != belonging.resource_version {
            return Err(changed(&belonging.name));
        }
        laid.belongings.remove(place);
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeSeen>, FleetError> {
        Ok(self.reach()?.nodes.clone())
    }

    async fn set_schedulable(&self, node: &str, schedulable: bool) -> Result<Option<NodeSeen>, FleetError> {
        let mut laid = self.reach()?;
        Ok(laid.nodes.iter_mut().find(|one| one.name == node).map(|one| {
            one.schedulable = schedulable;
            one.clone()
        }))
    }

    async fn take_out_of_service(&self, node: &str) -> Result<Option<NodeSeen>, FleetError> {
        let mut laid = self.reach()?;
        laid.asked.push(format!("out-of-service {node}"));
        let Some(found) = laid.nodes.iter_mut().find(|one| one.name == node) else { return Ok(None) };
        if found.is_ready() {
            let reason = "it answers, so it is not off; drain it instead".to_owned();
            return Err(FleetError::Refused { what: format!("take node {node} out of service"), reason });
        }
        found.schedulable = false;
        Ok(Some(found.clone()))
    }

    async fn drain(&self, node: &str, wish: &DrainWish) -> Result<Option<Drained>, FleetError> {
        let Some(node) = self.set_schedulable(node, false).await? else { return Ok(None) };
        let seconds = |time: Duration| time.as_secs();
        let words = format!(
            "drain {} {} {} {}",
            seconds(wish.grace),
            seconds(wish.timeout),
            wish.force,
            wish.delete_local_data
        );
        self.laid().asked.push(words);
        let gone = |name: &str, fault: Option<&str>| Eviction {
            namespace: "customer-x".to_owned(),
            name: name.to_owned(),
            fault: fault.map(str::to_owned),
        };
        Ok(Some(Drained { node, evictions: vec![gone("a", None), gone("b", Some("a disruption budget"))] }))
    }
}
