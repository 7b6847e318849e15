//! The simulated cluster as administrators look at it: one node, and logs that say that nothing runs.

use std::{collections::BTreeMap, fmt::Write as _};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use minispod_kernel::Timestamp;
use minispod_provisioner::{
    fleet::{
        Belonging, Condition, DrainWish, Drained, EventSeen, Eviction, Fleet, FleetError, FollowWish, LogFollowed,
        LogLine, LogSeen, LogWish, NamespaceSeen, NodeSeen, Place, PodPlace, Removed, Resources, WorkloadSeen,
    },
    log_lines,
};

use super::{SimulatedCluster, objects::Objects};

/// The only node there is.
pub const NODE: &str = "simulated";
const ROOM: Resources = Resources { cpu_millis: 8_000, memory_bytes: 32 << 30, storage_bytes: 100 << 30 };
const PODS_MAX: u32 = 110;

fn node(objects: &Objects, now: Timestamp) -> NodeSeen {
    let (pods, requested) = objects.load();
    let text = |text: &str| text.to_owned();
    let ready = Condition {
        kind: text("Ready"),
        status: text("True"),
        reason: text("Simulated"),
        message: text("the simulated cluster is always ready"),
        heartbeat_at: Some(now),
        changed_at: Some(now),
    };
    let room = [("cpu", "8"), ("memory", "32Gi"), ("ephemeral-storage", "100Gi"), ("pods", "110")];
    let room: BTreeMap<String, String> = room.into_iter().map(|(name, amount)| (text(name), text(amount))).collect();
    let info = [
        ("architecture", "amd64"),
        ("operatingSystem", "linux"),
        ("osImage", "simulated"),
        ("kernelVersion", "simulated"),
        ("kubeletVersion", "simulated"),
        ("kubeProxyVersion", "simulated"),
        ("containerRuntimeVersion", "simulated://0"),
        ("bootID", "simulated"),
        ("machineID", "simulated"),
        ("systemUUID", "simulated"),
    ];
    NodeSeen {
        name: text(NODE),
        labels: BTreeMap::from([(text("minispod.dev/simulated"), text("true"))]),
        taints: Vec::new(),
        created_at: now,
        schedulable: !objects.closed,
        conditions: vec![ready],
        allocatable: room.clone(),
        capacity: room,
        info: info.into_iter().map(|(name, value)| (text(name), text(value))).collect(),
        addresses: vec![(text("InternalIP"), text("127.0.0.1")), (text("Hostname"), text(NODE))],
        heartbeat: now,
        room: ROOM,
        pods_max: PODS_MAX,
        pods,
        requested,
        usage: None,
    }
}

/// A line of a text with instants, when it is after the last one that was seen.
fn followed(line: &str, after: Option<i64>) -> Option<LogLine> {
    let (at, text) = log_lines::timed(line);
    let nanos = at.unwrap_or_default();
    after.is_none_or(|after| nanos > after).then(|| LogLine { nanos, text: text.to_owned() })
}

#[async_trait]
impl Fleet for SimulatedCluster {
    fn is_simulated(&self) -> bool {
        true
    }

    async fn log_of(&self, place: &Place, wish: &LogWish) -> Result<Option<LogSeen>, FleetError> {
        let now = self.clock.now();
        let objects = self.reach("read a log")?;
        let Some((pod, image, since)) = objects.program(&place.namespace, &place.instance_id) else { return Ok(None) };
        let mut text = format!("{since} simulated cluster: no container runs; {image} is said to start\n");
        let ready = since.plus(self.ready_after);
        if ready <= now {
            let _ = writeln!(text, "{ready} simulated cluster: it is said to be ready");
        }
        Ok(Some(LogSeen { pod, text: log_lines::wanted(&text, wish) }))
    }

    async fn follow_log(&self, place: &Place, wish: &FollowWish) -> Result<Option<LogFollowed>, FleetError> {
        let past = LogWish { lines: wish.lines, since: None, timestamps: true };
        let Some(LogSeen { pod, text }) = self.log_of(place, &past).await? else { return Ok(None) };
        let lines: Vec<_> = text.lines().filter_map(|line| followed(line, wish.after)).map(Ok).collect();
        // Nothing more is ever printed, as nothing runs; whoever follows waits, as he would for a quiet program.
        let lines = stream::iter(lines).chain(stream::pending()).boxed();
        Ok(Some(LogFollowed { pod, lines }))
    }

    async fn events_of(&self, place: &Place, _: &str) -> Result<Vec<EventSeen>, FleetError> {
        let objects = self.reach("read what happened")?;
        let Some((pod, _, since)) = objects.program(&place.namespace, &place.instance_id) else {
            return Ok(Vec::new());
        };
        let simulated = EventSeen {
            first_at: since,
            last_at: since,
            object: format!("Pod {pod}"),
            reason: "Simulated".to_owned(),
            message: "simulated cluster: no container runs".to_owned(),
            warning: false,
            count: 1,
        };
        Ok(vec![simulated])
    }

