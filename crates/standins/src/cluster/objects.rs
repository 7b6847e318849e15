//! What the simulated cluster remembers, and what it says about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use minispod_kernel::Timestamp;
use minispod_provisioner::{
    cluster::{
        Age, ClusterError, Drift, InstanceUsage, Inventory, Made, Observed, PodSeen, Reason, Removal, Target, Workload,
    },
    names,
    quantity::Quantity,
};
use serde_json::{Value, json};

/// Kind, namespace (empty for cluster-wide ones) and name.
pub(super) type Key = (String, String, String);

/// More than any demonstration needs; keeps a runaway client from filling the memory.
const OBJECTS_MAX: usize = 100_000;
pub(super) const WORKLOAD: &str = "Deployment";
const CLAIM: &str = "PersistentVolumeClaim";

#[derive(Default)]
pub(super) struct Objects {
    pub(super) kept: BTreeMap<Key, Value>,
    /// When a workload's pods were made.
    pub(super) since: BTreeMap<Key, Timestamp>,
    /// When an object was first taken.
    pub(super) born: BTreeMap<Key, Timestamp>,
    /// Which write an object's newest was, counted over all objects.
    pub(super) written: BTreeMap<Key, u64>,
    writes: u64,
    /// Workloads whose image is not to be had, with the generation that fails.
    failing: BTreeSet<(Key, u32)>,
    pub(super) fail_next: u32,
    pub(super) unreachable: bool,
    /// What holds the namespaces, which are on their way out.
    pub(super) ending: Option<String>,
    /// The node takes no new pods.
    pub(super) closed: bool,
}

impl Objects {
    pub(super) fn apply(&mut self, object: &Value, now: Timestamp) -> Result<(), ClusterError> {
        let key = key_of(object)?;
        if self.kept.len() >= OBJECTS_MAX && !self.kept.contains_key(&key) {
            let reason = format!("the simulated cluster keeps {OBJECTS_MAX} objects");
            return Err(ClusterError::QuotaExceeded { what: format!("apply {} {}", key.0, key.2), reason });
        }
        if key.0 == WORKLOAD {
            let before = self.kept.get(&key);
            let anew = before.is_none_or(|before| generation(before) != generation(object) || replicas(before) == 0);
            if anew && replicas(object) > 0 {
                self.start(&key, object, now);
            }
        }
        self.born.entry(key.clone()).or_insert(now);
        if self.kept.get(&key) != Some(object) {
            self.note_write(&key);
        }
        self.kept.insert(key, object.clone());
        Ok(())
    }

    /// Unless a newer request wrote it (`false`).
    pub(super) fn apply_upto(&mut self, object: &Value, upto: Age, now: Timestamp) -> Result<bool, ClusterError> {
        let shared = object["metadata"]["annotations"][names::GENERATION].is_null();
        let newer = !shared && self.kept.get(&key_of(object)?).is_some_and(|kept| age(kept) > upto);
        if newer { Ok(false) } else { self.apply(object, now).map(|()| true) }
    }

    fn note_write(&mut self, key: &Key) {
        self.writes += 1;
        self.written.insert(key.clone(), self.writes);
    }

    /// What applying an instance's object would make; nothing where it is there.
    pub(super) fn would_make(&self, object: &Value) -> Result<Option<Made>, ClusterError> {
        let key = key_of(object)?;
        let shared = object["metadata"]["annotations"][names::GENERATION].is_null();
        if shared || self.kept.contains_key(&key) {
            return Ok(None);
        }
        let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
        let (kind, namespace, name) = key;
        Ok(Some(Made { api_version, kind, namespace: Some(namespace), name, uid: String::new() }))
    }

    pub(super) fn unmake(&mut self, made: &[Made], upto: Age) {
        for one in made {
            let key = (one.kind.clone(), one.namespace.clone().unwrap_or_default(), one.name.clone());
            if self.kept.get(&key).is_some_and(|kept| age(kept) <= upto) {
                self.forget(&key);
            }
        }
    }

    /// New pods; the program's may be one of those that shall fail.
    fn start(&mut self, key: &Key, object: &Value, now: Timestamp) {
        self.since.insert(key.clone(), now);
        if self.fail_next > 0 && component(object) == names::APP {
            self.fail_next -= 1;
            self.failing.insert((key.clone(), generation(object)));
        }
    }

