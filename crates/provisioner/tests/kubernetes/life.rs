//! An instance's life through the reactor: from the fact to the report.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod, Secret, Service},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use minispod_domain::{
    InstanceCommand,
    instance::{OVERRIDES, vault_owner},
    ports::Secrets,
};
use minispod_events::{InstanceEvent, InstanceSpec};
use minispod_kernel::Timestamp;
use minispod_provisioner::Cluster;

use crate::bench::{Bench, carry_out};

#[tokio::test]
async fn a_bought_instance_becomes_ready_stops_starts_and_goes_with_its_data() {
    let Some(bench) = Bench::open().await else { return };
    let (reactor, spec) = (bench.reactor(), bench.sold("wordpress"));
    let (id, now) = (spec.instance_id.clone(), bench.clock.now());
    let namespace = bench.target(&spec).namespace;

    let reports = carry_out(&reactor, &id, bench.provision(&spec), now).await.expect("provisioned");
    let [applied, ready] = reports.as_slice() else { panic!("{reports:?}") };
    let InstanceCommand::RecordApplied { generation: 1, simulated: false, volume_claim: Some(claim), .. } = applied
    else {
        panic!("{applied:?}");
    };
    assert_eq!(*claim, format!("wordpress-{}-data", spec.subscription_id));
    let url = "http://blog.wordpress.apps.example.com".to_owned();
    assert_eq!(*ready, InstanceCommand::RecordReady { generation: 1, external_url: url.clone() });

    let stop = InstanceEvent::InstanceStopRequested { spec: spec.clone(), generation: 2, occurred_at: now };
    let reports = carry_out(&reactor, &id, stop, now).await.expect("stopped");
    assert_eq!(reports, [InstanceCommand::RecordStopped { generation: 2 }]);
    assert_eq!(bench.count::<Pod>(&namespace).await, 0);
    assert_eq!(copies(&bench, &namespace).await, [0, 0], "program and database are scaled to zero, not removed");
    assert_eq!(bench.count::<PersistentVolumeClaim>(&namespace).await, 2);

    let start = InstanceEvent::InstanceStartRequested { spec: spec.clone(), generation: 3, occurred_at: now };
    let reports = carry_out(&reactor, &id, start, now).await.expect("started");
    assert_eq!(reports.last(), Some(&InstanceCommand::RecordReady { generation: 3, external_url: url }));
    assert_eq!(copies(&bench, &namespace).await, [1, 1]);
    assert_eq!(bench.count::<Pod>(&namespace).await, 2);

    let delete = deletion(&spec, 4, false, now);
    let reports = carry_out(&reactor, &id, delete, now).await.expect("deleted");
    assert_eq!(reports, [InstanceCommand::RecordDeleted { generation: 4, volume_purged: false }]);
    assert_eq!(bench.count::<Service>(&namespace).await, 0);
    assert_eq!(bench.count::<PersistentVolumeClaim>(&namespace).await, 2, "the data stays");

    let reports = carry_out(&reactor, &id, deletion(&spec, 5, true, now), now).await.expect("purged");
    assert_eq!(reports, [InstanceCommand::RecordDeleted { generation: 5, volume_purged: true }]);
    assert_eq!(bench.count::<PersistentVolumeClaim>(&namespace).await, 0);
}

/// What each Deployment of the namespace is asked to run.
async fn copies(bench: &Bench, namespace: &str) -> Vec<i32> {
    let deployments: Api<Deployment> = Api::namespaced(bench.client.clone(), namespace);
    let list = deployments.list(&ListParams::default()).await.expect("listed");
    list.items.iter().map(|one| one.spec.as_ref().and_then(|spec| spec.replicas).expect("replicas")).collect()
}