    async fn instances_on(&self, node: &str) -> Result<Vec<String>, FleetError> {
        let objects = self.reach("look at a node's pods")?;
        Ok(if node == NODE { objects.instances_with_pods() } else { Vec::new() })
    }

    async fn pods_of(&self, instance_ids: &[String]) -> Result<Vec<PodPlace>, FleetError> {
        Ok(self.reach("look where pods are")?.places_of(instance_ids, NODE))
    }

    async fn namespaces(&self) -> Result<Vec<NamespaceSeen>, FleetError> {
        Ok(self.reach("list the namespaces")?.namespaces())
    }

    async fn workloads(&self) -> Result<Vec<WorkloadSeen>, FleetError> {
        let ready_before = self.ready_before(self.clock.now());
        Ok(self.reach("list the workloads")?.workloads(ready_before))
    }

    async fn remove(&self, workload: &WorkloadSeen) -> Result<Removed, FleetError> {
        let removed = self.reach("delete a workload")?.remove(workload)?;
        self.tell();
        Ok(removed)
    }

    async fn belongings(&self) -> Result<Vec<Belonging>, FleetError> {
        Ok(self.reach("look for what instances have")?.belongings())
    }

    async fn remove_belonging(&self, belonging: &Belonging) -> Result<(), FleetError> {
        self.reach("delete an object")?.remove_belonging(belonging)?;
        self.tell();
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeSeen>, FleetError> {
        let now = self.clock.now();
        Ok(vec![node(&*self.reach("look at the nodes")?, now)])
    }

    async fn set_schedulable(&self, name: &str, schedulable: bool) -> Result<Option<NodeSeen>, FleetError> {
        let now = self.clock.now();
        let mut objects = self.reach("change a node")?;
        if name != NODE {
            return Ok(None);
        }
        objects.closed = !schedulable;
        Ok(Some(node(&objects, now)))
    }

    /// The simulated machine never goes off.
    async fn take_out_of_service(&self, name: &str) -> Result<Option<NodeSeen>, FleetError> {
        if name != NODE {
            return Ok(None);
        }
        let reason = "it answers, so it is not off; drain it instead".to_owned();
        Err(FleetError::Refused { what: format!("take node {name} out of service"), reason })
    }

    /// Every pod begins anew on the same node: there is no other.
    async fn drain(&self, name: &str, _: &DrainWish) -> Result<Option<Drained>, FleetError> {
        let now = self.clock.now();
        let drained = {
            let mut objects = self.reach("drain a node")?;
            if name != NODE {
                return Ok(None);
            }
            objects.closed = true;
            let gone = objects.begin_anew(now);
            let evictions =
                gone.into_iter().map(|(namespace, name)| Eviction { namespace, name, fault: None }).collect();
            Drained { node: node(&objects, now), evictions }
        };
        self.tell();
        Ok(Some(drained))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use minispod_kernel::{Clock, ManualClock};
    use minispod_provisioner::{Cluster, cluster::Target, fleet::BelongingKind};
    use serde_json::{Value, json};

    use super::*;

    const DELAY: Duration = Duration::from_secs(2);

    fn program(id: &str) -> Vec<Value> {
        let labels = json!({ "minispod.dev/instance": id, "app.kubernetes.io/managed-by": "minispod" });
        let ours = json!({ "minispod.dev/customer": "ani", "app.kubernetes.io/managed-by": "minispod" });
        let requests = json!({ "cpu": "250m", "memory": "128Mi" });
        let container = json!({ "name": "app", "image": "n8n:1", "resources": { "requests": requests } });
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": format!("n8n-{id}"), "namespace": "customer-ani", "labels": labels },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": { "app.kubernetes.io/component": "app" } },
                "template": { "spec": { "containers": [container] } },
            },
        });
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "customer-ani", "labels": ours } });
        let service = json!({ "apiVersion": "v1", "kind": "Service",
                              "metadata": { "name": format!("n8n-{id}"), "namespace": "customer-ani", "labels": labels } });
        vec![namespace, service, deployment]
    }

    async fn cluster() -> (Arc<ManualClock>, SimulatedCluster) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_700_000_000_000)));
        let cluster = SimulatedCluster::with_delay(clock.clone(), DELAY);
        for id in ["i", "j"] {
            cluster.apply(&program(id)).await.expect("taken");
        }
        clock.advance(DELAY);
        (clock, cluster)
    }

    fn wish(lines: u32, since: Option<Timestamp>) -> LogWish {
        LogWish { lines, since, timestamps: false }
    }

    #[tokio::test]
    async fn a_log_says_that_nothing_runs_and_honours_lines_and_since() {
        let (clock, cluster) = cluster().await;
        let place = |id: &str| Place { namespace: "customer-ani".into(), instance_id: id.into() };
        let all = cluster.log_of(&place("i"), &wish(10, None)).await.expect("answered").expect("a pod");
        assert!(all.text.contains("no container runs") && all.text.lines().count() == 2, "{}", all.text);
        let newest = cluster.log_of(&place("i"), &wish(1, None)).await.expect("answered").expect("a pod");
        assert_eq!(newest.text.lines().count(), 1);
        let late = cluster.log_of(&place("i"), &wish(10, Some(clock.now()))).await.expect("answered").expect("a pod");
        assert_eq!(late.text, newest.text);
        assert_eq!(cluster.log_of(&place("nobody"), &wish(10, None)).await.expect("answered"), None);
    }

    #[tokio::test]
    async fn exactly_one_workload_goes_with_its_service() {
        let (_, cluster) = cluster().await;
        let workloads = cluster.workloads().await.expect("listed");
        assert_eq!(workloads.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["n8n-i", "n8n-j"]);
        assert_eq!((workloads[0].replicas, workloads[0].ready_replicas), (1, 1));
        let removed = cluster.remove(&workloads[0]).await.expect("removed");
        assert_eq!(removed.services, ["n8n-i"]);
        let left = cluster.workloads().await.expect("listed");
        assert_eq!(left.iter().map(|one| one.instance_id.as_deref()).collect::<Vec<_>>(), [Some("j")]);
        let target = Target { namespace: "customer-ani".into(), instance_id: "i".into() };
        assert!(cluster.observe(&target).await.expect("seen").is_gone());
    }

    #[tokio::test]
    async fn what_an_instance_has_beside_its_workload_goes_only_as_it_was_seen() {
        let (_, cluster) = cluster().await;
        let names = |found: &[Belonging]| found.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        let seen = cluster.belongings().await.expect("listed");
        assert_eq!(names(&seen), ["n8n-i", "n8n-j"]);
        assert_eq!((seen[0].kind, seen[0].instance_id.as_deref()), (BelongingKind::Service, Some("i")));
        let mut again = program("i");
        again[1]["spec"] = json!({ "ports": [{ "port": 80 }] });
        again[2]["spec"]["paused"] = json!(true);
        let workloads = cluster.workloads().await.expect("listed");
        cluster.apply(&again).await.expect("taken");
        let refused = cluster.remove_belonging(&seen[0]).await.expect_err("it was written since");
        assert!(matches!(refused, FleetError::Refused { .. }), "{refused}");
        let refused = cluster.remove(&workloads[0]).await.expect_err("it was written since");
        assert!(matches!(refused, FleetError::Refused { .. }), "{refused}");
        cluster.apply(&program("j")).await.expect("taken");
        cluster.remove_belonging(&seen[1]).await.expect("the same objects again are no change");
        let left = cluster.belongings().await.expect("listed");
        assert_eq!(names(&left), ["n8n-i"]);
        cluster.remove_belonging(&left[0]).await.expect("as it is now");
        cluster.remove_belonging(&left[0]).await.expect("again is fine");
    }

    #[tokio::test]
    async fn a_drained_node_is_closed_and_its_pods_begin_anew() {
        let (_, cluster) = cluster().await;
        let drain = DrainWish { grace: DELAY, timeout: DELAY, force: false, delete_local_data: false };
        assert!(cluster.drain("other", &drain).await.expect("answered").is_none());
        let drained = cluster.drain(NODE, &drain).await.expect("answered").expect("the node");
        assert_eq!((drained.node.schedulable, drained.node.pods, drained.evictions.len()), (false, 2, 2));
        assert_eq!(drained.node.requested.cpu_millis, 500);
        let target = Target { namespace: "customer-ani".into(), instance_id: "i".into() };
        assert_eq!(cluster.observe(&target).await.expect("seen").workloads[0].ready, 0);
        let open = cluster.set_schedulable(NODE, true).await.expect("answered").expect("the node");
        assert!(open.schedulable);
        assert_eq!(cluster.instances_on(NODE).await.expect("answered"), ["i", "j"]);
    }

    #[tokio::test]
    async fn every_pod_of_whom_is_asked_for_is_on_the_only_node() {
        let (_, cluster) = cluster().await;
        let pods = cluster.pods_of(&["j".to_owned(), "nobody".to_owned()]).await.expect("answered");
        let [pod] = pods.as_slice() else { panic!("{pods:?}") };
        assert_eq!((pod.instance_id.as_str(), pod.component.as_str(), pod.phase.as_str()), ("j", "app", "Running"));
        assert_eq!((pod.node.as_deref(), pod.pod_ip.as_deref()), (Some(NODE), None), "nothing has an address here");
        let place = Place { namespace: "customer-ani".into(), instance_id: "j".into() };
        let log = cluster.log_of(&place, &wish(1, None)).await.expect("answered").expect("a pod");
        assert_eq!(pod.name, log.pod, "the same pod under every name");
        cluster.scale(&Target { namespace: "customer-ani".into(), instance_id: "j".into() }, 0, 9).await.expect("off");
        assert_eq!(cluster.pods_of(&["j".to_owned()]).await.expect("answered"), []);
    }
}
