//! What the tests stand on: the cluster with its DNS, ingress controller and volumes, and customers who have bought.

use std::{path::Path, time::Duration};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service},
};
use kube::{Api, api::ListParams};
use minispod_domain::InstanceCommand;
use minispod_events::InstanceSpec;
use minispod_provisioner::{Cluster, ProvisionerReactor};
use minispod_testkit::{eventually, require, wait_until};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    sync::OnceCell,
};

use crate::bench::{Bench, DEADLINE, carry_out};

/// The node's address, and how the ingress controller is reached there: `tests/containers/inside.sh`, `objects.yaml`.
pub const NODE: &str = "10.91.0.1";
const DOOR: &str = "10.91.0.1:30080";
const TLS_PORT: u16 = 30443;
const STORAGE_CLASS: &str = "folders";
const FOLDERS: u32 = 30;
/// Of no offering; it listens at [`ANY_PORT`].
pub const ANY_IMAGE: &str = "minispod.test/standin:1";
pub const ANY_PORT: u16 = 8080;
/// For one request: a stand-in gives up a connection after two seconds.
const PATIENCE: Duration = Duration::from_secs(10);

static LAID: OnceCell<()> = OnceCell::const_new();

/// `None` where there is no such cluster; the reason is printed.
pub async fn open() -> Option<Bench> {
    if !require("containers") {
        return None;
    }
    let bench = Bench::open().await?;
    LAID.get_or_init(|| lay(&bench)).await;
    Some(bench)
}

async fn lay(bench: &Bench) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/containers/objects.yaml");
    let text = std::fs::read_to_string(path).expect("the objects are there");
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    let mut objects: Vec<Value> = documents.map(|one| Value::deserialize(one).expect("YAML")).collect();
    objects.extend((1..=FOLDERS).map(volume));
    bench.cluster.apply(&objects).await.expect("taken");
    for name in ["coredns", "traefik"] {
        let namespace = if name == "coredns" { "kube-system" } else { name };
        let deployments: Api<Deployment> = Api::namespaced(bench.client.clone(), namespace);
        wait_until(DEADLINE, || async {
            let status = deployments.get(name).await.expect("there").status.unwrap_or_default();
            status.ready_replicas == Some(1)
        })
        .await;
    }
}

fn volume(number: u32) -> Value {
    let here = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": ["real"] });
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": format!("folder-{number}") },
        "spec": {
            "capacity": { "storage": "1Gi" },
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": STORAGE_CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "local": { "path": format!("/var/lib/minispod-volumes/{number}") },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [here] }] } },
        },
    })
}

/// One customer's instance.
pub struct Bought {
    pub bench: Bench,
    pub reactor: ProvisionerReactor,
    pub spec: InstanceSpec,
    /// Its host name at the ingress controller.
    pub host: String,
}

impl Bought {
    /// A ghost, by a new customer; `None` where there is no such cluster.
    pub async fn by_somebody() -> Option<Self> {
        Some(Self::of(open().await?, "ghost"))
    }

    /// Any offering, by the bench's customer.
    pub fn of(bench: Bench, offering: &str) -> Self {
        let mut spec = bench.sold(offering);
        spec.storage_class = STORAGE_CLASS.into();
        spec.subdomain = format!("s-{}", spec.subscription_id);
        let host = format!("{}.{offering}.apps.example.com", spec.subdomain);
        Self { reactor: bench.reactor(), bench, spec, host }
    }

    /// A program that the catalogue does not know, which is less guarded.
    pub fn of_any_image(bench: Bench) -> Self {
        let mut bought = Self::of(bench, "ghost");
        bought.spec.offering = "something-else".into();
        bought.spec.docker_image = ANY_IMAGE.into();
        bought.spec.container_port = ANY_PORT;
        bought.host = bought.host.replace("ghost", "something-else");
        bought
    }

    /// Runs it until it is reported ready and the ingress controller has heard of it.
    pub async fn run(&self) -> Vec<InstanceCommand> {
        let reports = self.run_inside().await;
        self.wait_for_door().await;
        reports
    }

