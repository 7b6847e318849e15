//! What a real API server does too seldom for a test: others write between our look and our write, and lists have pages.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use kube::{Client, Config};
use minispod_domain::ports::fleet::{Fleet, FleetError, WorkloadSeen};
use minispod_kernel::Timestamp;
use minispod_provisioner::{Cluster, KubeCluster, names};
use serde_json::{Value, json};

use crate::bench::DEADLINE;

const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
const PAGES: usize = 3;

/// An API server with one node, `n`, which is out of service and has pods, each on a page of its own; and a customer's
/// namespace with a workload `w` and two services, of which somebody writes to `busy` when the workload goes.
struct Server {
    version: u32,
    taints: Value,
    /// How often somebody else writes right after a look.
    rivals: u32,
    /// The versions that writes were meant for.
    meant: Vec<String>,
    /// The version of `busy`, and what was deleted.
    busy: u32,
    deleted: Vec<String>,
}

impl Server {
    /// Serves for as long as the test program runs.
    fn start(rivals: u32) -> (Arc<Mutex<Self>>, KubeCluster) {
        let taints = json!([{ "key": OUT_OF_SERVICE, "value": "nodeshutdown", "effect": "NoExecute" }]);
        let server =
            Arc::new(Mutex::new(Self { version: 1, taints, rivals, meant: Vec::new(), busy: 1, deleted: Vec::new() }));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let of_thread = Arc::clone(&server);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // A client that hangs up harms nobody.
                let _ = answer(connection, &of_thread);
            }
        });
        let config = Config::new(url.parse().expect("a URL"));
        let client = Client::try_from(config).expect("a client");
        (server, KubeCluster::of_client(client, DEADLINE))
    }

    fn node(&self) -> Value {
        let metadata = json!({ "name": "n", "resourceVersion": self.version.to_string() });
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": { "taints": self.taints } })
    }

    fn look(&mut self) -> Value {
        let seen = json!({ "apiVersion": "v1", "kind": "NodeList", "metadata": {}, "items": [self.node()] });
        if self.rivals > 0 {
            self.rivals -= 1;
            self.version += 1;
            let taint = json!({ "key": format!("rival-{}", self.version), "effect": "NoSchedule" });
            self.taints.as_array_mut().expect("a list").push(taint);
        }
        seen
    }

    fn write(&mut self, change: &Value) -> (u16, Value) {
        let meant = change["metadata"]["resourceVersion"].as_str().expect("it says which node it saw").to_owned();
        let is_newest = meant == self.version.to_string();
        self.meant.push(meant);
        if !is_newest {
            return (409, failure(409, "Conflict"));
        }
        self.version += 1;
        self.taints = change["spec"]["taints"].clone();
        (200, self.node())
    }

    fn services(&self) -> Value {
        let of = |name: &str, version: u32| {
            let metadata = json!({ "name": name, "uid": name, "resourceVersion": version.to_string() });
            json!({ "metadata": metadata })
        };
        let items = [of("busy", self.busy), of("quiet", 1)];
        json!({ "apiVersion": "v1", "kind": "ServiceList", "metadata": {}, "items": items })
    }

    /// Deletes by name, if its identity and version are those that are meant.
    fn delete(&mut self, name: &str, options: &Value) -> (u16, Value) {
        let version = if name == "busy" { self.busy } else { 1 };
        let expected = json!({ "uid": name, "resourceVersion": version.to_string() });
        if options["preconditions"] != expected {
            return (409, failure(409, "Conflict"));
        }
        if name == "w" {
            self.busy += 1;
        }
        self.deleted.push(name.to_owned());
        (200, json!({ "apiVersion": "v1", "kind": "Status", "status": "Success" }))
    }

    fn keys(&self) -> Vec<&str> {
        self.taints.as_array().into_iter().flatten().filter_map(|taint| taint["key"].as_str()).collect()
    }
}

fn failure(code: u16, reason: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": code, "message": "no" })
}

/// The page of pods that a request asks for.
fn page(first: &str) -> Value {
    let number = (1..PAGES).find(|number| first.contains(&format!("continue=page-{number}"))).unwrap_or(0);
    let labels = json!({ names::INSTANCE: format!("i{number}") });
    let spec = json!({ "nodeName": "n", "containers": [] });
    let pod = json!({ "metadata": { "name": format!("p{number}"), "labels": labels }, "spec": spec });
    let next = if number + 1 < PAGES { format!("page-{}", number + 1) } else { String::new() };
    let metadata = json!({ "resourceVersion": "7", "continue": next });
    json!({ "apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": [pod] })
}

fn none(kind: &str) -> Value {
    json!({ "apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": {}, "items": [] })
}

