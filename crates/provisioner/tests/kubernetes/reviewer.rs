//! The isolation checklist's tests that need no real network, each under its number; others of the list stand in the
//! rooms that they are about (`guards`, `keeping`, the stories) and bear their numbers there.

use std::{collections::BTreeSet, path::Path};

use k8s_openapi::api::{
    apps::v1::Deployment,
    authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec},
    batch::v1::CronJob,
    core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod, Secret, Service},
    discovery::v1::EndpointSlice,
    networking::v1::Ingress,
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use minispod_domain::{InstanceCommand, instance::vault_owner, ports::Secrets};
use minispod_events::{InstanceEvent, InstanceSpec};
use minispod_provisioner::{Cluster, RestingPage, catalog};
use minispod_testkit::{kubernetes::ControlPlane, wait_until};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bench::{Bench, DEADLINE, carry_out};

/// The pods of an instance, once there is one.
async fn pods_of(bench: &Bench, namespace: &str, instance: &str) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(bench.client.clone(), namespace);
    let mine = ListParams::default().labels(&format!("minispod.dev/instance={instance}"));
    wait_until(DEADLINE, || async { !api.list(&mine).await.expect("listed").items.is_empty() }).await;
    api.list(&mine).await.expect("listed").items
}

#[tokio::test]
async fn reviewer_03_no_pod_of_any_offering_has_an_account_token() {
    for offering in catalog::names() {
        let Some(bench) = Bench::open().await else { return };
        let spec = bench.sold(&offering);
        let plan = bench.plan(&spec, 1);
        bench.cluster.apply(&plan.objects).await.expect("taken");
        for pod in pods_of(&bench, &plan.namespace, &spec.instance_id).await {
            let pod = pod.spec.expect("a spec");
            assert_eq!((pod.automount_service_account_token, pod.enable_service_links), (Some(false), Some(false)));
            assert_eq!(pod.service_account_name.as_deref(), Some("app"));
            let mounts = pod.containers.iter().flat_map(|one| one.volume_mounts.iter().flatten());
            assert!(mounts.into_iter().all(|mount| !mount.mount_path.contains("serviceaccount")), "{offering}");
            let volumes = pod.volumes.unwrap_or_default();
            assert!(volumes.iter().all(|volume| volume.projected.is_none() && volume.secret.is_none()), "{offering}");
        }
    }
}

#[tokio::test]
async fn reviewer_06_a_flood_of_objects_meets_the_quota_with_a_reason() {
    let Some(mut bench) = Bench::open().await else { return };
    bench.options.quota.insert("configmaps".into(), "20".into());
    let plan = bench.plan(&bench.sold("n8n"), 1);
    bench.cluster.apply(&plan.objects).await.expect("taken");
    let maps: Api<ConfigMap> = Api::namespaced(bench.client.clone(), &plan.namespace);
    let mut refused = None;
    for number in 0..1_000 {
        let map = serde_json::from_value(json!({ "metadata": { "name": format!("flood-{number}") } }));
        if let Err(error) = maps.create(&PostParams::default(), &map.expect("a map")).await {
            refused = Some((number, error.to_string()));
            break;
        }
    }
    let (number, words) = refused.expect("a thousand are too many");
    assert!(number <= 20 && words.contains("exceeded quota") && words.contains("configmaps"), "{number}: {words}");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(bench.client.clone(), &plan.namespace);
    let claim = serde_json::from_value(json!({
        "metadata": { "name": "huge" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "100Ti" } } },
    }));
    let words =
        claims.create(&PostParams::default(), &claim.expect("a claim")).await.expect_err("too large").to_string();
    assert!(words.contains("maximum storage usage per PersistentVolumeClaim is 1Ti"), "{words}");
}

