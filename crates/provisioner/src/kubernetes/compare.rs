//! Seeing drift: cheaply, that somebody wrote an object; exactly, by an apply that is only tried.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{LimitRange, Namespace, PersistentVolumeClaim, ResourceQuota, Secret, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{
    Api, Resource, ResourceExt,
    api::{DynamicObject, ListParams, PatchParams},
};
use serde_json::Value;

use super::{KubeCluster, apply, failures, ours};
use crate::{
    cluster::{ClusterError, Drift, Inventory},
    names, numbers,
};

/// Paths of one object that are named at most.
const MOST_FIELDS: usize = 20;

impl KubeCluster {
    /// What an apply would change of one object.
    pub(super) async fn compare_one(&self, object: &Value) -> Result<Option<Drift>, ClusterError> {
        let place = apply::Place::of(object)?;
        let api = self.dynamic(&place);
        let Some(live) = self.call(&place.words(), || api.get_opt(&place.name)).await? else {
            let object = place.object();
            return Ok(Some(Drift { object, missing: true, managers: Vec::new(), fields: Vec::new() }));
        };
        let mut object = object.clone();
        if place.kind == "PersistentVolumeClaim" {
            apply::fit_volume(&mut object, &live.data);
        }
        let gentle = PatchParams::apply(names::FIELD_MANAGER).dry_run();
        let (would, managers) = match self.patch(&api, &place, &gentle, &object).await? {
            Ok(would) => (would, Vec::new()),
            Err(refused) => {
                let mut managers = failures::rivals(&refused);
                // Our own scaling stands under our own name beside the apply.
                managers.retain(|manager| manager != names::FIELD_MANAGER);
                if !apply::is_ours(&live) {
                    let fields = failures::fields(&refused);
                    return Ok(Some(Drift { object: place.object(), missing: false, managers, fields }));
                }
                match self.patch(&api, &place, &gentle.clone().force(), &object).await? {
                    Ok(would) => (would, managers),
                    Err(again) => {
                        let manager = failures::rivals(&again).join(", ");
                        return Err(ClusterError::Conflict { what: place.words(), manager });
                    }
                }
            }
        };
        let fields = differing(&live, &would);
        Ok((!fields.is_empty()).then(|| Drift { object: place.object(), missing: false, managers, fields }))
    }

    /// Ten lists, whatever the number of instances (a page more for each further 500 objects of a kind).
    pub(super) async fn count_all(&self) -> Result<Inventory, ClusterError> {
        let mut inventory = Inventory::default();
        self.count::<Namespace>(&mut inventory).await?;
        self.count::<ResourceQuota>(&mut inventory).await?;
        self.count::<LimitRange>(&mut inventory).await?;
        self.count::<NetworkPolicy>(&mut inventory).await?;
        self.count::<ServiceAccount>(&mut inventory).await?;
        self.count::<Secret>(&mut inventory).await?;
        self.count::<PersistentVolumeClaim>(&mut inventory).await?;
        self.count::<Service>(&mut inventory).await?;
        self.count::<Ingress>(&mut inventory).await?;
        self.count::<Deployment>(&mut inventory).await?;
        Ok(inventory)
    }

    /// Only what describes the objects is asked for, never what is in them.
    async fn count<K>(&self, inventory: &mut Inventory) -> Result<(), ClusterError>
    where
        K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
        K::DynamicType: Default + Send + Sync,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let kind = K::kind(&K::DynamicType::default()).into_owned();
        let api = &api;
        let list = |params: ListParams| async move { api.list_metadata(&params).await };
        self.each_page("take the inventory", ListParams::default().labels(&ours()), list, |page| {
            for object in &page.items {
                let namespace = object.namespace().unwrap_or_else(|| object.name_any());
                let instance_id = object.labels().get(names::INSTANCE).map(String::as_str);
                inventory.add(&namespace, instance_id, number(&kind, object));
            }
        })
        .await
    }
}

/// Changes with every write but those of a status.
fn number(kind: &str, object: &impl ResourceExt) -> u64 {
    let written: Vec<_> = object
        .managed_fields()
        .iter()
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty())
        .map(|entry| {
            let time = entry.time.as_ref().map(|time| time.0.as_millisecond());
            let fields = entry.fields_v1.as_ref().map(|fields| fields.0.to_string());
            (entry.manager.clone(), entry.operation.clone(), time, fields)
        })
        .collect();
    numbers::of(&(kind, object.name_any(), object.uid(), object.meta().generation, written))
}

/// Paths at which two versions of an object differ; their status, and what the server writes on both, aside.
fn differing(live: &DynamicObject, would: &DynamicObject) -> Vec<String> {
    let mut paths = Vec::new();
    for (name, one, other) in [
        (".metadata.labels", live.labels(), would.labels()),
        (".metadata.annotations", live.annotations(), would.annotations()),
    ] {
        let keys: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
        // Which event asked last is no matter of what there is.
        let keys = keys.into_iter().filter(|key| *key != names::POSITION);
        paths.extend(keys.filter(|key| one.get(*key) != other.get(*key)).map(|key| format!("{name}.{key}")));
    }
    let parts = |object: &DynamicObject| object.data.as_object().cloned().unwrap_or_default();
    let (one, other) = (parts(live), parts(would));
    let keys: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).filter(|key| *key != "status").collect();
    for key in keys {
        let (one, other) = (one.get(key).unwrap_or(&Value::Null), other.get(key).unwrap_or(&Value::Null));
        walk(&format!(".{key}"), one, other, &mut paths);
    }
    paths.truncate(MOST_FIELDS);
    paths
}

fn walk(path: &str, one: &Value, other: &Value, paths: &mut Vec<String>) {
    if paths.len() >= MOST_FIELDS || one == other {
        return;
    }
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let (one, other) = (one.get(key).unwrap_or(&Value::Null), other.get(key).unwrap_or(&Value::Null));
                walk(&format!("{path}.{key}"), one, other, paths);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (place, (one, other)) in one.iter().zip(other).enumerate() {
                walk(&format!("{path}[{place}]"), one, other, paths);
            }
        }
        _ => paths.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_paths_that_differ_are_named_and_not_their_values() {
        let mut paths = Vec::new();
        let one = json!({ "replicas": 1, "template": { "env": [{ "name": "A", "value": "1" }] }, "same": [1] });
        let other =
            json!({ "replicas": 2, "template": { "env": [{ "name": "A", "value": "2" }] }, "same": [1], "new": {} });
        walk(".spec", &one, &other, &mut paths);
        assert_eq!(paths, [".spec.new", ".spec.replicas", ".spec.template.env[0].value"]);
    }
}
