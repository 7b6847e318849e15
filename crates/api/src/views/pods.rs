//! How instances look to administrators. Clients know no null in a pod's names and addresses: what there is not yet is
//! the empty text.

use minispod_domain::{Amounts, ports::fleet::PodPlace};
use minispod_events::NodeFacts;
use minispod_kernel::Timestamp;
use minispod_projections::{
    catalogue::PlanRow,
    subscriptions::{InstanceRow, InstanceStatus, InstanceView},
    users::UserRow,
};
use minispod_store::UsageSample;
use serde_json::{Value, json};

use super::{instant, nodes, people, plans, subscriptions, usage};

/// An instance with who owns it and what was sold.
#[derive(Debug, Clone)]
pub struct Owned {
    pub instance: InstanceView,
    /// As the catalogue has it now.
    pub plan: Option<PlanRow>,
    pub owner: Option<UserRow>,
}

impl Owned {
    /// `{id, name, email}`.
    pub fn owner_view(&self) -> Value {
        self.owner.as_ref().map_or(Value::Null, people::mini)
    }

    /// The whole plan (`SvcFull`).
    pub fn service_view(&self) -> Value {
        self.plan.as_ref().map_or(Value::Null, plans::full)
    }

    fn with_role(&self) -> Value {
        let Some(owner) = &self.owner else { return Value::Null };
        let mut view = people::mini(owner);
        view["role"] = owner.role.as_str().into();
        view
    }

    /// [`Self::with_role`] and `createdAt`.
    fn since(&self) -> Value {
        let mut view = self.with_role();
        if let Some(owner) = &self.owner {
            view["createdAt"] = owner.created_at.to_contract().into();
        }
        view
    }
}

/// What is seen of an instance beside what the read models say; nothing where nobody answers or measures.
#[derive(Debug, Clone, Default)]
pub struct Live {
    pub placed: Option<Placed>,
    /// The newest, when it is not too old to be believed.
    pub sample: Option<UsageSample>,
    /// What it requests with its own database; `None` when that is no amount.
    pub requests: Option<Amounts>,
}

/// A pod and the node that it was placed on.
#[derive(Debug, Clone)]
pub struct Placed {
    pub pod: PodPlace,
    pub node: String,
    /// `None` for a node that has not become known yet.
    pub facts: Option<NodeFacts>,
}

impl Placed {
    /// The contract's `PodNode`. What is not known is the empty text, as everywhere in a pod.
    fn view(&self) -> Value {
        let facts = self.facts.as_ref();
        let text = |of: fn(&NodeFacts) -> &str| facts.map_or("", of);
        json!({
            "nodeName": self.node,
            "nodeIP": text(|facts| &facts.ip_address),
            "podIP": self.pod.pod_ip.as_deref().unwrap_or_default(),
            "phase": self.pod.phase,
            "nodeLabels": facts.map_or_else(|| json!({}), |facts| json!(facts.labels)),
            "nodeArchitecture": text(|facts| &facts.architecture),
            "nodeOS": text(|facts| &facts.operating_system),
            "kubeletVersion": text(|facts| facts.kubelet_version.as_deref().unwrap_or_default()),
            "nodeInternalIP": text(|facts| &facts.ip_address),
            "nodeExternalIP": null,
            "nodeHostname": text(|facts| &facts.hostname),
        })
    }
}

/// The contract's `PodMetrics`: percent of what the instance requests, which may be more than a hundred. Samples are of a
/// whole instance, as `requests` are, so there are none by container.
fn metrics(requests: Amounts, sample: &UsageSample) -> Value {
    let (cpu_millis, memory_bytes) = (sample.cpu_millis.unsigned_abs(), sample.memory_bytes.unsigned_abs());
    json!({
        "cpuUtilization": nodes::percent(cpu_millis, requests.cpu_millis),
        "memoryUtilization": nodes::percent(memory_bytes, requests.memory_bytes),
        "cpuUsage": nodes::cores(cpu_millis),
        "memoryUsage": mebibytes(memory_bytes),
        "cpuRequests": nodes::cores(requests.cpu_millis),
        "memoryRequests": mebibytes(requests.memory_bytes),
        "containerMetrics": [],
        "metricsTimestamp": sample.at.to_contract(),
        "metricsAvailable": true,
    })
}

