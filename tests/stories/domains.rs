//! A customer brings a host: proved by a record of a real name server, served by a real Ingress, held against others.

use std::time::Duration;

use k8s_openapi::api::{core::v1::Service, networking::v1::Ingress};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use minispod_e2e::{Door, World, WorldOptions};
use minispod_testkit::{dns::DnsServer, kubernetes::ControlPlane, require, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

const READY: Duration = Duration::from_mins(2);
const HOST: &str = "shop.example.com";
const RECORD: &str = "_minispod-challenge.shop.example.com";

/// A customer whose service runs, and the path of its hosts.
async fn owner(world: &World, name: &str) -> (Door, String, String) {
    let (customer, user) = world.door().register(name).await;
    world.fund(&customer, 100_000).await;
    let (plan, _) = world.plan("ghost").await;
    let id = world.subscribe(&customer, &plan).await;
    let namespace = format!("customer-{}", user["id"].as_str().expect("a user id"));
    (customer, format!("/subscriptions/{id}"), namespace)
}

/// The host as the customer sees it.
async fn shown(customer: &Door, path: &str) -> Value {
    let listed = customer.get(&format!("{path}/domains")).await;
    listed.data()["domains"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["host"] == HOST)
        .cloned()
        .unwrap_or_default()
}

/// What the customer's Ingress answers to.
async fn served(client: &Client, namespace: &str) -> Vec<String> {
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    let all = ingresses.list(&ListParams::default()).await.expect("ingresses are listed").items;
    let rules = all.into_iter().filter_map(|ingress| ingress.spec?.rules).flatten();
    rules.filter_map(|rule| rule.host).collect()
}

/// Whether what the namespace has leads visitors to the page of what rests.
async fn leads_to_page(client: &Client, namespace: &str) -> bool {
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), namespace);
    let all = ingresses.list(&ListParams::default()).await.expect("ingresses are listed").items;
    let paths = all.into_iter().filter_map(|ingress| ingress.spec?.rules).flatten().filter_map(|rule| rule.http);
    paths.flat_map(|http| http.paths).any(|path| path.backend.service.is_some_and(|service| service.name == "resting"))
}

/// The Service of the page; nobody visits it here, as no ingress controller runs.
async fn lay_page(client: &Client) -> String {
    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "resting-page" },
        "spec": { "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] },
    });
    let apply = PatchParams::apply("stories");
    services.patch("resting-page", &apply, &Patch::Apply(&service)).await.expect("taken");
    "default/resting-page:80".to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn reviewer_07_a_host_is_served_once_it_is_proved_and_no_longer_than_it_is_wanted() {
    if !require("pg") || !require("nats") || !require("k8s") {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cluster = ControlPlane::shared().await;
    let client = cluster.client().await;
    let dns = DnsServer::start("example.com").await;
    let kubeconfig = Some(cluster.kubeconfig().to_path_buf());
    let resting_page = Some(lay_page(&client).await);
    let name_servers = vec![dns.address];
    let options = WorldOptions { kubeconfig, name_servers, resting_page, ..WorldOptions::default() };
    let world = World::start(options).await;
    let (ani, path, namespace) = owner(&world, "Ani Domains").await;
    let added = ani.post(&format!("{path}/domains"), json!({ "host": HOST })).await;
    assert_eq!(added.status, 201, "{:#}", added.body);
    let records = added.data()["records"].clone();
    assert_eq!((&records[0]["name"], &records[1]["name"]), (&json!(RECORD), &json!(HOST)));
    let detail = async || shown(&ani, &path).await["detail"].clone();
    wait_until(READY, async || detail().await == json!(format!("there is no TXT record at {RECORD} yet"))).await;
    assert_eq!(served(&client, &namespace).await.len(), 1, "nothing is served before it is proved");

    dns.set_txt(RECORD, &["v=spf1 -all", records[0]["value"].as_str().expect("a text")]).await;
    let asked = ani.post(&format!("{path}/domains/{HOST}/verify"), json!({})).await;
    assert_eq!(asked.status, 200, "{:#}", asked.body);
    wait_until(READY, async || shown(&ani, &path).await["status"] == "VERIFIED").await;
    wait_until(READY, async || served(&client, &namespace).await.contains(&HOST.to_owned())).await;
    let address = async || ani.get(&path).await.data()["serviceInstance"]["externalUrl"].clone();
    assert_ne!(address().await, json!(format!("https://{HOST}")), "the address moves only when its owner says so");
    let moved = ani.send(Method::PUT, &format!("{path}/domains/{HOST}/primary"), Some(json!({}))).await;
    assert_eq!(moved.status, 200, "{:#}", moved.body);
    wait_until(READY, async || address().await == json!(format!("https://{HOST}"))).await;

    let (budi, other, elsewhere) = owner(&world, "Budi Domains").await;
    let wanted = budi.post(&format!("{other}/domains"), json!({ "host": HOST })).await;
    assert_eq!(wanted.status, 201, "{:#}", wanted.body);
    dns.set_txt(RECORD, &[wanted.data()["records"][0]["value"].as_str().expect("a text")]).await;
    wait_until(READY, async || shown(&budi, &other).await["status"] == "REJECTED").await;
    assert_eq!(shown(&budi, &other).await["detail"], "another service answers to this host");

    // Her service rests when she gives the host back, and its page answers to it no more.
    let admin = world.administrator("siti.domains@example.com").await;
    let instance = ani.get(&path).await.data()["serviceInstance"]["id"].as_str().expect("an id").to_owned();
    let stopped = admin.post(&format!("/admin/pods/{instance}/action"), json!({ "action": "stop" })).await;
    assert_eq!(stopped.status, 200, "{:#}", stopped.body);
    wait_until(READY, async || leads_to_page(&client, &namespace).await).await;
    assert!(served(&client, &namespace).await.contains(&HOST.to_owned()), "visitors find the page at all its hosts");
    let removed = ani.send(Method::DELETE, &format!("{path}/domains/{HOST}"), None).await;
    assert_eq!(removed.status, 200, "{:#}", removed.body);
    world.settle(&world.sql().await, READY).await;
    let again = budi.post(&format!("{other}/domains"), json!({ "host": HOST })).await;
    assert_eq!(again.status, 201, "{:#}", again.body);
    dns.set_txt(RECORD, &[again.data()["records"][0]["value"].as_str().expect("a text")]).await;
    wait_until(READY, async || shown(&budi, &other).await["status"] == "VERIFIED").await;
    wait_until(READY, async || served(&client, &elsewhere).await.contains(&HOST.to_owned())).await;
    let started = admin.post(&format!("/admin/pods/{instance}/action"), json!({ "action": "start" })).await;
    assert_eq!(started.status, 200, "{:#}", started.body);
    wait_until(READY, async || !leads_to_page(&client, &namespace).await).await;
    assert!(!served(&client, &namespace).await.contains(&HOST.to_owned()), "what she gave back stays given back");
}