    pub(super) fn scale(&mut self, target: &Target, wanted: u32, asked: u32, now: Timestamp) {
        let ours = self.of(target).filter(|(key, object)| key.0 == WORKLOAD && generation(object) <= asked);
        let keys: Vec<Key> = ours.map(|(key, _)| key.clone()).collect();
        for key in keys {
            let Some(object) = self.kept.get_mut(&key) else { continue };
            let had = replicas(object);
            object["spec"]["replicas"] = json!(wanted);
            object["metadata"]["annotations"][names::GENERATION] = json!(asked.to_string());
            if had != wanted {
                self.note_write(&key);
            }
            if had == 0 && wanted > 0 {
                self.since.insert(key, now);
            }
        }
    }

    pub(super) fn delete(&mut self, target: &Target, removal: Removal, upto: u32) {
        let goes = |kind: &str| match removal {
            Removal::Everything => true,
            Removal::Program => kind != CLAIM,
            Removal::Doors => kind == "Ingress",
            Removal::Data => kind == WORKLOAD || kind == CLAIM,
        };
        let old = self.of(target).filter(|(key, object)| goes(&key.0) && generation(object) <= upto);
        let keys: Vec<Key> = old.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.forget(&key);
        }
    }

    /// Nobody but us writes here, so an object differs when it is not there or was applied otherwise.
    pub(super) fn compare(&self, objects: &[Value]) -> Result<Vec<Drift>, ClusterError> {
        let mut drift = Vec::new();
        for object in objects {
            let key = key_of(object)?;
            let kept = self.kept.get(&key);
            if kept.is_some_and(|kept| same(kept, object)) {
                continue;
            }
            let place = if key.1.is_empty() { key.2.clone() } else { format!("{}/{}", key.1, key.2) };
            let fields = kept.map(|_| ".".to_owned()).into_iter().collect();
            let object = format!("{} {place}", key.0);
            drift.push(Drift { object, missing: kept.is_none(), managers: Vec::new(), fields });
        }
        Ok(drift)
    }

    pub(super) fn usage(&self) -> Vec<InstanceUsage> {
        let programs = self
            .kept
            .iter()
            .filter(|(key, object)| key.0 == WORKLOAD && component(object) == names::APP && replicas(object) > 0);
        programs
            .filter_map(|(_, object)| {
                let instance_id = object["metadata"]["labels"][names::INSTANCE].as_str()?.to_owned();
                let requests = &object["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"];
                let amount = |what: &str| {
                    let amount = Quantity::parse(requests[what].as_str().unwrap_or("0")).ok()?;
                    u64::try_from(amount.0).ok()
                };
                let (cpu, memory) = (amount("cpu").unwrap_or(0), amount("memory").unwrap_or(0) / 1000);
                Some(InstanceUsage { instance_id, cpu_millis: cpu / 10, memory_bytes: memory / 2 })
            })
            .collect()
    }

    pub(super) fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::default();
        for (key, object) in &self.kept {
            let mut hasher = DefaultHasher::new();
            (key, object.to_string()).hash(&mut hasher);
            let namespace = if key.1.is_empty() { &key.2 } else { &key.1 };
            let instance_id = object["metadata"]["labels"][names::INSTANCE].as_str();
            inventory.add(namespace, instance_id, hasher.finish());
        }
        inventory
    }

    pub(super) fn forget(&mut self, key: &Key) {
        self.kept.remove(key);
        self.since.remove(key);
        self.born.remove(key);
        self.written.remove(key);
        self.failing.retain(|(failing, _)| failing != key);
    }

    /// Workloads whose pods were made before `ready_before` are ready.
    pub(super) fn observe(&self, target: &Target, ready_before: Timestamp) -> Observed {
        let mut observed = Observed::default();
        for (key, object) in self.of(target) {
            match key.0.as_str() {
                WORKLOAD => self.look(key, object, ready_before, &mut observed),
                CLAIM => observed.volumes.push(key.2.clone()),
                _ => observed.others += 1,
            }
        }
        observed
    }

    pub(super) fn survey(&self, ready_before: Timestamp) -> Vec<(Target, Observed)> {
        let targets: BTreeSet<Target> = self
            .kept
            .iter()
            .filter(|(key, _)| key.0 == WORKLOAD)
            .filter_map(|((_, namespace, _), object)| {
                let instance_id = object["metadata"]["labels"][names::INSTANCE].as_str()?.to_owned();
                Some(Target { namespace: namespace.clone(), instance_id })
            })
            .collect();
        targets
            .into_iter()
            .map(|target| {
                let seen = self.observe(&target, ready_before);
                (target, seen)
            })
            .collect()
    }

    fn of<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.kept.iter().filter(|((_, namespace, _), object)| {
            *namespace == target.namespace
                && object["metadata"]["labels"][names::INSTANCE] == target.instance_id.as_str()
        })
    }

    fn fails(&self, key: &Key, generation: u32) -> bool {
        self.failing.contains(&(key.clone(), generation))
    }

    /// Kubernetes' word for a workload's pods.
    pub(super) fn phase(&self, key: &Key, generation: u32) -> &'static str {
        if self.fails(key, generation) { "Pending" } else { "Running" }
    }

    fn look(&self, key: &Key, object: &Value, ready_before: Timestamp, observed: &mut Observed) {
        let (wanted, generation) = (replicas(object), generation(object));
        let since = self.since.get(key).copied();
        let fails = self.fails(key, generation);
        let ready = wanted > 0 && !fails && since.is_some_and(|since| since <= ready_before);
        observed.workloads.push(Workload {
            name: key.2.clone(),
            component: component(object).to_owned(),
            generation,
            plan: object["metadata"]["annotations"][names::PLAN].as_str().unwrap_or_default().to_owned(),
            program: object["metadata"]["annotations"][names::PROGRAM].as_str().unwrap_or_default().to_owned(),
            address: object["metadata"]["annotations"][names::ADDRESS].as_str().unwrap_or_default().to_owned(),
            companions: names::companions(object["metadata"]["annotations"][names::COMPANIONS].as_str()),
            observed: true,
            wanted,
            updated: wanted,
            ready: if ready { wanted } else { 0 },
            total: wanted,
            refused: None,
        });
        let sentence = "the simulated cluster was told to fail this start".to_owned();
        observed.pods.extend((0..wanted).map(|number| PodSeen {
            name: format!("{}-{generation}-{number}", key.2),
            component: component(object).to_owned(),
            generation,
            phase: self.phase(key, generation).to_owned(),
            ready,
            leaving: false,
            since,
            restarts: 0,
            waiting: fails.then(|| Reason { word: "ErrImageNeverPull".to_owned(), sentence: sentence.clone() }),
            ended: None,
            unschedulable: None,
        }));
    }
}

