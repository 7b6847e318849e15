//! What administrators see of what the simulated cluster remembers.

use std::{cmp::Reverse, collections::BTreeMap};

use minispod_kernel::Timestamp;
use minispod_provisioner::{
    fleet::{Belonging, BelongingKind, FleetError, NamespaceSeen, PodPlace, Removed, Resources, WorkloadSeen},
    names,
    quantity::Quantity,
};
use serde_json::Value;

use super::objects::{Key, Objects, WORKLOAD, component, generation, replicas};

impl Objects {
    pub(super) fn namespaces(&self) -> Vec<NamespaceSeen> {
        let found = self.kept.iter().filter(|(key, _)| key.0 == "Namespace");
        let seen = found.map(|(key, object)| {
            let labels = labels(object);
            NamespaceSeen {
                name: key.2.clone(),
                created_at: self.made(key),
                managed: names::is_customers(&labels),
                labels,
            }
        });
        seen.collect()
    }

    /// Workloads in customers' namespaces; ready are those whose pods were made before `ready_before`.
    pub(super) fn workloads(&self, ready_before: Timestamp) -> Vec<WorkloadSeen> {
        let managed: Vec<String> =
            self.namespaces().into_iter().filter(|one| one.managed).map(|one| one.name).collect();
        let found = self.of_kind(WORKLOAD).filter(|(key, _)| managed.contains(&key.1));
        let seen = found.map(|(key, object)| {
            let is_ready = self.since.get(key).is_some_and(|since| *since <= ready_before);
            WorkloadSeen {
                namespace: key.1.clone(),
                name: key.2.clone(),
                uid: self.uid(key),
                resource_version: self.version(key),
                instance_id: labels(object).get(names::INSTANCE).cloned(),
                labels: labels(object),
                created_at: self.made(key),
                replicas: replicas(object),
                ready_replicas: if is_ready { replicas(object) } else { 0 },
            }
        });
        seen.collect()
    }

    /// The workload, if it is still as it was seen, and the services and ingresses of its instance.
    pub(super) fn remove(&mut self, workload: &WorkloadSeen) -> Result<Removed, FleetError> {
        let mut removed = Removed::default();
        let key = (WORKLOAD.to_owned(), workload.namespace.clone(), workload.name.clone());
        self.forget_as_seen(&key, &workload.uid, &workload.resource_version)?;
        for (kind, gone) in [("Service", &mut removed.services), ("Ingress", &mut removed.ingresses)] {
            let beside: Vec<Key> = self
                .of_kind(kind)
                .filter(|(key, object)| {
                    let instance = labels(object).remove(names::INSTANCE);
                    key.1 == workload.namespace && instance.is_some() && instance == workload.instance_id
                })
                .map(|(key, _)| key.clone())
                .collect();
            for key in beside {
                self.forget(&key);
                gone.push(key.2);
            }
        }
        Ok(removed)
    }

    /// What instances have beside their workloads, in customers' namespaces.
    pub(super) fn belongings(&self) -> Vec<Belonging> {
        let managed: Vec<String> =
            self.namespaces().into_iter().filter(|one| one.managed).map(|one| one.name).collect();
        let mut found = Vec::new();
        for kind in BelongingKind::ALL {
            for (key, object) in self.of_kind(kind.as_str()).filter(|(key, _)| managed.contains(&key.1)) {
                let labels = labels(object);
                let is_ours = labels.get(names::MANAGED_BY).is_some_and(|by| by == names::MANAGED_BY_US);
                let Some(instance_id) = labels.get(names::INSTANCE).filter(|_| is_ours) else { continue };
                found.push(Belonging {
                    kind,
                    namespace: key.1.clone(),
                    name: key.2.clone(),
                    uid: self.uid(key),
                    resource_version: self.version(key),
                    instance_id: Some(instance_id.clone()),
                    created_at: self.made(key),
                });
            }
        }
        found.sort_by(|one, other| {
            (&one.namespace, &one.name, one.kind).cmp(&(&other.namespace, &other.name, other.kind))
        });
        found
    }

    /// Exactly this object, if it is still as it was seen.
    pub(super) fn remove_belonging(&mut self, one: &Belonging) -> Result<(), FleetError> {
        let key = (one.kind.as_str().to_owned(), one.namespace.clone(), one.name.clone());
        self.forget_as_seen(&key, &one.uid, &one.resource_version)
    }

