//! SIGKILL for the provisioner at fifty random points while instances are restarted, wiped, stopped and started on a real
//! API server: afterwards everything is as its facts say, nothing is double, nothing is left, no data is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod, Secret, Service},
    networking::v1::Ingress,
};
use kube::{Api, Client, ResourceExt, api::ListParams};
use minispod_e2e::{Door, World, WorldOptions};
use minispod_testkit::{eventually, kubernetes::ControlPlane, require};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::chaos::draw::{self, Draw};

const KILLS: u32 = 50;
const READY: Duration = Duration::from_mins(3);
/// Between two kills: at least, and up to so many milliseconds more. A new process needs about half a second to be at
/// work, so the kills find it at its start, in the middle and at rest.
const PACE: Duration = Duration::from_millis(500);
const PACE_SPREAD: u64 = 1_500;
const CUSTOMERS: [&str; 3] = ["Ani Kills", "Budi Kills", "Citra Kills"];
const OFFERINGS: [&str; 2] = ["n8n", "redis"];

/// One subscription and whoever owns it.
#[derive(Clone)]
struct Sold {
    door: Door,
    id: String,
}

/// Asks for something at random until told to stop; what is refused because something is on its way is as good.
async fn operate(sold: Vec<Sold>, admin: Door, mut draw: Draw, over: Arc<AtomicBool>, asked: Arc<AtomicU32>) {
    while !over.load(Ordering::SeqCst) {
        let one = draw.one(&sold).expect("something is sold").clone();
        let (door, method, path) = match draw.below(8) {
            0..=2 => (&one.door, Method::POST, format!("/subscriptions/{}/restart-pod", one.id)),
            3 => (&one.door, Method::POST, format!("/subscriptions/{}/reset-pod", one.id)),
            4 | 5 => (&admin, Method::POST, format!("/admin/subscriptions/{}/stop", one.id)),
            _ => (&admin, Method::POST, format!("/admin/subscriptions/{}/start", one.id)),
        };
        let answer = door.send(method, &path, Some(json!({}))).await;
        assert!([200, 201, 202, 409].contains(&answer.status), "{path}: {} {:#}", answer.status, answer.body);
        asked.fetch_add(u32::from(answer.status < 300), Ordering::SeqCst);
        let until = Duration::from_millis(100 + draw.below(400));
        eventually(until, || async { over.load(Ordering::SeqCst) }).await;
    }
}

/// What there is of a kind, of ours, by instance.
async fn of_kind<K>(client: &Client, namespaces: &BTreeSet<String>) -> BTreeMap<String, Vec<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=minispod");
    let all: Api<K> = Api::all(client.clone());
    let mut by_instance: BTreeMap<String, Vec<K>> = BTreeMap::new();
    for object in all.list(&ours).await.expect("the API server lists").items {
        let mine = object.namespace().is_some_and(|namespace| namespaces.contains(&namespace));
        if let Some(instance) = object.labels().get("minispod.dev/instance").filter(|_| mine) {
            by_instance.entry(instance.clone()).or_default().push(object.clone());
        }
    }
    by_instance
}

