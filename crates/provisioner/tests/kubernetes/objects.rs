//! Objects in the cluster: there, labelled, unchanged by a second apply, put right after a stranger's edit.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use minispod_kernel::SystemClock;
use minispod_provisioner::{
    Cluster, ClusterError,
    cluster::{Age, Removal, VolumeClass},
    contract::Walk,
    names,
    plan::Plan,
};
use minispod_testkit::{kubernetes::STORAGE_CLASS, wait_until};
use serde_json::json;

use crate::bench::{Bench, DEADLINE};

#[tokio::test]
async fn a_real_cluster_keeps_the_contract() {
    let Some(bench) = Bench::open().await else { return };
    let walk = Walk {
        cluster: bench.cluster.as_ref(),
        clock: &SystemClock,
        options: &bench.options,
        id: &bench.customer,
        storage_class: STORAGE_CLASS,
        patience: DEADLINE,
    };
    walk.run().await.expect("every promise is kept");
}

#[tokio::test]
async fn every_offering_is_taken_labelled_and_unchanged_by_a_second_apply() {
    let Some(bench) = Bench::open().await else { return };
    for offering in minispod_provisioner::catalog::names() {
        let spec = bench.sold(&offering);
        let plan = bench.plan(&spec, 1);
        let applied = bench.cluster.apply(&plan.objects).await.expect("taken");
        assert_eq!((applied.objects, applied.repaired.len()), (plan.objects.len(), 0));
        let target = bench.target(&spec);
        wait_until(DEADLINE, || async {
            let seen = bench.cluster.observe(&target).await.expect("seen");
            seen.workloads.iter().all(|workload| workload.ready == 1)
        })
        .await;
        let mut versions = Vec::new();
        for planned in &plan.objects {
            let live = bench.live(planned).await.expect("it exists");
            assert_eq!(live.labels()[names::MANAGED_BY], "minispod");
            assert_eq!(live.labels()[names::CUSTOMER], bench.customer);
            assert!(live.owner_references().is_empty(), "{planned}");
            if live.labels().contains_key(names::INSTANCE) {
                assert_eq!(live.labels()[names::SUBSCRIPTION], spec.subscription_id);
                assert_eq!(live.annotations()[names::GENERATION], "1");
            }
            let ours = live.managed_fields().iter().any(|entry| {
                entry.manager.as_deref() == Some("minispod-provisioner") && entry.operation.as_deref() == Some("Apply")
            });
            assert!(ours, "{planned} is applied under our name");
            versions.push(live.resource_version());
        }
        bench.cluster.apply(&plan.objects).await.expect("taken again");
        for (planned, version) in plan.objects.iter().zip(versions) {
            let again = bench.live(planned).await.expect("it still exists").resource_version();
            // The quota's own count moves with the pods.
            assert!(
                planned["kind"] == "ResourceQuota" || again == version,
                "{} {} changed",
                planned["kind"],
                planned["metadata"]["name"]
            );
        }
    }
}

#[tokio::test]
async fn reviewer_08_pods_get_exactly_the_sold_limits_and_no_account_token() {
    let Some(bench) = Bench::open().await else { return };
    let spec = bench.sold("n8n");
    let plan = bench.plan(&spec, 1);
    bench.cluster.apply(&plan.objects).await.expect("taken");
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(bench.client.clone(), &plan.namespace);
    wait_until(DEADLINE, || async { pods.list(&ListParams::default()).await.expect("listed").items.len() == 1 }).await;
    let pod = pods.list(&ListParams::default()).await.expect("listed").items.remove(0).spec.expect("a spec");
    let resources = pod.containers[0].resources.clone().expect("resources");
    let (limits, requests) = (resources.limits.expect("limits"), resources.requests.expect("requests"));
    assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("1", "1536Mi"));
    assert_eq!((requests["cpu"].0.as_str(), requests["memory"].0.as_str()), ("50m", "128Mi"));
    assert_eq!(limits["ephemeral-storage"].0, "2Gi", "the namespace's default");
    let mounts = pod.containers[0].volume_mounts.clone().unwrap_or_default();
    assert!(mounts.iter().all(|mount| !mount.mount_path.contains("serviceaccount")));
}

