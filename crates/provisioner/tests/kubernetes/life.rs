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
use minispod_events::InstanceEvent;
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
    let deadline = now.plus(std::time::Duration::from_secs(5));
    let event =
        InstanceEvent::InstanceProvisionRequested { spec: spec.clone(), generation: 1, deadline, occurred_at: now };
    let reports = carry_out(&bench.reactor(), &spec.instance_id, event, now).await.expect("reported");
    let Some(InstanceCommand::RecordFailed { detail, .. }) = reports.last() else { panic!("{reports:?}") };
    assert!(detail.starts_with("not ready before the deadline: no node has room for the program"), "{detail}");
}

fn deletion(
    spec: &minispod_events::InstanceSpec,
    generation: u32,
    purge_volume: bool,
    occurred_at: Timestamp,
) -> InstanceEvent {
    InstanceEvent::InstanceDeletionRequested { spec: spec.clone(), generation, purge_volume, occurred_at }
}