#[tokio::test]
async fn reviewer_10_what_is_deleted_and_made_again_under_the_same_name_has_another_volume() {
    let Some(bench) = Bench::open().await else { return };
    let (reactor, spec, now) = (bench.reactor(), bench.sold("ghost"), bench.clock.now());
    let id = spec.instance_id.clone();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(bench.client.clone(), &bench.target(&spec).namespace);
    let only = async || {
        let mut all = claims.list(&ListParams::default()).await.expect("listed").items;
        assert_eq!(all.len(), 1);
        let claim = all.remove(0);
        let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).expect("bound");
        (claim.name_any(), volume)
    };
    carry_out(&reactor, &id, bench.provision(&spec), now).await.expect("provisioned");
    let (name, volume) = only().await;
    let delete = InstanceEvent::InstanceDeletionRequested {
        spec: spec.clone(),
        generation: 2,
        purge_volume: true,
        occurred_at: now,
    };
    carry_out(&reactor, &id, delete, now).await.expect("purged");
    let again = InstanceEvent::InstanceStartRequested { spec: spec.clone(), generation: 3, occurred_at: now };
    carry_out(&reactor, &id, again, now).await.expect("made again");
    let (same, other) = only().await;
    assert_eq!(name, same);
    assert_ne!(volume, other);
}

/// Group, resource and verb.
type Right = (String, String, String);

/// What a manifest of `deploy/` grants.
fn granted(file: &str) -> BTreeSet<Right> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/k8s/base").join(file);
    let text = std::fs::read_to_string(path).expect("the manifest is there");
    let documents = serde_yaml_ng::Deserializer::from_str(&text).map(|one| Value::deserialize(one).expect("YAML"));
    let mut rights = BTreeSet::new();
    for rule in documents.flat_map(|one| one["rules"].as_array().cloned().unwrap_or_default()) {
        let words = |key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).expect("words") };
        for group in words("apiGroups") {
            for resource in words("resources") {
                rights.extend(words("verbs").into_iter().map(|verb| (group.clone(), resource.clone(), verb)));
            }
        }
    }
    rights
}

/// What the API server says that an account may do in a namespace, as `kubectl auth can-i --list` asks it.
async fn may(account: &str) -> BTreeSet<Right> {
    let file = Kubeconfig::read_from(ControlPlane::shared().await.kubeconfig()).expect("readable");
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("usable");
    config.auth_info.impersonate = Some(format!("system:serviceaccount:minispod:{account}"));
    let api: Api<SelfSubjectRulesReview> = Api::all(Client::try_from(config).expect("a client"));
    let spec = SelfSubjectRulesReviewSpec { namespace: Some("default".into()) };
    let asked = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let rules =
        api.create(&PostParams::default(), &asked).await.expect("answered").status.expect("a status").resource_rules;
    let mut rights = BTreeSet::new();
    for rule in rules {
        let (groups, resources) = (rule.api_groups.unwrap_or_default(), rule.resources.unwrap_or_default());
        for group in groups {
            // Asking what one may do oneself is everybody's.
            for resource in resources.iter().filter(|one| !one.starts_with("selfsubject")) {
                rights.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
            }
        }
    }
    rights
}

/// Where each door of the instance leads, by host.
async fn doors(bench: &Bench, spec: &InstanceSpec) -> Vec<(String, String)> {
    let api: Api<Ingress> = Api::namespaced(bench.client.clone(), &bench.target(spec).namespace);
    let all = api.list(&ListParams::default()).await.expect("listed").items;
    let rules = all.into_iter().filter_map(|ingress| ingress.spec?.rules).flatten();
    let led = rules.map(|rule| {
        let backend = rule.http.expect("paths").paths.remove(0).backend.service.expect("a Service");
        (rule.host.expect("a host"), backend.name)
    });
    led.collect()
}