/// A page after which there is always another.
fn endless() -> Value {
    json!({ "apiVersion": "v1", "kind": "NamespaceList", "metadata": { "continue": "more" }, "items": [] })
}

fn answer(connection: TcpStream, server: &Mutex<Server>) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first)?;
    while reader.read_line(&mut line)? > 2 {
        let header = line.to_ascii_lowercase();
        if let Some(text) = header.strip_prefix("content-length:") {
            length = text.trim().parse().map_err(std::io::Error::other)?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
    let path = first.split([' ', '?']).nth(1).unwrap_or_default();
    let method = first.split(' ').next().unwrap_or_default();
    let (status, said) = match (method, path) {
        ("PATCH", "/api/v1/nodes/n") => server.write(&serde_json::from_slice(&body)?),
        ("GET", "/api/v1/nodes") => (200, server.look()),
        ("GET", "/api/v1/pods") => (200, page(&first)),
        ("GET", "/api/v1/namespaces/customer-a/services") => (200, server.services()),
        ("GET", "/apis/networking.k8s.io/v1/namespaces/customer-a/ingresses") => (200, none("IngressList")),
        ("GET", "/api/v1/namespaces") => (200, endless()),
        ("DELETE", path) => server.delete(path.rsplit('/').next().unwrap_or_default(), &serde_json::from_slice(&body)?),
        _ => (404, failure(404, "NotFound")),
    };
    drop(server);
    let said = said.to_string();
    let head = "Content-Type: application/json\r\nConnection: close\r\n";
    write!(reader.get_mut(), "HTTP/1.1 {status} X\r\n{head}Content-Length: {}\r\n\r\n{said}", said.len())
}

#[tokio::test]
async fn a_node_that_another_wrote_to_is_looked_at_afresh_and_keeps_the_others_taint() {
    let (server, cluster) = Server::start(1);
    let open = cluster.set_schedulable("n", true).await.expect("answered").expect("the node");
    assert_eq!(open.taints.iter().map(|taint| taint.key.as_str()).collect::<Vec<_>>(), ["rival-2"]);
    let server = server.lock().expect("lock");
    assert_eq!(server.meant, ["1", "2"], "the second write is meant for what the second look saw");
    assert_eq!(server.keys(), ["rival-2"]);
}

#[tokio::test]
async fn a_node_that_others_write_to_all_the_time_is_given_up_and_left_as_it_is() {
    let (server, cluster) = Server::start(u32::MAX);
    let given_up = cluster.set_schedulable("n", true).await.expect_err("others are always faster");
    assert!(matches!(given_up, FleetError::Unreachable { .. }), "whoever asks may ask again: {given_up}");
    let server = server.lock().expect("lock");
    assert_eq!(server.meant, ["1", "2", "3", "4", "5"], "a fresh look before each write, and an end");
    assert_eq!(server.keys()[0], OUT_OF_SERVICE);
}

#[tokio::test]
async fn every_page_of_a_list_is_read_once_and_nobody_measuring_is_no_failure() {
    let (_server, cluster) = Server::start(0);
    let before = cluster.requests();
    assert_eq!(cluster.instances_on("n").await.expect("listed"), ["i0", "i1", "i2"]);
    assert_eq!(cluster.requests() - before, PAGES as u64);
    assert_eq!(cluster.usage().await.expect("nobody measures"), []);
}

#[tokio::test]
async fn a_list_that_does_not_end_is_a_failure_and_no_short_list() {
    let (_server, cluster) = Server::start(0);
    let cut = cluster.namespaces().await.expect_err("not all of it was read");
    let FleetError::Unreachable { what, source } = cut else { panic!("it is no refusal") };
    assert_eq!(what, "list the namespaces");
    assert_eq!(source.map(|source| source.to_string()).as_deref(), Some("there is more than is read of one kind"));
}

#[tokio::test]
async fn what_is_written_beside_a_workload_while_it_goes_stays_and_is_told() {
    let (server, cluster) = Server::start(0);
    let workload = WorkloadSeen {
        namespace: "customer-a".to_owned(),
        name: "w".to_owned(),
        uid: "w".to_owned(),
        resource_version: "1".to_owned(),
        instance_id: Some("i".to_owned()),
        labels: BTreeMap::new(),
        created_at: Timestamp::from_unix_millis(0),
        replicas: 1,
        ready_replicas: 1,
    };
    let removed = cluster.remove(&workload).await.expect("it goes");
    assert_eq!(removed.services, ["quiet"]);
    assert_eq!(removed.failures, [("busy".to_owned(), "it was changed meanwhile".to_owned())]);
    assert_eq!(server.lock().expect("lock").deleted, ["w", "quiet"]);
}
