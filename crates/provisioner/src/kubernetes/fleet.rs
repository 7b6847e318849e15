//! The real cluster as administrators look at it and keep it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    coordination::v1::Lease,
    core::v1::{Event, Namespace, Node, Pod, Service},
    networking::v1::Ingress,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, LogParams, Patch, PatchParams, Preconditions},
    core::NamespaceResourceScope,
};
use minispod_domain::ports::fleet::{
    Belonging, DrainWish, Drained, EventSeen, Fleet, FleetError, FollowWish, LINES_MAX, LogFollowed, LogSeen, LogWish,
    NamespaceSeen, NodeSeen, NodeStanding, Place, PodPlace, Removed, WorkloadSeen,
};
use minispod_kernel::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{KubeCluster, belongings, following, instant, nodes, of_instance, removal::Gone};
use crate::{
    cluster::{ClusterError, Target},
    log_lines, names,
};

/// Most bytes of one pod's log; the cluster cuts there.
const LOG_BYTES: i64 = 2 << 20;
/// Most events of one instance in an answer.
const EVENTS_MAX: usize = 200;
const NANOS: i64 = 1_000_000_000;
/// Kubernetes' mark of a node whose machine is off: its pods are deleted at once and their volumes let go.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// Looks at a node that others write to, before whoever changes it is asked to come again.
const NODE_TRIES: u32 = 5;
/// Where nodes renew their leases.
const LEASES: &str = "kube-node-lease";

impl KubeCluster {
    /// Deletes each of these as it was seen; gives the names that went.
    async fn delete_each<K>(&self, namespace: &str, seen: &[K], failures: &mut Vec<(String, String)>) -> Vec<String>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync,
        K::DynamicType: Default,
    {
        let mut gone = Vec::new();
        for one in seen {
            let name = one.name_any();
            let exactly = Preconditions { uid: one.uid(), resource_version: one.resource_version() };
            match self.delete_as_seen::<K>(namespace, &name, exactly).await {
                Ok(Gone::Now | Gone::Before) => gone.push(name),
                Ok(Gone::Changed) => failures.push((name, belongings::CHANGED.to_owned())),
                Err(error) => failures.push((name, error.to_string())),
            }
        }
        gone
    }

    /// Measurements by node; none where nobody measures.
    async fn measured(&self) -> BTreeMap<String, DynamicObject> {
        let kind = GroupVersionKind::gvk("metrics.k8s.io", "v1beta1", "NodeMetrics");
        let resource = ApiResource::from_gvk_with_plural(&kind, "nodes");
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let params = ListParams::default();
        match tokio::time::timeout(self.deadline, api.list(&params)).await {
            Ok(Ok(list)) => list.items.into_iter().map(|one| (one.name_any(), one)).collect(),
            Ok(Err(_)) | Err(_) => BTreeMap::new(),
        }
    }

    /// Signs of life by node, which its conditions show only every few minutes.
    async fn renewed(&self) -> BTreeMap<String, Timestamp> {
        let api: Api<Lease> = self.api(LEASES);
        let params = ListParams::default();
        let Ok(Ok(list)) = tokio::time::timeout(self.deadline, api.list(&params)).await else {
            return BTreeMap::new();
        };
        let renewed = list.items.into_iter().filter_map(|lease| {
            let at = lease.spec.as_ref()?.renew_time.as_ref()?.0;
            Some((lease.name_any(), Timestamp::from_unix_millis(at.as_millisecond())))
        });
        renewed.collect()
    }

    async fn node(&self, name: &str) -> Result<Option<NodeSeen>, ClusterError> {
        Ok(self.look_at_nodes().await?.into_iter().find(|node| node.name == name))
    }

    /// One look at everything, however many nodes there are.
    async fn look_at_nodes(&self) -> Result<Vec<NodeSeen>, ClusterError> {
        let found: Api<Node> = Api::all(self.client.clone());
        let found = self.all_of("look at the nodes", &found, ListParams::default()).await?;
        let pods: Api<Pod> = Api::all(self.client.clone());
        let pods = self.all_of("look at the nodes' pods", &pods, ListParams::default()).await?;
        let (renewed, measured) = (self.renewed().await, self.measured().await);
        let mut loads = nodes::loads(&pods);
        let mut seen: Vec<NodeSeen> = found
            .iter()
            .map(|node| {
                let name = node.name_any();
                let load = loads.remove(&name).unwrap_or_default();
                nodes::seen(node, load, renewed.get(&name).copied(), measured.get(&name))
            })
            .collect();
        seen.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(seen)
    }