/// The copies asked for and the identities of the volumes.
async fn copies_and_volumes(bench: &Bench, spec: &InstanceSpec) -> (Vec<i32>, Vec<Option<String>>) {
    let namespace = bench.target(spec).namespace;
    let deployments: Api<Deployment> = Api::namespaced(bench.client.clone(), &namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(bench.client.clone(), &namespace);
    let all = deployments.list(&ListParams::default()).await.expect("listed").items;
    let copies = all.into_iter().filter_map(|one| one.spec?.replicas).collect();
    let volumes = claims.list(&ListParams::default()).await.expect("listed").items;
    (copies, volumes.iter().map(ResourceExt::uid).collect())
}

/// The Service of a page in a namespace of the platform's; nobody visits it here, as no ingress controller runs.
pub async fn lay_page(bench: &Bench) -> RestingPage {
    let namespace = format!("platform-{}", bench.customer);
    let page = [
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "resting-page", "namespace": namespace },
            "spec": { "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] },
        }),
    ];
    bench.cluster.apply(&page).await.expect("taken");
    RestingPage { namespace, service: "resting-page".into(), port: 80 }
}

/// A stop is what a lock asks for; that money locks and unlocks is shown by the domain's stories and `subscriptions`.
#[tokio::test]
async fn reviewer_12_what_is_suspended_shows_the_page_its_database_rests_and_all_comes_back() {
    let Some(mut bench) = Bench::open().await else { return };
    let page = lay_page(&bench).await;
    bench.options.resting_page = Some(page.clone());
    let (mut spec, now) = (bench.sold("wordpress"), bench.clock.now());
    spec.hosts = vec!["www.example.com".into()];
    let (reactor, id, namespace) = (bench.reactor(), spec.instance_id.clone(), bench.target(&spec).namespace);
    carry_out(&reactor, &id, bench.provision(&spec), now).await.expect("provisioned");
    let (running, before) = (doors(&bench, &spec).await, copies_and_volumes(&bench, &spec).await);
    assert_eq!((running.len(), &before.0), (2, &vec![1, 1]));

    let stop = InstanceEvent::InstanceStopRequested { spec: spec.clone(), generation: 2, occurred_at: now };
    let reports = carry_out(&reactor, &id, stop, now).await.expect("stopped");
    assert_eq!(reports, [InstanceCommand::RecordStopped { generation: 2 }]);
    let resting: Vec<_> = running.iter().map(|(host, _)| (host.clone(), "resting".to_owned())).collect();
    assert_eq!(doors(&bench, &spec).await, resting, "the same hosts lead to the page");
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &page.namespace);
    let address = services.get("resting-page").await.expect("there").spec.and_then(|spec| spec.cluster_ip);
    let slices: Api<EndpointSlice> = Api::namespaced(bench.client.clone(), &namespace);
    let slice = slices.get("resting").await.expect("the way to the page");
    let ways = slice.endpoints.unwrap_or_default();
    assert_eq!(ways[0].addresses.first(), address.as_ref());
    assert_eq!(copies_and_volumes(&bench, &spec).await, (vec![0, 0], before.1.clone()), "program and database rest");
    assert_eq!((bench.count::<Pod>(&namespace).await, bench.count::<CronJob>(&namespace).await), (0, 0));

    // Given back while it rests: the page answers to it no more, and the program is not touched.
    let fewer = InstanceSpec { hosts: Vec::new(), hosts_edition: 7, ..spec.clone() };
    let asked = InstanceEvent::InstanceRestingHostsRequested { spec: fewer, generation: 2, occurred_at: now };
    let reports = carry_out(&reactor, &id, asked, now).await.expect("changed");
    assert_eq!(reports, [InstanceCommand::RecordHosts { generation: 2, hosts: Vec::new(), edition: 7 }]);
    assert_eq!(doors(&bench, &spec).await, resting[..1]);

    let start = InstanceEvent::InstanceStartRequested { spec: spec.clone(), generation: 3, occurred_at: now };
    let reports = carry_out(&reactor, &id, start, now).await.expect("started");
    assert!(matches!(reports.last(), Some(InstanceCommand::RecordReady { generation: 3, .. })), "{reports:?}");
    assert_eq!((doors(&bench, &spec).await, copies_and_volumes(&bench, &spec).await), (running.clone(), before));
    // Somebody slow who still carries out the stop shows nobody the page.
    let late = InstanceEvent::InstanceStopRequested { spec: spec.clone(), generation: 2, occurred_at: now };
    assert_eq!(carry_out(&bench.reactor(), &id, late, now).await.expect("passed over"), []);
    assert_eq!(doors(&bench, &spec).await, running);
}

