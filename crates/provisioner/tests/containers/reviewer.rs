//! The isolation checklist's tests that need a real network or a real kernel, each under its number. Whatever must not
//! be reachable is first shown to be there.

use std::time::Duration;

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
async fn reviewer_02_a_pod_reaches_no_metadata_service_no_kubelet_and_no_api_server() {
    let Some(ghost) = Bought::by_somebody().await else { return };
    let _metadata = TcpListener::bind(METADATA_SERVICE).await.expect("the node has the address");
    let _internet = TcpListener::bind(INTERNET).await.expect("the node has the address");
    ghost.run().await;
    let (kubelet, server) = (format!("{NODE}:10250"), format!("{NODE}:6443"));
    for address in [METADATA_SERVICE, &kubelet, &server, "10.240.0.1:443"] {
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
    let watching = async {
        let mut answers = 0;
        loop {
            let (status, text) = neighbour.get("/").await;
            assert_eq!(status, 200, "after {answers} answers: {text}");
            answers += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = hungry => {}
        () = watching => {}
    }
    assert_eq!(neighbour.get("/").await.0, 200);
    let restarts = neighbour.pod().await.status.and_then(|status| status.container_statuses).unwrap_or_default();
    assert!(restarts.iter().all(|one| one.restart_count == 0), "the neighbour was not touched");
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
