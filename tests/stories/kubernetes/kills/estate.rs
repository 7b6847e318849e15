//! What the cluster has of some customers, and whether it is what the facts say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod, Secret, Service},
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use minispod_testkit::eventually;
use serde::de::DeserializeOwned;
use sqlx::PgPool;

const CUSTOMER: &str = "minispod.dev/customer";
const INSTANCE: &str = "minispod.dev/instance";
const DATA: &str = "PersistentVolumeClaim";
const PROGRAM: &str = "Deployment";
const DOOR: &str = "Ingress";
/// Between two looks at all volumes; one lives far longer.
const GLANCE: Duration = Duration::from_millis(250);

/// An instance as its facts say it.
#[derive(Debug, Clone)]
pub struct Fact {
    pub id: String,
    pub offering: String,
    pub status: String,
    pub volume: String,
    pub resets: i32,
}

/// Every instance that these customers ever had.
pub async fn facts(sql: &PgPool, customers: &BTreeSet<String>) -> Vec<Fact> {
    let customers: Vec<&str> = customers.iter().map(String::as_str).collect();
    let rows: Vec<(String, String, String, String, i32)> = sqlx::query_as(
        "SELECT id, offering, status, volume_status, reset_count FROM read.instances WHERE user_id = ANY($1) ORDER BY id",
    )
    .bind(customers)
    .fetch_all(sql)
    .await
    .expect("the read model answers");
    rows.into_iter()
        .map(|(id, offering, status, volume, resets)| Fact { id, offering, status, volume, resets })
        .collect()
}

/// Names of objects by kind, and what its workloads are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    /// Kind, to name and uid.
    pub objects: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// Copies that each workload is to have.
    pub wanted: BTreeSet<i32>,
    /// Versions of what the workloads are to be.
    pub versions: BTreeMap<String, i64>,
    pub pods: usize,
}

impl Holding {
    fn count(&self, kind: &str) -> usize {
        self.objects.get(kind).map_or(0, BTreeMap::len)
    }

    fn counts(&self) -> BTreeMap<&'static str, usize> {
        self.objects.iter().map(|(kind, all)| (*kind, all.len())).collect()
    }
}

/// Everything of these customers, by instance.
pub async fn holdings(client: &Client, customers: &BTreeSet<String>) -> BTreeMap<String, Holding> {
    let mut all: BTreeMap<String, Holding> = BTreeMap::new();
    collect::<Service>(client, customers, "Service", &mut all).await;
    collect::<Secret>(client, customers, "Secret", &mut all).await;
    collect::<Ingress>(client, customers, DOOR, &mut all).await;
    collect::<NetworkPolicy>(client, customers, "NetworkPolicy", &mut all).await;
    collect::<PersistentVolumeClaim>(client, customers, DATA, &mut all).await;
    for workload in collect::<Deployment>(client, customers, PROGRAM, &mut all).await {
        let holding = all.entry(workload.labels()[INSTANCE].clone()).or_default();
        holding.wanted.insert(workload.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1));
        holding.versions.insert(workload.name_any(), workload.metadata.generation.unwrap_or_default());
    }
    for pod in of_customers::<Pod>(client, customers).await {
        all.entry(pod.labels()[INSTANCE].clone()).or_default().pods += 1;
    }
    all
}

async fn collect<K>(
    client: &Client,
    customers: &BTreeSet<String>,
    kind: &'static str,
    all: &mut BTreeMap<String, Holding>,
) -> Vec<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let found = of_customers::<K>(client, customers).await;
    for object in &found {
        let holding = all.entry(object.labels()[INSTANCE].clone()).or_default();
        let name = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
        holding.objects.entry(kind).or_default().insert(name, object.uid().unwrap_or_default());
    }
    found
}