/// Which event asked last is no matter of what there is.
fn same(kept: &Value, wanted: &Value) -> bool {
    let without = |object: &Value| {
        let mut object = object.clone();
        if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
            annotations.remove(names::POSITION);
        }
        object
    };
    without(kept) == without(wanted)
}

fn key_of(object: &Value) -> Result<Key, ClusterError> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let place = (text(&object["apiVersion"]), text(&object["kind"]), text(&object["metadata"]["name"]));
    let (Some(_), Some(kind), Some(name)) = place else {
        let reason = "apiVersion, kind and metadata.name are needed".to_owned();
        return Err(ClusterError::Invalid { what: "apply an object".to_owned(), reason });
    };
    Ok((kind, text(&object["metadata"]["namespace"]).unwrap_or_default(), name))
}

pub(super) fn replicas(workload: &Value) -> u32 {
    workload["spec"]["replicas"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(1)
}

pub(super) fn generation(workload: &Value) -> u32 {
    let annotation = workload["metadata"]["annotations"][names::GENERATION].as_str();
    annotation.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn age(object: &Value) -> Age {
    let position = object["metadata"]["annotations"][names::POSITION].as_str();
    Age { generation: generation(object), position: position.and_then(|text| text.parse().ok()).unwrap_or(0) }
}

pub(super) fn component(workload: &Value) -> &str {
    workload["spec"]["selector"]["matchLabels"][names::COMPONENT].as_str().unwrap_or_default()
}