    /// Opens or closes a node; `false` when there is none of this name. One that is out of service carries the cluster's
    /// own mark for that, which only opening it takes away.
    pub(super) async fn patch_node(&self, name: &str, open: bool, is_off: bool) -> Result<bool, ClusterError> {
        let what = format!("change node {name}");
        for _ in 0..NODE_TRIES {
            if let Some(is_there) = self.try_patch_node(&what, name, open, is_off).await? {
                return Ok(is_there);
            }
        }
        Err(ClusterError::Unreachable { what, source: Some("others write to it all the time".into()) })
    }

    /// [`KubeCluster::patch_node`] from a fresh look; `None` when somebody wrote to the node after it.
    async fn try_patch_node(
        &self,
        what: &str,
        name: &str,
        open: bool,
        is_off: bool,
    ) -> Result<Option<bool>, ClusterError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let by_name = ListParams::default().fields(&format!("metadata.name={name}"));
        let Some(node) = self.all_of(what, &api, by_name).await?.pop() else { return Ok(Some(false)) };
        let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let is_marked = taints.clone().any(|taint| taint.key == OUT_OF_SERVICE);
        let mut change = json!({ "spec": { "unschedulable": !open } });
        if is_off != is_marked && (is_off || open) {
            let others = taints.filter(|taint| taint.key != OUT_OF_SERVICE).map(|taint| json!(taint));
            let mark = json!({ "key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute" });
            change["spec"]["taints"] = others.chain(is_off.then_some(mark)).collect();
            // The list is written whole: nobody else's taint may be lost by it.
            change["metadata"] = json!({ "resourceVersion": node.metadata.resource_version });
        }
        let patch = Patch::Merge(change);
        let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.call(what, || async {
            match api.patch(name, &params, &patch).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Some(false)),
                Err(kube::Error::Api(status)) if status.is_conflict() => Ok(None),
                other => other.map(|_| Some(true)),
            }
        })
        .await
    }

    /// The pod of the instance's program that was made last.
    async fn program_pod(&self, place: &Place) -> Result<Option<Pod>, ClusterError> {
        let target = Target { namespace: place.namespace.clone(), instance_id: place.instance_id.clone() };
        let api: Api<Pod> = self.api(&target.namespace);
        let selector = format!("{},{}={}", of_instance(&target), names::COMPONENT, names::APP);
        let pods = self.all_of("find the pod", &api, ListParams::default().labels(&selector)).await?;
        Ok(pods.into_iter().max_by_key(|pod| pod.creation_timestamp().map(|time| time.0)))
    }
}

/// The event, when it is about an object of the workload: all their names begin with its own.
fn happened(event: &Event, workload: &str) -> Option<EventSeen> {
    let (kind, name) = (event.involved_object.kind.as_deref()?, event.involved_object.name.as_deref()?);
    let rest = name.strip_prefix(workload)?;
    if !rest.is_empty() && !rest.starts_with(['-', '.']) {
        return None;
    }
    let at = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.as_ref().map(|time| Timestamp::from_unix_millis(time.0.as_millisecond()))
    };
    let precise = event.event_time.as_ref().map(|time| Timestamp::from_unix_millis(time.0.as_millisecond()));
    let series = event.series.as_ref();
    let last_of_series = series
        .and_then(|series| series.last_observed_time.as_ref())
        .map(|time| Timestamp::from_unix_millis(time.0.as_millisecond()));
    let made = instant(event);
    let first_at = at(&event.first_timestamp).or(precise).unwrap_or(made);
    let count = event.count.or_else(|| series.and_then(|series| series.count)).unwrap_or(1);
    Some(EventSeen {
        first_at,
        last_at: last_of_series.or_else(|| at(&event.last_timestamp)).unwrap_or(first_at),
        object: format!("{kind} {name}"),
        reason: event.reason.clone().unwrap_or_default(),
        message: event.message.clone().unwrap_or_default(),
        warning: event.type_.as_deref() == Some("Warning"),
        count: u32::try_from(count).unwrap_or(1).max(1),
    })
}

