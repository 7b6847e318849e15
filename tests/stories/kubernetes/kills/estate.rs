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
use sha2::{Digest, Sha256};
use sqlx::PgPool;

const CUSTOMER: &str = "minispod.dev/customer";
const INSTANCE: &str = "minispod.dev/instance";
const GENERATION: &str = "minispod.dev/generation";
/// On the program's workload alone.
const PROGRAM_MARK: &str = "minispod.dev/program";
const DATA: &str = "PersistentVolumeClaim";
const PROGRAM: &str = "Deployment";
const DOOR: &str = "Ingress";
/// Between two looks at all volumes; one lives far longer.
const GLANCE: Duration = Duration::from_millis(250);

/// An instance as its facts say it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Fact {
    pub id: String,
    pub offering: String,
    pub status: String,
    pub volume: String,
    pub resets: i64,
    pub generation: i32,
    pub cpu_limit: String,
    pub mem_limit: String,
    /// How often its workload was deleted.
    pub deletions: i64,
}

/// Every instance that these customers ever had.
pub async fn facts(sql: &PgPool, customers: &BTreeSet<String>) -> Vec<Fact> {
    let customers: Vec<&str> = customers.iter().map(String::as_str).collect();
    sqlx::query_as(
        "SELECT id, offering, status, volume_status AS volume, reset_count::bigint AS resets, generation,
           cpu_limit, mem_limit, (SELECT count(*) FROM log.events e WHERE e.aggregate_type = 'instance'
             AND e.aggregate_id = i.id AND e.event_type = 'InstanceDeleted') AS deletions
         FROM read.instances i WHERE user_id = ANY($1) ORDER BY id",
    )
    .bind(customers)
    .fetch_all(sql)
    .await
    .expect("the read model answers")
}

/// The program's workload: which request wrote it, and the most that it may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    pub generation: String,
    /// Quantities of CPU and memory, as the API server writes them.
    pub limits: [String; 2],
}