/// What these customers' instances have of a kind.
async fn of_customers<K>(client: &Client, customers: &BTreeSet<String>) -> Vec<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let all: Api<K> = Api::all(client.clone());
    let found = all.list(&ListParams::default().labels(INSTANCE)).await.expect("the API server lists").items;
    let theirs = |object: &K| object.labels().get(CUSTOMER).is_some_and(|customer| customers.contains(customer));
    found.into_iter().filter(theirs).collect()
}

/// Which volumes were seen, by instance and name.
pub type Volumes = BTreeMap<(String, String), BTreeSet<String>>;

/// Notes every volume until told to stop.
pub async fn note_volumes(client: Client, customers: BTreeSet<String>, over: Arc<AtomicBool>) -> Volumes {
    let mut seen = Volumes::new();
    while !over.load(Ordering::SeqCst) {
        for claim in of_customers::<PersistentVolumeClaim>(&client, &customers).await {
            let name = format!("{}/{}", claim.namespace().unwrap_or_default(), claim.name_any());
            let place = (claim.labels()[INSTANCE].clone(), name);
            seen.entry(place).or_default().insert(claim.uid().unwrap_or_default());
        }
        eventually(GLANCE, || async { over.load(Ordering::SeqCst) }).await;
    }
    seen
}

/// The cluster has exactly what the facts say; `usual` is what an instance of each offering has while it runs.
pub fn as_told(
    facts: &[Fact],
    holdings: &BTreeMap<String, Holding>,
    usual: &BTreeMap<String, Holding>,
    volumes: &Volumes,
) {
    let known: BTreeSet<_> = facts.iter().map(|fact| fact.id.clone()).collect();
    let strange: Vec<_> = holdings.keys().filter(|id| !known.contains(*id)).collect();
    assert!(strange.is_empty(), "orphans of no instance: {strange:?}");
    let nothing = Holding::default();
    for fact in facts {
        let has = holdings.get(&fact.id).unwrap_or(&nothing);
        // What never ran is of an offering that nobody has.
        let usual = usual.get(&fact.offering).unwrap_or(&nothing);
        match fact.status.as_str() {
            "RUNNING" => {
                assert_eq!(has.counts(), usual.counts(), "{fact:?}");
                assert_eq!((&has.wanted, has.pods), (&BTreeSet::from([1]), usual.pods), "{fact:?}");
            }
            // A stop that overtook a reset finds its data gone and makes nothing anew.
            "STOPPED" if fact.resets > 0 && has.count(PROGRAM) == 0 => assert_eq!(has.count(DATA), 0, "{fact:?}"),
            "STOPPED" => {
                let mut expected = usual.counts();
                expected.remove(DOOR);
                assert_eq!(has.counts(), expected, "{fact:?}");
                assert_eq!((&has.wanted, has.pods), (&BTreeSet::from([0]), 0), "{fact:?}");
            }
            "DELETED" if fact.volume == "Deleted" => assert_eq!(*has, nothing, "{fact:?}"),
            "DELETED" => {
                assert_eq!(has.objects.keys().filter(|kind| **kind != DATA).count(), 0, "{fact:?}: {has:?}");
                assert_eq!(has.pods, 0, "{fact:?}");
            }
            other => panic!("{other} is no end: {fact:?}"),
        }
        same_volumes(fact, has, volumes);
    }
}

/// A volume is another one only after a reset, and once for each; what was never wiped is there.
fn same_volumes(fact: &Fact, has: &Holding, volumes: &Volumes) {
    for ((_, name), seen) in volumes.iter().filter(|((instance, _), _)| *instance == fact.id) {
        let most = 1 + usize::try_from(fact.resets).unwrap_or_default();
        assert!(seen.len() <= most, "{name} was another one {} times: {fact:?}", seen.len());
        let now = has.objects.get(DATA).and_then(|all| all.get(name));
        assert!(now.is_none_or(|uid| seen.contains(uid)), "{name} is one that nobody saw: {fact:?}");
        assert!(now.is_some() || fact.resets > 0 || fact.volume == "Deleted", "{name} is lost: {fact:?}");
    }
}