#[tokio::test]
async fn a_hand_edited_object_is_put_right_and_the_hand_is_named() {
    let Some(bench) = Bench::open().await else { return };
    let spec = bench.sold("n8n");
    let plan = bench.plan(&spec, 1);
    bench.cluster.apply(&plan.objects).await.expect("taken");
    let deployments: Api<Deployment> = Api::namespaced(bench.client.clone(), &plan.namespace);
    let by_hand = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    let evil = json!({ "spec": { "template": { "spec": { "automountServiceAccountToken": true } } } });
    deployments.patch(&plan.workload, &by_hand, &Patch::Merge(evil)).await.expect("edited");
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &plan.namespace);
    services.delete(&plan.workload, &DeleteParams::default()).await.expect("deleted by hand");

    let applied = bench.cluster.apply(&plan.objects).await.expect("taken again");
    assert_eq!(applied.repaired.len(), 1);
    assert_eq!(applied.repaired[0].managers, ["kubectl-edit"]);
    let pod = deployments.get(&plan.workload).await.expect("there").spec.expect("spec").template.spec.expect("pod");
    assert_eq!(pod.automount_service_account_token, Some(false));
    assert!(services.get_opt(&plan.workload).await.expect("answered").is_some());
}

#[tokio::test]
async fn somebody_elses_object_is_left_alone_and_its_owner_named() {
    let Some(bench) = Bench::open().await else { return };
    let spec = bench.sold("n8n");
    let plan = bench.plan(&spec, 1);
    let others = plan.objects.iter().filter(|object| object["kind"] != "Service").cloned().collect::<Vec<_>>();
    bench.cluster.apply(&others).await.expect("taken");
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &plan.namespace);
    let foreign = serde_json::from_value(json!({
        "metadata": { "name": plan.workload },
        "spec": { "selector": { "app": "theirs" }, "ports": [{ "port": 5678, "protocol": "TCP", "targetPort": 9 }] },
    }));
    let params = PostParams { field_manager: Some("somebody".into()), ..PostParams::default() };
    services.create(&params, &foreign.expect("a service")).await.expect("made by somebody else");
    let refused = bench.cluster.apply(&plan.objects).await.expect_err("must be refused");
    assert!(matches!(&refused, ClusterError::Conflict { manager, .. } if manager == "somebody"), "{refused}");
    let live = services.get(&plan.workload).await.expect("there").spec.expect("spec");
    assert_eq!(live.selector.expect("selector")["app"], "theirs");
}

#[tokio::test]
async fn a_class_of_volumes_says_whether_what_is_purged_is_gone() {
    let Some(bench) = Bench::open().await else { return };
    let seen = bench.cluster.storage_class(STORAGE_CLASS).await.expect("answered");
    assert_eq!(seen, Some(VolumeClass { deletes: false, grows: true }), "as the played node made it");
    assert_eq!(bench.cluster.storage_class("nobodys").await.expect("answered"), None);
}

#[tokio::test]
async fn two_provisioners_at_once_are_harmless() {
    let Some(bench) = Bench::open().await else { return };
    let spec = bench.sold("wordpress");
    let plan = bench.plan(&spec, 1);
    let again = bench.cluster.clone();
    let (one, two) = tokio::join!(bench.cluster.apply(&plan.objects), again.apply(&plan.objects));
    assert_eq!(one.expect("one").objects, plan.objects.len());
    assert_eq!(two.expect("two").objects, plan.objects.len());
    let target = bench.target(&spec);
    wait_until(DEADLINE, || async {
        let seen = bench.cluster.observe(&target).await.expect("seen");
        seen.workloads.len() == 2 && seen.workloads.iter().all(|workload| workload.ready == 1)
    })
    .await;
}

/// Names and versions of the instance's own objects.
async fn versions(bench: &Bench, plan: &Plan) -> Vec<(String, Option<String>)> {
    let mut versions = Vec::new();
    for planned in &plan.objects {
        if !planned["metadata"]["annotations"][names::GENERATION].is_null() {
            let live = bench.live(planned).await.expect("it exists");
            let generation = live.annotations().get(names::GENERATION).cloned();
            versions.push((format!("{} {}", planned["kind"], planned["metadata"]["name"]), generation));
        }
    }
    versions
}

