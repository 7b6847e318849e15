//! The isolation checklist's tests that need a real network or a real kernel, each under its number. Whatever must not
//! be reachable is first shown to be there.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use minispod_events::InstanceEvent;
use minispod_provisioner::{Cluster, RestingPage};
use minispod_testkit::wait_until;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    bench::{Bench, DEADLINE, carry_out},
    ground::{ANY_IMAGE, ANY_PORT, Bought, NODE, open},
};

const METADATA_SERVICE: &str = "169.254.169.254:80";
/// Of the range for documentation; the node has it, so that somebody answers.
const INTERNET: &str = "203.0.113.10:443";
/// How long processors are taken.
const SPINNING: Duration = Duration::from_secs(8);
/// A page that takes longer is not served well; beside a spinning neighbour on the two processors of this node.
const BEARABLE: Duration = Duration::from_secs(1);
const PAGE_USER: u32 = 65_532;
const FILE: &str = "/var/lib/ghost/content/a-test-was-here";

#[tokio::test]
async fn reviewer_01_a_pod_reaches_no_pod_and_no_service_of_another_customer() {
    let Some(one) = Bought::by_somebody().await else { return };
    let Some(other) = Bought::by_somebody().await else { return };
    tokio::join!(one.run(), other.run());
    let mut addresses = other.services().await;
    addresses.push(format!("{}:2368", other.address().await));
    for address in addresses {
        // An instance reaches itself, so somebody listens there.
        other.reaches(&address).await;
        one.does_not_reach(&address).await;
    }
    let namespace = one.bench.target(&one.spec).namespace;
    let found = one.does(&format!("resolve?name={}.{namespace}.svc.cluster.local", one.name())).await;
    assert!(found.starts_with("10.240."), "names are looked up: {found}");
}

#[tokio::test]
async fn reviewer_02_a_pod_reaches_no_metadata_service_and_nothing_of_the_node() {
    let Some(ghost) = Bought::by_somebody().await else { return };
    let _metadata = TcpListener::bind(METADATA_SERVICE).await.expect("the node has the address");
    let _internet = TcpListener::bind(INTERNET).await.expect("the node has the address");
    let (kubelet, server) = (format!("{NODE}:10250"), format!("{NODE}:6443"));
    // Nobody serves these here, so that somebody listens where an operator's sshd and the platform's Postgres would.
    let (ssh, postgres) = (format!("{NODE}:22"), format!("{NODE}:5432"));
    let _ssh = TcpListener::bind(&ssh).await.expect("the node has the address");
    let _postgres = TcpListener::bind(&postgres).await.expect("the node has the address");
    ghost.run().await;
    for address in [METADATA_SERVICE, &kubelet, &server, "10.240.0.1:443", &ssh, &postgres] {
        let reached = timeout(Duration::from_secs(5), TcpStream::connect(address)).await;
        assert!(matches!(reached, Ok(Ok(_))), "somebody listens at {address}");
        ghost.does_not_reach(address).await;
    }
    // The internet is open to it.
    ghost.reaches(INTERNET).await;
}

#[tokio::test]
async fn reviewer_03_no_account_token_lies_in_the_container() {
    let Some(ghost) = Bought::by_somebody().await else { return };
    ghost.run().await;
    assert!(ghost.does("read?path=/etc/hosts").await.contains("localhost"), "files can be read");
    for path in
        ["/var/run/secrets/kubernetes.io/serviceaccount/token", "/run/secrets/kubernetes.io/serviceaccount/token"]
    {
        let refused = ghost.cannot(&format!("read?path={path}")).await;
        assert!(refused.contains("no such file"), "{refused}");
    }
}

#[tokio::test]
async fn reviewer_05_who_eats_too_much_memory_is_killed_and_the_neighbour_answers_on() {
    let Some(mut glutton) = Bought::by_somebody().await else { return };
    let Some(neighbour) = Bought::by_somebody().await else { return };
    glutton.spec.mem_limit = "128Mi".into();
    tokio::join!(glutton.run(), neighbour.run());
    let hungry = async {
        glutton.get("/standin/eat?mib=512").await;
        wait_until(DEADLINE, || async {
            let statuses = glutton.pod().await.status.and_then(|status| status.container_statuses).unwrap_or_default();
            let ended = statuses.into_iter().filter_map(|one| one.last_state.or(one.state)?.terminated);
            ended.filter_map(|one| one.reason).any(|reason| reason == "OOMKilled")
        })
        .await;
    };
    answers_while(&neighbour, hungry).await;
    assert_eq!(neighbour.get("/").await.0, 200);
    let restarts = neighbour.pod().await.status.and_then(|status| status.container_statuses).unwrap_or_default();
    assert!(restarts.iter().all(|one| one.restart_count == 0), "the neighbour was not touched");
    glutton.wait_for_door().await;
}