/// Instance, whether it shall run, and how often it was wiped, by the facts that the owner sees.
async fn told(sold: &[Sold]) -> BTreeMap<String, (String, u64)> {
    let mut told = BTreeMap::new();
    for one in sold {
        let shown = one.door.get(&format!("/subscriptions/{}", one.id)).await;
        let instance = &shown.data()["serviceInstance"];
        let status = instance["status"].as_str().unwrap_or_default().to_owned();
        let resets = instance["resetCount"].as_u64().unwrap_or_default();
        told.insert(instance["id"].as_str().expect("an instance").to_owned(), (status, resets));
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn reviewer_09_a_provisioner_killed_at_fifty_random_points_converges() {
    if !require("pg") || !require("nats") || !require("k8s") {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let seed = draw::seed();
    println!("MINISPOD_CHAOS_SEED={seed}");
    let cluster = ControlPlane::shared().await;
    let client = cluster.client().await;
    let kubeconfig = Some(cluster.kubeconfig().to_path_buf());
    let mut world = World::start(WorldOptions { kubeconfig, ..WorldOptions::default() }).await;
    let sql = world.sql().await;
    let admin = world.administrator("siti.kills@example.com").await;
    let (mut sold, mut namespaces) = (Vec::new(), BTreeSet::new());
    for name in CUSTOMERS {
        let (door, user) = world.door().register(name).await;
        namespaces.insert(format!("customer-{}", user["id"].as_str().expect("an id")));
        world.fund(&door, 100_000).await;
        for offering in OFFERINGS {
            let (plan, _) = world.plan(offering).await;
            let id = world.subscribe(&door, &plan).await;
            sold.push(Sold { door: door.clone(), id });
        }
    }
    world.settle(&sql, READY).await;
    let volumes = of_kind::<PersistentVolumeClaim>(&client, &namespaces).await;
    let before: BTreeMap<_, _> = volumes.iter().map(|(instance, all)| (instance.clone(), all[0].uid())).collect();
    assert_eq!(before.len(), sold.len());

    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let operator = tokio::spawn(operate(sold.clone(), admin.clone(), Draw::new(seed, 1), over.clone(), asked.clone()));
    let mut kills = Draw::new(seed, 2);
    let mut at_work = 0;
    for _ in 0..KILLS {
        tokio::time::sleep(PACE + Duration::from_millis(kills.below(PACE_SPREAD))).await;
        let (open,): (i64,) =
            sqlx::query_as("SELECT count(*) FROM ops.effects WHERE reactor = 'provisioner' AND state = 'intended'")
                .fetch_one(&sql)
                .await
                .expect("the ledger answers");
        at_work += u32::from(open > 0);
        assert!(!world.role("provisioner").has_ended(), "it ended by itself: {}", world.last_words());
        world.role("provisioner").kill();
        world.start_role("provisioner", "provisioner");
    }
    over.store(true, Ordering::SeqCst);
    operator.await.expect("the operator's requests are answered");
    println!("{KILLS} kills, {at_work} of them with work on hand, {} requests taken", asked.load(Ordering::SeqCst));
    assert!(at_work >= KILLS / 2, "the kills found it idle");

    world.settle(&sql, READY).await;
    let rests = |status: &str| ["RUNNING", "STOPPED"].contains(&status);
    let settled = eventually(READY, || async { told(&sold).await.values().all(|(status, _)| rests(status)) }).await;
    assert!(settled, "{:?}\n{}", told(&sold).await, world.last_words());
    let facts = told(&sold).await;
    as_told(&client, &namespaces, &facts, &before).await;
    world.must(&["log", "verify"]);

    for one in &sold {
        let path = format!("/subscriptions/{}", one.id);
        let cancelled = one.door.send(Method::DELETE, &path, Some(json!({ "reason": "the story is over" }))).await;
        assert_eq!(cancelled.status, 200, "{:#}", cancelled.body);
    }
    world.settle(&sql, READY).await;
    assert!(of_kind::<Deployment>(&client, &namespaces).await.is_empty(), "an orphan is left");
    assert!(of_kind::<Service>(&client, &namespaces).await.is_empty(), "an orphan is left");
    assert_eq!(of_kind::<PersistentVolumeClaim>(&client, &namespaces).await.len(), sold.len(), "all data is kept");
}

/// The cluster has exactly what the facts say.
async fn as_told(
    client: &Client,
    namespaces: &BTreeSet<String>,
    facts: &BTreeMap<String, (String, u64)>,
    volumes_before: &BTreeMap<String, Option<String>>,
) {
    let known: BTreeSet<_> = facts.keys().cloned().collect();
    let deployments = of_kind::<Deployment>(client, namespaces).await;
    assert_eq!(deployments.keys().cloned().collect::<BTreeSet<_>>(), known, "one workload for each instance");
    for (instance, all) in &deployments {
        let (status, _) = &facts[instance];
        let wanted = all[0].spec.as_ref().and_then(|spec| spec.replicas);
        assert_eq!((all.len(), wanted), (1, Some(i32::from(status == "RUNNING"))), "{instance} {status}");
    }
    for (instance, pods) in of_kind::<Pod>(client, namespaces).await {
        assert_eq!((pods.len(), facts[&instance].0.as_str()), (1, "RUNNING"), "{instance}");
    }
    let single = |kind: &str, counts: BTreeMap<String, usize>| {
        assert!(counts.values().all(|count| *count == 1), "a doubled {kind}: {counts:?}");
        assert!(counts.keys().all(|instance| known.contains(instance)), "an orphaned {kind}: {counts:?}");
    };
    single("Service", counted(of_kind::<Service>(client, namespaces).await));
    single("Secret", counted(of_kind::<Secret>(client, namespaces).await));
    single("Ingress", counted(of_kind::<Ingress>(client, namespaces).await));
    let volumes = of_kind::<PersistentVolumeClaim>(client, namespaces).await;
    assert_eq!(volumes.keys().cloned().collect::<BTreeSet<_>>(), known, "no volume is lost");
    for (instance, all) in &volumes {
        assert_eq!(all.len(), 1, "{instance}");
        let same = all[0].uid() == volumes_before[instance];
        let resets = facts[instance].1;
        assert_eq!(same, resets == 0, "{instance} was wiped {resets} times");
    }
}

/// How many each instance has.
fn counted<K>(all: BTreeMap<String, Vec<K>>) -> BTreeMap<String, usize> {
    all.into_iter().map(|(instance, all)| (instance, all.len())).collect()
}