#[tokio::test]
async fn the_same_effect_again_gives_the_same_reports_and_the_same_secrets() {
    let Some(bench) = Bench::open().await else { return };
    let mut spec = bench.sold("n8n");
    spec.overrides = vec!["N8N_SMTP_PASS".to_owned()];
    let set: &[u8] = br#"{"N8N_SMTP_PASS":"hunter2","LATER":"x"}"#;
    bench.vault.keep(&vault_owner(&spec.instance_id), OVERRIDES, set).await.expect("kept");
    let now = bench.clock.now();
    let provision = bench.provision(&spec);
    let first = carry_out(&bench.reactor(), &spec.instance_id, provision.clone(), now).await.expect("provisioned");
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &bench.target(&spec).namespace);
    let door = services.list(&ListParams::default()).await.expect("listed").items.remove(0).name_any();
    services.delete(&door, &DeleteParams::default()).await.expect("removed by hand");
    let second = carry_out(&bench.reactor(), &spec.instance_id, provision, now).await.expect("provisioned again");
    assert_eq!(first, second);
    assert!(services.get_opt(&door).await.expect("answered").is_some(), "what was removed meanwhile is back");
    let namespace = bench.target(&spec).namespace;
    let secrets: Api<Secret> = Api::namespaced(bench.client.clone(), &namespace);
    let name = format!("n8n-{}", spec.subscription_id);
    let live = secrets.get(&name).await.expect("there").data.expect("data");
    assert_eq!(live["override.N8N_SMTP_PASS"].0, b"hunter2");
    assert_eq!(live.len(), 2, "only what the fact names: {:?}", live.keys());
    let kept = bench.vault.find(&vault_owner(&spec.instance_id), "encryption_key").await.expect("answered");
    assert_eq!(Some(live["encryption_key"].0.clone()), kept);
}

#[tokio::test]
async fn a_restart_makes_a_new_pod_over_the_same_volume() {
    let Some(bench) = Bench::open().await else { return };
    let (reactor, spec, now) = (bench.reactor(), bench.sold("n8n"), bench.clock.now());
    let target = bench.target(&spec);
    carry_out(&reactor, &spec.instance_id, bench.provision(&spec), now).await.expect("provisioned");
    let before = bench.cluster.observe(&target).await.expect("seen");
    let restart = InstanceEvent::InstanceRestartRequested { spec: spec.clone(), generation: 2, occurred_at: now };
    let reports = carry_out(&reactor, &spec.instance_id, restart, now).await.expect("restarted");
    assert!(matches!(reports.last(), Some(InstanceCommand::RecordReady { generation: 2, .. })), "{reports:?}");
    let after = bench.cluster.observe(&target).await.expect("seen");
    assert_ne!(before.pods[0].name, after.pods[0].name);
    assert_eq!(before.volumes, after.volumes);
}

#[tokio::test]
async fn a_late_request_of_an_older_generation_changes_nothing() {
    let Some(bench) = Bench::open().await else { return };
    let (spec, now) = (bench.sold("n8n"), bench.clock.now());
    let newest = bench.plan(&spec, 3);
    bench.cluster.apply(&newest.objects).await.expect("taken");
    let stop = InstanceEvent::InstanceStopRequested { spec: spec.clone(), generation: 2, occurred_at: now };
    let reports = carry_out(&bench.reactor(), &spec.instance_id, stop, now).await.expect("passed over");
    assert_eq!(reports, []);
    let seen = bench.cluster.observe(&bench.target(&spec)).await.expect("seen");
    assert_eq!((seen.generation(), seen.workloads[0].wanted), (3, 1));
}

#[tokio::test]
async fn the_deadline_ends_the_wait_with_the_last_obstacle() {
    let Some(bench) = Bench::open().await else { return };
    let (mut spec, now) = (bench.sold("n8n"), bench.clock.now());
    // No node has it, so the pod stays pending.
    spec.cpu_request = "100".into();
    spec.cpu_limit = "100".into();
    let mut bench = bench;
    bench.options.quota.remove("requests.cpu");
    bench.options.quota.remove("limits.cpu");
    bench.options.bounds.remove("cpu");
    let deadline = now.plus(std::time::Duration::from_secs(5));
    let event =
        InstanceEvent::InstanceProvisionRequested { spec: spec.clone(), generation: 1, deadline, occurred_at: now };
    let reports = carry_out(&bench.reactor(), &spec.instance_id, event, now).await.expect("reported");
    let Some(InstanceCommand::RecordFailed { detail, .. }) = reports.last() else { panic!("{reports:?}") };
    assert!(detail.starts_with("not ready before the deadline: no node has room for the program"), "{detail}");
}

fn deletion(spec: &InstanceSpec, generation: u32, purge_volume: bool, occurred_at: Timestamp) -> InstanceEvent {
    InstanceEvent::InstanceDeletionRequested { spec: spec.clone(), generation, purge_volume, occurred_at }
}

/// Names and identities of the volumes.
async fn volumes(bench: &Bench, spec: &InstanceSpec) -> Vec<(String, Option<String>)> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(bench.client.clone(), &bench.target(spec).namespace);
    let mine = ListParams::default().labels(&format!("minispod.dev/instance={}", spec.instance_id));
    api.list(&mine).await.expect("listed").items.iter().map(|claim| (claim.name_any(), claim.uid())).collect()
}