    /// Runs it until it is reported ready.
    pub async fn run_inside(&self) -> Vec<InstanceCommand> {
        let now = self.bench.clock.now();
        let reports = carry_out(&self.reactor, &self.spec.instance_id, self.bench.provision(&self.spec), now)
            .await
            .expect("provisioned");
        assert!(
            matches!(reports.last(), Some(InstanceCommand::RecordReady { .. })),
            "{}: {reports:?}",
            self.spec.offering
        );
        reports
    }

    /// The ingress controller follows the cluster a moment later.
    pub async fn wait_for_door(&self) {
        let answers = eventually(DEADLINE, || async { self.get("/").await.0 == 200 }).await;
        assert!(answers, "{} does not answer: {:?}", self.host, self.get("/").await);
    }

    /// Status and body of its answer through the ingress controller; 0 when there is none.
    pub async fn get(&self, path: &str) -> (u16, String) {
        tokio::time::timeout(PATIENCE, ask(&self.host, path)).await.ok().flatten().unwrap_or_default()
    }

    /// The body of its answer over TLS, whoever signed the certificate.
    pub async fn get_over_tls(&self, path: &str) -> Option<String> {
        let mut curl = Command::new("curl");
        curl.args(["--insecure", "--silent", "--show-error", "--fail", "--max-time", "5", "--resolve"]);
        curl.args([format!("{}:{TLS_PORT}:{NODE}", self.host), format!("https://{}:{TLS_PORT}{path}", self.host)]);
        let output = curl.output().await.expect("curl runs");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What the stand-in says to a deed that it must be able to do.
    pub async fn does(&self, deed: &str) -> String {
        let (status, text) = self.get(&format!("/standin/{deed}")).await;
        assert_eq!(status, 200, "{deed}: {text}");
        text
    }

    /// It comes to reach the address; a service's way is laid a moment after its pods are ready.
    pub async fn reaches(&self, address: &str) {
        let path = format!("/standin/connect?to={address}");
        let reached = eventually(PATIENCE * 2, || async { self.get(&path).await.0 == 200 }).await;
        assert!(reached, "{} does not reach {address}: {:?}", self.spec.offering, self.get(&path).await);
    }

    /// It does not reach the address: the network refuses, or loses what is sent.
    pub async fn does_not_reach(&self, address: &str) {
        let refused = self.cannot(&format!("connect?to={address}")).await;
        assert!(refused.contains("refused") || refused.contains("timeout"), "{address}: {refused}");
    }

    /// Why the stand-in cannot do it, in its own words.
    pub async fn cannot(&self, deed: &str) -> String {
        let (status, text) = self.get(&format!("/standin/{deed}")).await;
        assert_eq!(status, 418, "{deed}: {text}");
        text
    }

    /// Its pod as the cluster has it.
    pub async fn pod(&self) -> Pod {
        self.pods().await.remove(0)
    }

    /// Its pods, also those that ended.
    pub async fn pods(&self) -> Vec<Pod> {
        let namespace = self.bench.target(&self.spec).namespace;
        let api: Api<Pod> = Api::namespaced(self.bench.client.clone(), &namespace);
        let mine = ListParams::default().labels(&format!("minispod.dev/instance={}", self.spec.instance_id));
        api.list(&mine).await.expect("listed").items
    }

    /// The pod's address.
    pub async fn address(&self) -> String {
        self.pod().await.status.and_then(|status| status.pod_ip).expect("an address")
    }

    /// The name of its workload and service.
    pub fn name(&self) -> String {
        format!("{}-{}", self.spec.offering, self.spec.subscription_id)
    }

    /// The addresses of its services, with their ports.
    pub async fn services(&self) -> Vec<String> {
        let namespace = self.bench.target(&self.spec).namespace;
        let api: Api<Service> = Api::namespaced(self.bench.client.clone(), &namespace);
        let mine = ListParams::default().labels(&format!("minispod.dev/instance={}", self.spec.instance_id));
        let specs = api.list(&mine).await.expect("listed").items.into_iter().filter_map(|service| service.spec);
        specs
            .map(|spec| {
                let port = spec.ports.iter().flatten().map(|port| port.port).next().expect("a port");
                format!("{}:{port}", spec.cluster_ip.expect("an address"))
            })
            .collect()
    }
}

async fn ask(host: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(DOOR).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