    /// One that is not there any more is as good as deleted.
    fn forget_as_seen(&mut self, key: &Key, uid: &str, version: &str) -> Result<(), FleetError> {
        if !self.kept.contains_key(key) {
            return Ok(());
        }
        if self.uid(key) != uid || self.version(key) != version {
            let reason = "it was changed meanwhile".to_owned();
            return Err(FleetError::Refused { what: format!("delete {}", key.2), reason });
        }
        self.forget(key);
        Ok(())
    }

    /// Pod, image and start of an instance's program.
    pub(super) fn program(&self, namespace: &str, instance_id: &str) -> Option<(String, String, Timestamp)> {
        let (key, object) = self.of_kind(WORKLOAD).find(|(key, object)| {
            key.1 == namespace
                && component(object) == names::APP
                && labels(object).get(names::INSTANCE).is_some_and(|id| id == instance_id)
                && replicas(object) > 0
        })?;
        let image = object["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
        Some((format!("{}-{}-0", key.2, generation(object)), image.to_owned(), *self.since.get(key)?))
    }

    /// Instances that have a pod.
    pub(super) fn instances_with_pods(&self) -> Vec<String> {
        let running = self.of_kind(WORKLOAD).filter(|(_, object)| replicas(object) > 0);
        let mut ids: Vec<String> = running.filter_map(|(_, object)| labels(object).remove(names::INSTANCE)).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// The pods of these instances, all on `node`, the one that was made last first.
    pub(super) fn places_of(&self, instance_ids: &[String], node: &str) -> Vec<PodPlace> {
        let mut found = Vec::new();
        for (key, object) in self.of_kind(WORKLOAD) {
            let Some(instance_id) = labels(object).remove(names::INSTANCE) else { continue };
            if !instance_ids.contains(&instance_id) {
                continue;
            }
            let generation = generation(object);
            found.extend((0..replicas(object)).map(|number| {
                let place = PodPlace {
                    instance_id: instance_id.clone(),
                    name: format!("{}-{generation}-{number}", key.2),
                    component: component(object).to_owned(),
                    node: Some(node.to_owned()),
                    // Nothing runs, so nothing has an address.
                    pod_ip: None,
                    phase: self.phase(key, generation).to_owned(),
                };
                (self.since.get(key).copied(), place)
            }));
        }
        found.sort_by_key(|(since, _)| Reverse(*since));
        found.into_iter().map(|(_, place)| place).collect()
    }

    /// How many pods there are, and what they asked for.
    pub(super) fn load(&self) -> (u32, Resources) {
        let (mut pods, mut load) = (0, Resources::default());
        for (_, object) in self.of_kind(WORKLOAD) {
            let copies = replicas(object);
            pods += copies;
            for container in object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten() {
                let asked = |what: &str| {
                    let text = container["resources"]["requests"][what].as_str();
                    let quantity = text.and_then(|text| Quantity::parse(text).ok());
                    quantity.and_then(|quantity| u64::try_from(quantity.0).ok()).unwrap_or(0) * u64::from(copies)
                };
                load.cpu_millis += asked("cpu");
                load.memory_bytes += asked("memory") / 1000;
            }
        }
        (pods, load)
    }

    /// Every pod is replaced; gives namespace and name of those that went.
    pub(super) fn begin_anew(&mut self, now: Timestamp) -> Vec<(String, String)> {
        let running: Vec<Key> =
            self.of_kind(WORKLOAD).filter(|(_, object)| replicas(object) > 0).map(|(key, _)| key.clone()).collect();
        for key in &running {
            self.since.insert(key.clone(), now);
        }
        running.into_iter().map(|(_, namespace, name)| (namespace, name)).collect()
    }

    fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.kept.iter().filter(move |(key, _)| key.0 == kind)
    }

    fn made(&self, key: &Key) -> Timestamp {
        self.born.get(key).copied().unwrap_or_else(|| Timestamp::from_unix_millis(0))
    }

    fn version(&self, key: &Key) -> String {
        self.written.get(key).copied().unwrap_or_default().to_string()
    }

    fn uid(&self, key: &Key) -> String {
        format!("{}/{}@{}", key.1, key.2, self.made(key).unix_millis())
    }
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let found = object["metadata"]["labels"].as_object().into_iter().flatten();
    found.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