#[tokio::test]
async fn reviewer_14_the_provisioner_and_the_api_may_do_exactly_what_their_manifests_list() {
    let Some(bench) = Bench::open().await else { return };
    for (file, account) in [("provisioner-access.yaml", "minispod-provisioner"), ("api-access.yaml", "minispod-api")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/k8s/base").join(file);
        let text = std::fs::read_to_string(path).expect("the manifest is there");
        let access: Vec<Value> =
            serde_yaml_ng::Deserializer::from_str(&text).map(|one| Value::deserialize(one).expect("YAML")).collect();
        bench.cluster.apply(&access).await.expect("taken");
        let granted = granted(file);
        assert!(!granted.is_empty());
        wait_until(DEADLINE, || async { !may(account).await.is_empty() }).await;
        assert_eq!(may(account).await, granted, "{account}");
        for (group, resource, verb) in &granted {
            assert!(group != "*" && resource != "*" && verb != "*", "{account}: {group}/{resource} {verb}");
            assert!(!["escalate", "bind", "impersonate"].contains(&verb.as_str()), "{account}: {verb}");
            assert!(!["pods/exec", "pods/portforward", "pods/attach", "nodes/proxy"].contains(&resource.as_str()));
        }
        for only in ["secrets", "networkpolicies"] {
            let any = granted.iter().any(|(_, resource, _)| resource == only);
            assert_eq!(any, account == "minispod-provisioner", "only the provisioner has to do with {only}");
        }
    }
}

#[tokio::test]
async fn reviewer_18_drawn_values_are_in_the_secret_and_in_no_other_object_report_or_event() {
    let Some(bench) = Bench::open().await else { return };
    let (spec, now) = (bench.sold("wordpress"), bench.clock.now());
    let reports =
        carry_out(&bench.reactor(), &spec.instance_id, bench.provision(&spec), now).await.expect("provisioned");
    assert!(matches!(reports.last(), Some(InstanceCommand::RecordReady { .. })));
    let plan = bench.plan(&spec, 1);
    let secrets: Api<Secret> = Api::namespaced(bench.client.clone(), &plan.namespace);
    let live = secrets.get(&plan.workload).await.expect("there").data.expect("data");
    let drawn: Vec<String> = live.values().map(|value| String::from_utf8(value.0.clone()).expect("text")).collect();
    assert!(drawn.len() >= 2 && drawn.iter().all(|value| value.len() >= 16), "wordpress has several");
    for (name, value) in live.keys().zip(&drawn) {
        let kept = bench.vault.find(&vault_owner(&spec.instance_id), name).await.expect("answered").expect("kept");
        assert_eq!(kept, value.as_bytes(), "{name} is the vault's");
    }
    let mut seen = format!("{reports:?}");
    for planned in plan.objects.iter().filter(|object| object["kind"] != "Secret") {
        seen += &serde_json::to_string(&bench.live(planned).await.expect("there")).expect("JSON");
    }
    let pods = pods_of(&bench, &plan.namespace, &spec.instance_id).await;
    seen += &serde_json::to_string(&pods).expect("JSON");
    let events: Api<Event> = Api::namespaced(bench.client.clone(), &plan.namespace);
    seen += &serde_json::to_string(&events.list(&ListParams::default()).await.expect("listed").items).expect("JSON");
    for value in &drawn {
        assert!(!seen.contains(value.as_str()), "a drawn value is in the open");
    }
}