/// The neighbour answers all the while; the slowest answer but one in a hundred.
async fn answers_while(neighbour: &Bought, harm: impl Future<Output = ()>) -> Duration {
    let mut answers: Vec<Duration> = Vec::new();
    let watching = async {
        loop {
            let asked = Instant::now();
            let (status, text) = neighbour.get("/").await;
            assert_eq!(status, 200, "after {} answers: {text}", answers.len());
            answers.push(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = harm => {}
        () = watching => {}
    }
    answers.sort_unstable();
    answers.get(answers.len().saturating_sub(1 + answers.len() / 100)).copied().unwrap_or_default()
}

#[tokio::test]
async fn reviewer_05_who_takes_all_processors_leaves_the_neighbour_its_share() {
    let Some(mut glutton) = Bought::by_somebody().await else { return };
    let Some(neighbour) = Bought::by_somebody().await else { return };
    glutton.spec.cpu_limit = "1".into();
    tokio::join!(glutton.run(), neighbour.run());
    let begun = Instant::now();
    let greedy = async {
        glutton.does("spin?threads=16&seconds=10").await;
        wait_until(DEADLINE, || async { begun.elapsed() >= SPINNING }).await;
    };
    let slowest = answers_while(&neighbour, greedy).await;
    println!("the neighbour's p99 beside 16 spinning threads: {slowest:?}");
    assert!(slowest < BEARABLE, "the neighbour's p99 is {slowest:?}");
    assert_eq!(neighbour.get("/").await.0, 200);
}

#[tokio::test]
async fn reviewer_05_who_fills_the_node_is_moved_away_and_comes_back_empty() {
    let Some(glutton) = Bought::by_somebody().await else { return };
    let Some(neighbour) = Bought::by_somebody().await else { return };
    tokio::join!(glutton.run(), neighbour.run());
    let before = glutton.pod().await.metadata.uid;
    glutton.does(&format!("write?path={FILE}&text=kept")).await;
    let filling = async {
        // Twice what its scratch may hold.
        glutton.does("fill?path=/tmp/much&mib=512").await;
        wait_until(DEADLINE * 2, || async {
            let pods = glutton.pods().await;
            let evicted = pods.iter().find(|pod| pod.metadata.uid == before).is_none_or(|pod| {
                let status = pod.status.clone().unwrap_or_default();
                status.reason.as_deref() == Some("Evicted")
            });
            evicted && pods.iter().any(|pod| pod.metadata.uid != before)
        })
        .await;
    };
    answers_while(&neighbour, filling).await;
    assert_eq!(neighbour.get("/").await.0, 200);
    glutton.wait_for_door().await;
    assert_eq!(glutton.does(&format!("read?path={FILE}")).await, "kept", "what is on its volume stays");
    assert!(glutton.cannot("read?path=/tmp/much").await.contains("no such file"));
}

#[tokio::test]
async fn reviewer_05_who_makes_processes_without_end_is_stopped_at_the_nodes_bound() {
    let Some(glutton) = Bought::by_somebody().await else { return };
    let Some(neighbour) = Bought::by_somebody().await else { return };
    tokio::join!(glutton.run(), neighbour.run());
    let forking = async {
        let (status, text) = glutton.get("/standin/fork?count=2000").await;
        assert!(status == 418 && text.contains("resource temporarily unavailable"), "{status}: {text}");
    };
    answers_while(&neighbour, forking).await;
    assert_eq!(neighbour.get("/").await.0, 200);
    glutton.wait_for_door().await;
}

/// A page for visitors of what rests, by a stand-in for ours that says who answers: user 65532.
async fn lay_page(bench: &Bench) -> RestingPage {
    let namespace = format!("platform-{}", bench.customer);
    let labels = json!({ "minispod.dev/serves": "resting-page" });
    let of = |name: &str| json!({ "name": name, "namespace": namespace });
    let objects = [
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": of("resting-page"),
            "spec": {
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{
                        "name": "page", "image": ANY_IMAGE, "securityContext": { "runAsUser": PAGE_USER },
                        "readinessProbe": { "tcpSocket": { "port": ANY_PORT }, "periodSeconds": 1 },
                    }] },
                },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": of("resting-page"),
            "spec": {
                "selector": labels,
                "ports": [{ "name": "http", "port": 80, "targetPort": ANY_PORT, "protocol": "TCP" }],
            },
        }),
    ];
    bench.cluster.apply(&objects).await.expect("taken");
    let deployments: Api<Deployment> = Api::namespaced(bench.client.clone(), &namespace);
    wait_until(DEADLINE, || async {
        let status = deployments.get("resting-page").await.expect("there").status.unwrap_or_default();
        status.ready_replicas == Some(1)
    })
    .await;
    RestingPage { namespace, service: "resting-page".into(), port: 80 }
}

#[tokio::test]
async fn reviewer_12_visitors_of_what_is_suspended_find_the_page_and_later_the_same_data() {
    let Some(mut bench) = open().await else { return };
    bench.options.resting_page = Some(lay_page(&bench).await);
    let ghost = Bought::of(bench, "ghost");
    ghost.run().await;
    ghost.does(&format!("write?path={FILE}&text=kept")).await;
    let (id, now) = (ghost.spec.instance_id.clone(), ghost.bench.clock.now());
    let answers_as = |user: u32| {
        let ghost = &ghost;
        let wanted = format!("stand-in at {}, user {user}, asked for /a/path\n", ghost.host);
        wait_until(DEADLINE, move || {
            let wanted = wanted.clone();
            async move { ghost.get("/a/path").await == (200, wanted) }
        })
    };
    let stop = InstanceEvent::InstanceStopRequested { spec: ghost.spec.clone(), generation: 2, occurred_at: now };
    carry_out(&ghost.reactor, &id, stop, now).await.expect("stopped");
    answers_as(PAGE_USER).await;
    let start = InstanceEvent::InstanceStartRequested { spec: ghost.spec.clone(), generation: 3, occurred_at: now };
    carry_out(&ghost.reactor, &id, start, now).await.expect("started");
    answers_as(1_000).await;
    assert_eq!(ghost.does(&format!("read?path={FILE}")).await, "kept");
}