#[tokio::test]
async fn an_older_request_that_goes_on_late_writes_over_nothing_newer() {
    let Some(bench) = Bench::open().await else { return };
    let spec = bench.sold("wordpress");
    let target = bench.target(&spec);
    bench.cluster.apply(&bench.plan(&spec, 1).objects).await.expect("taken");
    let newer = bench.plan(&spec, 2);
    bench.cluster.apply_upto(&newer.objects, Age::of_generation(2), &mut Vec::new()).await.expect("taken");
    let mut made = Vec::new();
    let late = bench.cluster.apply_upto(&bench.plan(&spec, 1).objects, Age::of_generation(1), &mut made).await;
    let late = late.expect("answered");
    assert!(late.overtaken, "{late:?}");
    bench.cluster.scale(&target, 0, 1).await.expect("answered");
    bench.cluster.delete(&target, Removal::Everything, 1).await.expect("answered");
    for (object, generation) in versions(&bench, &newer).await {
        assert_eq!(generation.as_deref(), Some("2"), "{object}");
    }
    let wanted = bench.cluster.observe(&target).await.expect("seen");
    assert!(wanted.workloads.iter().all(|one| one.wanted == 1), "{wanted:?}");
}

#[tokio::test]
async fn what_was_made_too_late_is_taken_back_and_what_was_written_since_stays() {
    let Some(bench) = Bench::open().await else { return };
    let spec = bench.sold("wordpress");
    let target = bench.target(&spec);
    let (plan, mut made) = (bench.plan(&spec, 1), Vec::new());
    bench.cluster.apply_upto(&plan.objects, Age::of_generation(1), &mut made).await.expect("taken");
    assert_eq!(made.len(), versions(&bench, &plan).await.len(), "all that is the instance's own is new");
    let door = bench.plan(&spec, 2).objects.into_iter().find(|object| object["kind"] == "Ingress").expect("a door");
    bench.cluster.apply_upto(std::slice::from_ref(&door), Age::of_generation(2), &mut Vec::new()).await.expect("taken");
    bench.cluster.unmake(&made, Age::of_generation(1)).await.expect("taken back");
    wait_until(DEADLINE, || async {
        let seen = bench.cluster.observe(&target).await.expect("seen");
        seen.rests() && seen.volumes.is_empty() && seen.others == 1
    })
    .await;
    assert!(bench.live(&door).await.is_some(), "a newer request wrote it");
    bench.cluster.unmake(&made, Age::of_generation(1)).await.expect("nothing is left to take back");
}

#[tokio::test]
async fn whoever_writes_at_the_same_time_the_newest_request_stands() {
    let Some(bench) = Bench::open().await else { return };
    let spec = bench.sold("n8n");
    let target = bench.target(&spec);
    bench.cluster.apply(&bench.plan(&spec, 1).objects).await.expect("taken");
    for round in 1..=10 {
        let (older, newer) = (round * 2, round * 2 + 1);
        let (old, new) = (bench.plan(&spec, older), bench.plan(&spec, newer));
        let (mut made, mut made_too) = (Vec::new(), Vec::new());
        let (late, stop, now) = tokio::join!(
            bench.cluster.apply_upto(&old.objects, Age::of_generation(older), &mut made),
            bench.cluster.scale(&target, 0, older),
            bench.cluster.apply_upto(&new.objects, Age::of_generation(newer), &mut made_too),
        );
        // The older one may be asked to come again, as its objects are written under its hands; never the other way round.
        let passes = |done: Option<ClusterError>| done.is_none_or(|error| error.passes());
        assert!(passes(late.err()) && passes(stop.err()), "round {round}");
        assert!(!now.expect("the newest is taken").overtaken, "round {round}");
        for (object, generation) in versions(&bench, &new).await {
            assert_eq!(generation, Some(newer.to_string()), "{object} in round {round}");
        }
        let seen = bench.cluster.observe(&target).await.expect("seen");
        assert!(seen.workloads.iter().all(|one| one.wanted == 1), "round {round}: {seen:?}");
    }
}

#[tokio::test]
async fn a_volume_keeps_its_size_when_a_smaller_plan_comes() {
    let Some(bench) = Bench::open().await else { return };
    let mut spec = bench.sold("ghost");
    bench.cluster.apply(&bench.plan(&spec, 1).objects).await.expect("taken");
    spec.volume_size = Some("100Mi".into());
    let smaller = bench.plan(&spec, 2);
    bench.cluster.apply(&smaller.objects).await.expect("taken");
    let claim = smaller.objects.iter().find(|object| object["kind"] == "PersistentVolumeClaim").expect("a claim");
    let live = bench.live(claim).await.expect("there");
    assert_eq!(live.data["spec"]["resources"]["requests"]["storage"], "250Mi");
}