/// What the pods of the program may use, and how large its volume is asked to be.
async fn sold_now(bench: &Bench, spec: &InstanceSpec) -> (String, String) {
    let (namespace, name) = (bench.target(spec).namespace, format!("{}-{}", spec.offering, spec.subscription_id));
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), &namespace);
    let program = format!("minispod.dev/instance={},app.kubernetes.io/component=app", spec.instance_id);
    let pod = pods.list(&ListParams::default().labels(&program)).await.expect("listed").items.remove(0);
    let limits = pod.spec.expect("spec").containers[0].resources.clone().and_then(|all| all.limits).expect("limits");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(bench.client.clone(), &namespace);
    let claim = claims.get(&format!("{name}-data")).await.expect("a claim").spec.and_then(|spec| spec.resources);
    let size = claim.and_then(|all| all.requests).expect("a size")["storage"].0.clone();
    (limits["cpu"].0.clone(), size)
}

#[tokio::test]
async fn every_offering_lives_a_whole_life() {
    for offering in minispod_provisioner::catalog::names() {
        let Some(bench) = Bench::open().await else { return };
        let (reactor, spec, now) = (bench.reactor(), bench.sold(&offering), bench.clock.now());
        let id = spec.instance_id.clone();
        let is_ready = |reports: &[InstanceCommand], asked: u32| {
            let last = reports.last();
            assert!(
                matches!(last, Some(InstanceCommand::RecordReady { generation, .. }) if *generation == asked),
                "{offering} {asked}: {reports:?}"
            );
        };
        let reports = carry_out(&reactor, &id, bench.provision(&spec), now).await.expect("provisioned");
        is_ready(&reports, 1);
        assert_eq!(sold_now(&bench, &spec).await, ("1".to_owned(), "250Mi".to_owned()), "{offering}");
        let first = volumes(&bench, &spec).await;

        let larger = InstanceSpec { cpu_limit: "1.5".into(), volume_size: Some("300Mi".into()), ..spec.clone() };
        let resize =
            InstanceEvent::InstanceResizeRequested { spec: larger.clone(), generation: 2, change: 1, occurred_at: now };
        is_ready(&carry_out(&reactor, &id, resize, now).await.expect("resized"), 2);
        assert_eq!(sold_now(&bench, &spec).await, ("1500m".to_owned(), "300Mi".to_owned()), "{offering}");
        assert_eq!(volumes(&bench, &spec).await, first, "{offering}: the same volumes, larger");

        let stop = InstanceEvent::InstanceStopRequested { spec: larger.clone(), generation: 3, occurred_at: now };
        let reports = carry_out(&reactor, &id, stop, now).await.expect("stopped");
        assert_eq!(reports, [InstanceCommand::RecordStopped { generation: 3 }], "{offering}");
        let start =
            |generation| InstanceEvent::InstanceStartRequested { spec: larger.clone(), generation, occurred_at: now };
        is_ready(&carry_out(&reactor, &id, start(4), now).await.expect("started"), 4);
        assert_eq!(volumes(&bench, &spec).await, first, "{offering}");

        let reset = InstanceEvent::InstanceResetRequested { spec: larger.clone(), generation: 5, occurred_at: now };
        let reports = carry_out(&reactor, &id, reset, now).await.expect("wiped");
        assert_eq!(reports, [InstanceCommand::RecordDeleted { generation: 5, volume_purged: true }], "{offering}");
        assert_eq!(volumes(&bench, &spec).await, [], "{offering}");
        is_ready(&carry_out(&reactor, &id, start(6), now).await.expect("begun anew"), 6);
        let anew = volumes(&bench, &spec).await;
        assert_eq!(anew.len(), first.len());
        assert!(
            anew.iter().zip(&first).all(|(one, other)| one.0 == other.0 && one.1 != other.1),
            "{offering}: {anew:?}"
        );

        let kept = carry_out(&reactor, &id, deletion(&larger, 7, false, now), now).await.expect("deleted");
        assert_eq!(kept, [InstanceCommand::RecordDeleted { generation: 7, volume_purged: false }]);
        assert_eq!(volumes(&bench, &spec).await, anew, "{offering}: the data stays");
        let gone = carry_out(&reactor, &id, deletion(&larger, 8, true, now), now).await.expect("purged");
        assert_eq!(gone, [InstanceCommand::RecordDeleted { generation: 8, volume_purged: true }]);
        assert_eq!(volumes(&bench, &spec).await, []);
        assert!(bench.cluster.observe(&bench.target(&spec)).await.expect("seen").is_gone());
    }
}