#[async_trait]
impl Fleet for KubeCluster {
    fn is_simulated(&self) -> bool {
        false
    }

    async fn log_of(&self, place: &Place, wish: &LogWish) -> Result<Option<LogSeen>, FleetError> {
        let Some(pod) = self.program_pod(place).await? else { return Ok(None) };
        let (name, api) = (pod.name_any(), self.api::<Pod>(&place.namespace));
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first()).map(|one| one.name.clone());
        // Always with instants, and from the second before: the cluster knows whole seconds only, we cut exactly.
        let since =
            wish.since.and_then(|at| k8s_openapi::jiff::Timestamp::from_second(at.unix_millis().div_euclid(1000)).ok());
        let params = LogParams {
            container,
            limit_bytes: Some(LOG_BYTES),
            since_time: since,
            tail_lines: Some(i64::from(wish.lines)),
            timestamps: true,
            ..LogParams::default()
        };
        let text = self.call(&format!("read the log of {name}"), || api.logs(&name, &params)).await;
        let text = match text {
            Ok(text) => text,
            // A container that has not started yet has printed nothing.
            Err(ClusterError::Invalid { reason, .. }) if reason.contains("waiting to start") => String::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(LogSeen { pod: name, text: log_lines::wanted(&text, wish) }))
    }

    async fn follow_log(&self, place: &Place, wish: &FollowWish) -> Result<Option<LogFollowed>, FleetError> {
        let Some(pod) = self.program_pod(place).await? else { return Ok(None) };
        let (name, api) = (pod.name_any(), self.api::<Pod>(&place.namespace));
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first()).map(|one| one.name.clone());
        let since = wish.after.and_then(|nanos| k8s_openapi::jiff::Timestamp::from_second(nanos / NANOS).ok());
        let params = LogParams {
            container,
            follow: true,
            since_time: since,
            tail_lines: Some(i64::from(wish.after.map_or(wish.lines, |_| LINES_MAX))),
            timestamps: true,
            ..LogParams::default()
        };
        let printed = self.call(&format!("follow the log of {name}"), || api.log_stream(&name, &params)).await;
        let lines = match printed {
            Ok(printed) => following::lines(printed, wish.after).boxed(),
            // A container that has not started yet has printed nothing; whoever follows asks again.
            Err(ClusterError::Invalid { reason, .. }) if reason.contains("waiting to start") => {
                futures::stream::empty().boxed()
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Some(LogFollowed { pod: name, lines }))
    }

    async fn events_of(&self, place: &Place, workload: &str) -> Result<Vec<EventSeen>, FleetError> {
        let api: Api<Event> = self.api(&place.namespace);
        let all = self.all_of("read what happened", &api, ListParams::default()).await?;
        let mut seen: Vec<_> = all.iter().filter_map(|event| happened(event, workload)).collect();
        seen.sort_by(|one, other| (other.last_at, &other.object).cmp(&(one.last_at, &one.object)));
        seen.truncate(EVENTS_MAX);
        Ok(seen)
    }

    async fn instances_on(&self, node: &str) -> Result<Vec<String>, FleetError> {
        let (pods, _) = self.everywhere::<Pod>().await?;
        let on_it =
            pods.iter().filter(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node));
        let mut ids: Vec<String> = on_it.filter_map(|pod| pod.labels().get(names::INSTANCE).cloned()).collect();
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    async fn pods_of(&self, instance_ids: &[String]) -> Result<Vec<PodPlace>, FleetError> {
        Ok(self.places_of(instance_ids).await?)
    }

    async fn namespaces(&self) -> Result<Vec<NamespaceSeen>, FleetError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = self.all_of("list the namespaces", &api, ListParams::default()).await?;
        let seen = found.iter().map(|one| NamespaceSeen {
            name: one.name_any(),
            labels: one.labels().clone(),
            created_at: instant(one),
            managed: names::is_customers(one.labels()),
        });
        Ok(seen.collect())
    }

    async fn workloads(&self) -> Result<Vec<WorkloadSeen>, FleetError> {
        let managed: BTreeSet<String> =
            self.namespaces().await?.into_iter().filter(|one| one.managed).map(|one| one.name).collect();
        let api: Api<Deployment> = Api::all(self.client.clone());
        let found = self.all_of("list the workloads", &api, ListParams::default()).await?;
        let count = |number: Option<i32>| u32::try_from(number.unwrap_or(0)).unwrap_or(0);
        let seen = found.iter().filter_map(|one| {
            let namespace = one.namespace().filter(|namespace| managed.contains(namespace))?;
            Some(WorkloadSeen {
                namespace,
                name: one.name_any(),
                uid: one.uid().unwrap_or_default(),
                resource_version: one.resource_version().unwrap_or_default(),
                instance_id: one.labels().get(names::INSTANCE).cloned(),
                labels: one.labels().clone(),
                created_at: instant(one),
                replicas: count(one.spec.as_ref().and_then(|spec| spec.replicas).or(Some(1))),
                ready_replicas: count(one.status.as_ref().and_then(|status| status.ready_replicas)),
            })
        });
        Ok(seen.collect())
    }

    async fn remove(&self, workload: &WorkloadSeen) -> Result<Removed, FleetError> {
        let namespace = &workload.namespace;
        // Before the workload goes: what a request makes after that is not among them.
        let (services, ingresses) = match workload.instance_id.clone() {
            Some(instance_id) => {
                let target = Target { namespace: namespace.clone(), instance_id };
                (self.list::<Service>(&target).await?, self.list::<Ingress>(&target).await?)
            }
            None => (Vec::new(), Vec::new()),
        };
        let exactly = Preconditions {
            uid: Some(workload.uid.clone()),
            resource_version: Some(workload.resource_version.clone()),
        };
        let gone = self.delete_as_seen::<Deployment>(namespace, &workload.name, exactly).await?;
        if gone == Gone::Changed {
            return Err(belongings::changed(&workload.name));
        }
        let mut removed = Removed::default();
        removed.services = self.delete_each(namespace, &services, &mut removed.failures).await;
        removed.ingresses = self.delete_each(namespace, &ingresses, &mut removed.failures).await;
        Ok(removed)
    }

    async fn belongings(&self) -> Result<Vec<Belonging>, FleetError> {
        self.all_belongings().await
    }

    async fn remove_belonging(&self, belonging: &Belonging) -> Result<(), FleetError> {
        self.remove_as_seen(belonging).await
    }

    async fn nodes(&self) -> Result<Vec<NodeSeen>, FleetError> {
        Ok(self.look_at_nodes().await?)
    }

    async fn set_schedulable(&self, node: &str, schedulable: bool) -> Result<Option<NodeSeen>, FleetError> {
        if !self.patch_node(node, schedulable, false).await? {
            return Ok(None);
        }
        Ok(self.node(node).await?)
    }

    async fn take_out_of_service(&self, node: &str) -> Result<Option<NodeSeen>, FleetError> {
        let Some(seen) = self.node(node).await? else { return Ok(None) };
        // One that says that it is not ready still says something, and may still write.
        if seen.standing() != NodeStanding::Inactive {
            let reason = "it answers, so it is not off; drain it instead".to_owned();
            return Err(FleetError::Refused { what: format!("take node {node} out of service"), reason });
        }
        if !self.patch_node(node, false, true).await? {
            return Ok(None);
        }
        Ok(self.node(node).await?)
    }

    async fn drain(&self, node: &str, wish: &DrainWish) -> Result<Option<Drained>, FleetError> {
        let end = tokio::time::Instant::now() + wish.timeout;
        if !self.patch_node(node, false, false).await? {
            return Ok(None);
        }
        let evictions = self.evict_all(node, wish, end).await?;
        Ok(self.node(node).await?.map(|node| Drained { node, evictions }))
    }
}

impl From<ClusterError> for FleetError {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Unreachable { what, source } => Self::Unreachable { what, source },
            ClusterError::NotPermitted { what, reason } => Self::NotPermitted { what, reason },
            ClusterError::Forbidden { what, reason }
            | ClusterError::Ending { what, reason }
            | ClusterError::Invalid { what, reason }
            | ClusterError::QuotaExceeded { what, reason } => Self::Refused { what, reason },
            ClusterError::Conflict { what, manager } => Self::Refused { what, reason: format!("belongs to {manager}") },
        }
    }
}