impl Program {
    fn of(workload: &Deployment) -> Option<Self> {
        let annotations = workload.annotations();
        annotations.get(PROGRAM_MARK)?;
        let pod = workload.spec.as_ref()?.template.spec.as_ref()?;
        let limits = pod.containers.first()?.resources.as_ref()?.limits.as_ref()?;
        let limits = ["cpu", "memory"].map(|name| limits.get(name).map(|limit| limit.0.clone()).unwrap_or_default());
        Some(Self { generation: annotations.get(GENERATION).cloned().unwrap_or_default(), limits })
    }
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
    pub program: Option<Program>,
    /// What is being deleted.
    pub going: BTreeSet<String>,
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
        holding.program = Program::of(&workload).or(holding.program.take());
    }
    for pod in of_customers::<Pod>(client, customers).await {
        let holding = all.entry(pod.labels()[INSTANCE].clone()).or_default();
        holding.pods += 1;
        if pod.metadata.deletion_timestamp.is_some() {
            holding.going.insert(format!("Pod {}", pod.name_any()));
        }
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
        let name = place_of(object);
        if object.meta().deletion_timestamp.is_some() {
            holding.going.insert(format!("{kind} {name}"));
        }
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

fn place_of(object: &impl ResourceExt) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// By instance and name: what was seen of an object.
pub type Seen = BTreeMap<(String, String), BTreeSet<String>>;

/// What was seen of customers' instances in the course of time.
#[derive(Debug, Default)]
pub struct Notes {
    /// Uids of volumes.
    pub volumes: Seen,
    /// Hashes of what secrets contain.
    pub secrets: Seen,
}

impl Notes {
    async fn take(&mut self, client: &Client, customers: &BTreeSet<String>) {
        for claim in of_customers::<PersistentVolumeClaim>(client, customers).await {
            let place = (claim.labels()[INSTANCE].clone(), place_of(&claim));
            self.volumes.entry(place).or_default().insert(claim.uid().unwrap_or_default());
        }
        for secret in of_customers::<Secret>(client, customers).await {
            let place = (secret.labels()[INSTANCE].clone(), place_of(&secret));
            let contents = serde_json::to_vec(&secret.data).expect("data can be written");
            self.secrets.entry(place).or_default().insert(hex::encode(Sha256::digest(contents)));
        }
    }
}

/// Notes every volume and every secret until told to stop, and once more then.
pub async fn take_notes(client: Client, customers: BTreeSet<String>, over: Arc<AtomicBool>) -> Notes {
    let mut notes = Notes::default();
    loop {
        let is_last = over.load(Ordering::SeqCst);
        notes.take(&client, &customers).await;
        if is_last {
            return notes;
        }
        eventually(GLANCE, || async { over.load(Ordering::SeqCst) }).await;
    }
}

/// The cluster has exactly what the facts say; `usual` is what an instance of each offering has while it runs.
pub fn as_told(facts: &[Fact], holdings: &BTreeMap<String, Holding>, usual: &BTreeMap<String, Holding>, notes: &Notes) {
    let known: BTreeSet<_> = facts.iter().map(|fact| fact.id.clone()).collect();
    let strange: Vec<_> = holdings.keys().filter(|id| !known.contains(*id)).collect();
    assert!(strange.is_empty(), "orphans of no instance: {strange:?}");
    let nothing = Holding::default();
    for fact in facts {
        let has = holdings.get(&fact.id).unwrap_or(&nothing);
        assert!(has.going.is_empty(), "{:?} stay and are being deleted: {fact:?}", has.going);
        // What cannot run at all is of an offering that nobody has.
        let usual = usual.get(&fact.offering).unwrap_or(has);
        let unfinished = fact.resets + fact.deletions > 0 || fact.volume == "Pending";
        match fact.status.as_str() {
            "RUNNING" => {
                assert_eq!(has.counts(), usual.counts(), "{fact:?}");
                assert_eq!((&has.wanted, has.pods), (&BTreeSet::from([1]), usual.pods), "{fact:?}");
                runs_as_asked(fact, has);
            }
            // A stop that overtook the first start, or that after a reset or a deletion, leaves what that had made, or nothing.
            "STOPPED" if unfinished && has.count(PROGRAM) < usual.count(PROGRAM) => {
                rests_unfinished(fact, has, usual);
            }
            "STOPPED" => {
                let mut expected = usual.counts();
                expected.remove(DOOR);
                assert_eq!(has.counts(), expected, "{fact:?}");
                assert!(has.wanted.iter().all(|copies| *copies == 0) && has.pods == 0, "{fact:?}: {has:?}");
            }
            "DELETED" if fact.volume == "Deleted" => assert_eq!(*has, nothing, "{fact:?}"),
            "DELETED" => {
                assert_eq!(has.objects.keys().filter(|kind| **kind != DATA).count(), 0, "{fact:?}: {has:?}");
                assert_eq!(has.pods, 0, "{fact:?}");
            }
            other => panic!("{other} is no end: {fact:?}"),
        }
        same_volumes(fact, has, &notes.volumes);
        for ((_, name), seen) in notes.secrets.iter().filter(|((instance, _), _)| *instance == fact.id) {
            assert_eq!(seen.len(), 1, "the contents of {name} changed: {fact:?}");
        }
    }
}

/// Nothing of it runs, and it has no more than a whole one has.
fn rests_unfinished(fact: &Fact, has: &Holding, usual: &Holding) {
    let more: Vec<_> = has.counts().into_iter().filter(|(kind, count)| *count > usual.count(kind)).collect();
    assert!(more.is_empty() && has.count(DOOR) == 0, "{fact:?}: {has:?}");
    assert!(has.wanted.iter().all(|copies| *copies == 0) && has.pods == 0, "{fact:?}: {has:?}");
}

/// The program is what the last request asked for.
fn runs_as_asked(fact: &Fact, has: &Holding) {
    let Some(program) = &has.program else { panic!("no workload is the program's: {fact:?}") };
    assert_eq!(program.generation, fact.generation.to_string(), "{fact:?}");
    let limits = program.limits.each_ref().map(|limit| thousandths(limit));
    assert_eq!(limits, [&fact.cpu_limit, &fact.mem_limit].map(|limit| thousandths(limit)), "{fact:?}: {program:?}");
}

/// A quantity in thousandths, as the API server writes one and as plans do: `0.25` is `250m`.
fn thousandths(quantity: &str) -> i64 {
    let end = quantity.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(end);
    let unit = match unit {
        "m" => 1.0,
        "" => 1_000.0,
        "Ki" => 1_000.0 * 1024.0,
        "Mi" => 1_000.0 * 1024.0 * 1024.0,
        "Gi" => 1_000.0 * 1024.0 * 1024.0 * 1024.0,
        "k" => 1_000_000.0,
        "M" => 1_000_000_000.0,
        "G" => 1_000_000_000_000.0,
        _ => panic!("{quantity:?} is in no unit that plans use"),
    };
    let number: f64 = number.parse().unwrap_or_else(|_| panic!("{quantity:?} is no quantity"));
    (number * unit).round() as i64
}

/// A volume is another one only after a reset, and once for each; what was never wiped is there.
fn same_volumes(fact: &Fact, has: &Holding, volumes: &Seen) {
    for ((_, name), seen) in volumes.iter().filter(|((instance, _), _)| *instance == fact.id) {
        let most = 1 + usize::try_from(fact.resets).unwrap_or_default();
        assert!(seen.len() <= most, "{name} was another one {} times: {fact:?}", seen.len());
        let now = has.objects.get(DATA).and_then(|all| all.get(name));
        assert!(now.is_none_or(|uid| seen.contains(uid)), "{name} is one that nobody saw: {fact:?}");
        assert!(now.is_some() || fact.resets > 0 || fact.volume == "Deleted", "{name} is lost: {fact:?}");
    }
}