fn mebibytes(bytes: u64) -> String {
    usage::megabytes(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// The name of the workload; empty before the cluster has it.
pub fn name(row: &InstanceRow) -> &str {
    row.pod_name.as_deref().unwrap_or_default()
}

/// One row of the list; `local`: with how a developer reaches it.
pub fn listed(owned: &Owned, live: &Live, local: bool) -> Value {
    let mut out = instance(&owned.instance.row, live, local);
    let Some(row) = &owned.instance.subscription else { return out };
    let mut subscription = subscriptions::bare(row);
    let plan = owned.plan.as_ref();
    subscription["service"] = json!({
        "id": row.plan_id,
        "name": row.offering,
        "displayName": row.display_name,
        "dockerImage": owned.instance.row.docker_image,
        "containerPort": owned.instance.row.container_port,
        "category": plan.map_or("", |plan| plan.details.category.as_str()),
        "monthlyPrice": plan.map_or(row.price, |plan| plan.monthly_price).to_string(),
        "variant": row.variant,
        "variantDisplayName": plan.map_or("", |plan| plan.details.variant_display_name.as_str()),
    });
    subscription["user"] = owned.with_role();
    out["subscription"] = subscription;
    out
}

/// Everything about one instance.
pub fn detail(owned: &Owned, live: &Live, local: bool, usage: Value) -> Value {
    let mut out = instance(&owned.instance.row, live, local);
    out["usageMetrics"] = usage.clone();
    let Some(row) = &owned.instance.subscription else { return out };
    let mut subscription = subscriptions::bare(row);
    subscription["service"] = owned.service_view();
    subscription["user"] = owned.since();
    subscription["usageMetrics"] = usage;
    out["subscription"] = subscription;
    out["adminInfo"] = json!({
        "owner": owned.since(),
        "subscription": {
            "id": row.id,
            "status": row.status.as_str(),
            "expiresAt": row.expires_at.to_contract(),
            "createdAt": row.created_at.to_contract(),
        },
    });
    out
}

fn instance(row: &InstanceRow, live: &Live, local: bool) -> Value {
    let mut out = subscriptions::instance(row);
    let said = |value: &mut Value| {
        if value.is_null() {
            *value = "".into();
        }
    };
    for field in
        ["podName", "namespace", "internalUrl", "externalUrl", "volumeClaimName", "volumeSize", "volumeMountPath"]
    {
        said(&mut out[field]);
    }
    for object in ["deployment", "service", "ingress"] {
        said(&mut out["credentials"][object]);
    }
    out["deploymentConfig"] = json!({});
    out["simulated"] = row.simulated.into();
    out["realTimeStatus"] = real_time(row);
    out["drift"] = drift(row);
    out["hindrance"] = json!(row.hindrance);
    out["workerNode"] = live.placed.as_ref().map_or(Value::Null, Placed::view);
    out["metrics"] =
        live.sample.as_ref().zip(live.requests).map_or(Value::Null, |(sample, requests)| metrics(requests, sample));
    out["localAccess"] = if local { local_access(row) } else { Value::Null };
    out
}

/// What of it is not in the cluster as it was applied: the cluster's own names, which its owner is not shown.
fn drift(row: &InstanceRow) -> Value {
    json!({ "state": row.drift_state.as_str(), "objects": row.drift_objects, "since": instant(row.drift_since) })
}

/// The status with the keys of a look at the cluster (`PodStatusLive`), from what the cluster reported last.
pub fn real_time(row: &InstanceRow) -> Value {
    let runs = row.status == InstanceStatus::Running;
    let wanted = !matches!(row.status, InstanceStatus::Stopped | InstanceStatus::Deleted);
    let pods: Vec<Value> = row
        .pod_name
        .iter()
        .filter(|_| wanted)
        .map(|name| json!({ "name": name, "phase": phase(row.status), "ready": runs, "restartCount": row.restart_count }))
        .collect();
    json!({
        "status": row.status.as_str(),
        "replicas": { "desired": u8::from(wanted), "ready": u8::from(runs), "available": u8::from(runs) },
        "pods": pods,
        "lastUpdated": row.last_status_sync.unwrap_or(row.updated_at).to_contract(),
    })
}

/// Kubernetes' word for it.
const fn phase(status: InstanceStatus) -> &'static str {
    match status {
        InstanceStatus::Running => "Running",
        InstanceStatus::Failed => "Failed",
        InstanceStatus::Unknown => "Unknown",
        InstanceStatus::Pending
        | InstanceStatus::Restarting
        | InstanceStatus::Resetting
        | InstanceStatus::Stopped
        | InstanceStatus::Deleted => "Pending",
    }
}

/// What a restart began with and what it asks for.
pub fn restart_details(before: &InstanceRow, after: &InstanceRow, at: Timestamp) -> Value {
    json!({
        "statusBefore": before.status.as_str(),
        "statusAfter": after.status.as_str(),
        "restartEvidence": {
            "podName": name(after),
            "creationTimestamp": after.created_at.to_contract(),
            "restartCount": after.restart_count,
            "phase": phase(after.status),
            "restartPolicy": "Always",
            "lastRestartTime": at.to_contract(),
        },
        "restartAnnotation": after.generation.to_string(),
    })
}

/// What a reset began with, what stays, and how far it is. Nothing secret: of the settings the names.
pub fn reset(before: &InstanceRow, after: &InstanceRow, at: Timestamp) -> Value {
    json!({
        "id": after.id,
        "podName": name(after),
        "namespace": after.namespace,
        "status": after.status.as_str(),
        "message": "The data is being wiped; the service starts anew with the same settings and credentials",
        "resetAt": at.to_contract(),
        "resetCount": after.reset_count,
        "backupConfig": {
            "originalStatus": before.status.as_str(),
            "settings": before.overrides,
            "resetTimestamp": at.to_contract(),
        },
    })
}

/// How a developer on this machine reaches it; a simulated cluster has nothing to reach.
fn local_access(row: &InstanceRow) -> Value {
    let (Some(name), Some(namespace)) = (&row.pod_name, &row.namespace) else { return Value::Null };
    if row.simulated {
        return Value::Null;
    }
    let port = row.container_port;
    let forward = |what: &str| format!("kubectl port-forward --namespace {namespace} {what}/{name} {port}:{port}");
    json!({
        "portForwardCommand": forward("service"),
        "localUrl": format!("http://localhost:{port}"),
        "podPortForwardCommand": forward("deployment"),
        "instructions": "Run the command and open the address",
        "namespace": namespace,
        "serviceName": name,
        "containerPort": port,
        "note": "For development only",
    })
}

#[cfg(test)]
mod tests {
    use minispod_projections::subscriptions::DriftState;

    use super::*;

    fn row(status: InstanceStatus, simulated: bool) -> InstanceRow {
        let at = Timestamp::from_unix_millis(0);
        InstanceRow {
            id: "i".into(),
            subscription_id: "s".into(),
            user_id: "u".into(),
            offering: "n8n".into(),
            variant: "basic".into(),
            display_name: "N8N".into(),
            docker_image: "n8n:1".into(),
            container_port: 5678,
            status,
            generation: 1,
            pod_name: Some("n8n-s".into()),
            namespace: Some("customer-u".into()),
            internal_url: None,
            external_url: None,
            simulated,
            cpu_request: "0.25".into(),
            cpu_limit: "1".into(),
            mem_request: "512Mi".into(),
            mem_limit: "1Gi".into(),
            overrides: Vec::new(),
            subdomain: "ani".into(),
            volume_claim_name: None,
            volume_status: "None".into(),
            volume_size: None,
            volume_mount_path: None,
            last_error: None,
            hindrance: None,
            last_status_sync: None,
            ready_at: None,
            restart_count: 2,
            reset_count: 0,
            last_reset_at: None,
            drift_state: DriftState::None,
            drift_objects: Vec::new(),
            drift_since: None,
            created_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn only_what_runs_is_ready_and_what_is_stopped_wants_no_copy() {
        for status in InstanceStatus::ALL {
            let seen = real_time(&row(*status, false));
            let ready = *status == InstanceStatus::Running;
            let wanted = !matches!(status, InstanceStatus::Stopped | InstanceStatus::Deleted);
            let count = |name: &str| seen["replicas"][name].as_u64();
            assert_eq!(count("ready"), Some(u64::from(ready)), "{seen}");
            assert_eq!(count("desired"), Some(u64::from(wanted)), "{seen}");
            assert_eq!(seen["pods"].as_array().map(Vec::len), Some(usize::from(wanted)), "{seen}");
        }
    }

    #[test]
    fn a_simulated_instance_cannot_be_reached_and_a_real_one_only_from_development() {
        let reach = |simulated, local| {
            instance(&row(InstanceStatus::Running, simulated), &Live::default(), local)["localAccess"].clone()
        };
        assert!(reach(true, true).is_null() && reach(false, false).is_null());
        assert_eq!(reach(false, true)["containerPort"], 5678);
    }

    #[test]
    fn only_administrators_see_what_differs_and_no_drift_is_said_too() {
        let right = instance(&row(InstanceStatus::Running, false), &Live::default(), false);
        assert_eq!(right["drift"], json!({ "state": "NONE", "objects": [], "since": null }));
        let differs = InstanceRow {
            drift_state: DriftState::Stands,
            drift_objects: vec!["Service customer-u/n8n-s".into()],
            drift_since: Some(Timestamp::from_unix_millis(0)),
            hindrance: Some("belongs to somebody".into()),
            ..row(InstanceStatus::Running, false)
        };
        let shown = instance(&differs, &Live::default(), false);
        assert_eq!((&shown["hindrance"], &right["hindrance"]), (&json!("belongs to somebody"), &Value::Null));
        let shown = &shown["drift"];
        assert_eq!((&shown["state"], &shown["objects"]), (&json!("STANDS"), &json!(["Service customer-u/n8n-s"])));
        assert_eq!(shown["since"], "1970-01-01T00:00:00.000Z");
        let own = subscriptions::instance(&differs);
        assert!(own.get("drift").is_none() && own.get("hindrance").is_none(), "its owner does not");
    }

    #[test]
    fn names_and_addresses_that_are_not_there_yet_are_empty_texts() {
        let nameless = InstanceRow { pod_name: None, ..row(InstanceStatus::Pending, false) };
        let view = instance(&nameless, &Live::default(), true);
        for pointer in ["/podName", "/internalUrl", "/volumeClaimName", "/credentials/ingress"] {
            assert_eq!(view.pointer(pointer), Some(&json!("")), "{pointer}");
        }
    }

    #[test]
    fn use_is_shown_in_percent_of_the_requests_and_never_made_up() {
        let requests = Amounts { cpu_millis: 500, memory_bytes: 768 << 20 };
        let at = Timestamp::from_unix_millis(0);
        let sample = |cpu_millis, memory_bytes| UsageSample { instance_id: "i".into(), at, cpu_millis, memory_bytes };
        let seen = metrics(requests, &sample(250, 1152 << 20));
        assert_eq!((&seen["cpuUtilization"], &seen["memoryUtilization"]), (&json!(50.0), &json!(150.0)));
        assert_eq!((&seen["cpuUsage"], &seen["memoryUsage"]), (&json!("0.250"), &json!("1152.00")));
        assert_eq!((&seen["cpuRequests"], &seen["memoryRequests"]), (&json!("0.500"), &json!("768.00")));
        let row = row(InstanceStatus::Running, false);
        let unknown = Live { sample: Some(sample(1, 1)), ..Live::default() };
        assert!(instance(&row, &unknown, false)["metrics"].is_null());
        let idle = metrics(requests, &sample(0, 0));
        assert_eq!((&idle["cpuUtilization"], &idle["metricsAvailable"]), (&json!(0.0), &json!(true)));
    }

    #[test]
    fn a_node_that_is_not_known_yet_has_its_name_and_empty_texts() {
        let pod = PodPlace {
            instance_id: "i".into(),
            name: "n8n-s-1".into(),
            component: "app".into(),
            node: Some("worker-1".into()),
            pod_ip: None,
            phase: "Pending".into(),
        };
        let view = Placed { pod, node: "worker-1".into(), facts: None }.view();
        assert_eq!((&view["nodeName"], &view["phase"]), (&json!("worker-1"), &json!("Pending")));
        for name in
            ["nodeIP", "podIP", "nodeArchitecture", "nodeOS", "kubeletVersion", "nodeInternalIP", "nodeHostname"]
        {
            assert_eq!(view[name], "", "{name}");
        }
        assert_eq!(view["nodeLabels"], json!({}));
    }
}
