//! A node that plays its part: pods bound to it are said to run, claims get a volume, nothing is really started.

use std::time::Duration;

use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Between two looks.
pub(super) const PULSE: Duration = Duration::from_millis(100);
/// Its claims are given volumes that do not exist.
pub const STORAGE_CLASS: &str = "played";
/// Images whose name begins so cannot be fetched.
pub const MISSING_IMAGE: &str = "missing.invalid/";

const NAME: &str = "played";
const MANAGER: &str = "played-node";

/// One look around. What fails is done at the next look.
pub(super) async fn play(client: &Client) {
    let _ = be_ready(client).await;
    let _ = give_volumes(client).await;
    let _ = run_pods(client).await;
}

async fn be_ready(client: &Client) -> kube::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    if nodes.get_opt(NAME).await?.is_some() {
        return Ok(());
    }
    let classes: Api<StorageClass> = Api::all(client.clone());
    create(
        &classes,
        json!({
            "metadata": { "name": STORAGE_CLASS },
            "provisioner": "minispod.dev/played",
            "reclaimPolicy": "Retain",
            "allowVolumeExpansion": true,
        }),
    )
    .await?;
    create(&nodes, json!({ "metadata": { "name": NAME, "labels": { "kubernetes.io/hostname": NAME } } })).await?;
    let room = json!({ "cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "1Ti" });
    let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "reason": "Played" });
    let status = json!({ "status": {
        "capacity": room,
        "allocatable": room,
        "conditions": [condition("Ready", "True"), condition("MemoryPressure", "False"), condition("DiskPressure", "False")],
    }});
    nodes.patch_status(NAME, &PatchParams::default(), &Patch::Merge(status)).await?;
    // A new node is born with a taint that the life-cycle controller would take away.
    nodes.patch(NAME, &PatchParams::default(), &Patch::Merge(json!({ "spec": { "taints": null } }))).await?;
    Ok(())
}

async fn create<K>(api: &Api<K>, object: Value) -> kube::Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let object: K = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    match api.create(&PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() }, &object).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => other.map(|_| ()),
    }
}

async fn give_volumes(client: &Client) -> kube::Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::all(client.clone());
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    for claim in claims.list(&ListParams::default()).await? {
        let pending = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending");
        let Some(spec) = claim.spec.as_ref().filter(|_| pending && claim.metadata.deletion_timestamp.is_none()) else {
            continue;
        };
        if spec.storage_class_name.as_deref() != Some(STORAGE_CLASS) {
            continue;
        }
        let (name, namespace, uid) =
            (claim.name_any(), claim.namespace().unwrap_or_default(), claim.uid().unwrap_or_default());
        create(&volumes, json!({
            "metadata": { "name": format!("pv-{uid}") },
            "spec": {
                "capacity": spec.resources.as_ref().and_then(|resources| resources.requests.clone()),
                "accessModes": spec.access_modes,
                "storageClassName": STORAGE_CLASS,
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": { "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": namespace, "name": name, "uid": uid },
                "hostPath": { "path": "/nonexistent/played" },
            },
        }))
        .await?;
    }
    Ok(())
}

async fn run_pods(client: &Client) -> kube::Result<()> {
    let pods: Api<Pod> = Api::all(client.clone());
    for pod in pods.list(&ListParams::default().fields(&format!("spec.nodeName={NAME}"))).await? {
        let own: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        let name = pod.name_any();
        if pod.metadata.deletion_timestamp.is_some() {
            own.delete(&name, &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() }).await?;
        } else if pod.status.as_ref().is_none_or(|status| status.container_statuses.is_none()) {
            let status = json!({ "status": status_of(&pod) });
            own.patch_status(&name, &PatchParams::default(), &Patch::Strategic(status)).await?;
        }
    }
    Ok(())
}

fn status_of(pod: &Pod) -> Value {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let images: Vec<(String, String)> =
        containers.map(|one| (one.name.clone(), one.image.clone().unwrap_or_default())).collect();
    let runs = !images.iter().any(|(_, image)| image.starts_with(MISSING_IMAGE));
    let word = if runs { "True" } else { "False" };
    let born = pod.creation_timestamp();
    let statuses: Vec<Value> = images
        .iter()
        .map(|(name, image)| {
            let state = if image.starts_with(MISSING_IMAGE) {
                json!({ "waiting": { "reason": "ImagePullBackOff", "message": format!("Back-off pulling image \"{image}\"") } })
            } else {
                json!({ "running": { "startedAt": born } })
            };
            json!({ "name": name, "image": image, "imageID": "", "ready": runs, "started": runs, "restartCount": 0, "state": state })
        })
        .collect();
    let condition = |kind: &str| json!({ "type": kind, "status": word });
    json!({
        "phase": if runs { "Running" } else { "Pending" },
        "podIP": "10.241.0.1",
        "podIPs": [{ "ip": "10.241.0.1" }],
        "startTime": born,
        "conditions": [condition("Ready"), condition("ContainersReady"), condition("Initialized")],
        "containerStatuses": statuses,
    })
}
