//! Drift on a real API server: found, told with its hand and its fields, put right; and what does not go is named.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, PersistentVolumeClaim, Service},
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use minispod_domain::{
    AnyCommand, CommandRequest, Instance, InstanceCommand,
    instance::Kept,
    ports::{EffectError, Reactor},
};
use minispod_events::{InstanceEvent, InstanceSpec};
use minispod_kernel::{Aggregate, Clock, Moment, SystemClock, SystemIds, Timestamp};
use minispod_provisioner::{
    Cluster, Desired, DriftWatch, KeepingSettings, Listed, ReportSink,
    cluster::{Cause, Removal, Target},
    names,
};
use minispod_testkit::wait_until;
use serde_json::json;

use crate::{
    bench::{Bench, DEADLINE, carry_out, effect_of},
    reviewer::lay_page,
};

/// Instances with their facts, in memory: what is to be, and who takes the reports.
#[derive(Default)]
struct Facts(Mutex<BTreeMap<String, (Target, Vec<InstanceEvent>)>>);

impl Facts {
    fn instance(events: &[InstanceEvent]) -> Instance {
        let mut instance = Instance::default();
        for event in events {
            instance.apply(event);
        }
        instance
    }

    fn begin(&self, target: &Target, events: Vec<InstanceEvent>) {
        self.0.lock().expect("not poisoned").insert(target.instance_id.clone(), (target.clone(), events));
    }

    /// What the command makes of the instance, as the bus would.
    fn command(&self, id: &str, command: InstanceCommand) -> Vec<InstanceEvent> {
        let mut all = self.0.lock().expect("not poisoned");
        let (_, past) = all.get_mut(id).expect("a known instance");
        let now = Moment { aggregate_id: id.to_owned(), now: Timestamp::from_unix_millis(1_000_000) };
        let events = Self::instance(past).decide(command, &now).unwrap_or_default();
        past.extend(events.clone());
        events
    }

    /// Adds a fact as it is.
    fn say(&self, id: &str, fact: impl FnOnce(Timestamp) -> InstanceEvent) {
        let at = SystemClock.now();
        self.0.lock().expect("not poisoned").get_mut(id).expect("begun").1.push(fact(at));
    }

    fn names(&self, id: &str) -> Vec<String> {
        let all = self.0.lock().expect("not poisoned");
        all[id].1.iter().map(|event| minispod_kernel::Event::name(event).to_owned()).collect()
    }

    fn last(&self, id: &str) -> InstanceEvent {
        self.0.lock().expect("not poisoned")[id].1.last().expect("a fact").clone()
    }
}

#[async_trait]
impl Desired for Facts {
    async fn page(&self, after: Option<&str>, _: u32) -> Result<Vec<Listed>, Cause> {
        let all = self.0.lock().expect("not poisoned");
        let kept = all.values().filter_map(|(target, events)| Some((target, Self::instance(events).kept()?)));
        let listed = kept.map(|(target, kept)| Listed {
            target: target.clone(),
            generation: kept.generation,
            rests: !kept.runs,
        });
        Ok(listed.filter(|one| after.is_none_or(|after| one.target.instance_id.as_str() > after)).collect())
    }

    async fn kept(&self, instance_id: &str) -> Result<Option<Kept>, Cause> {
        Ok(Self::instance(&self.0.lock().expect("not poisoned")[instance_id].1).kept())
    }
}

#[async_trait]
impl ReportSink for Facts {
    async fn report(&self, request: CommandRequest) -> Result<(), Box<dyn Error + Send + Sync>> {
        if let AnyCommand::Instance(command) = request.command {
            self.command(&request.aggregate_id, command);
        }
        Ok(())
    }
}

fn watch(bench: &Bench, facts: &Arc<Facts>) -> DriftWatch {
    DriftWatch::new(
        bench.cluster.clone(),
        facts.clone(),
        bench.vault.clone(),
        Arc::new(SystemIds::new(bench.clock.clone())),
        bench.clock.clone(),
        facts.clone(),
        KeepingSettings::new(bench.options.clone()),
    )
}

/// A running instance with its watch.
struct Stage {
    bench: Bench,
    facts: Arc<Facts>,
    watch: DriftWatch,
    spec: InstanceSpec,
}

impl Stage {
    async fn open(offering: &str) -> Option<Self> {
        let bench = Bench::open().await?;
        let spec = bench.sold(offering);
        let facts = Arc::new(Facts::default());
        let provision = bench.provision(&spec);
        facts.begin(&bench.target(&spec), vec![provision.clone()]);
        let watch = watch(&bench, &facts);
        let stage = Self { bench, facts, watch, spec };
        stage.perform(provision).await;
        Some(stage)
    }

    /// Carries a fact out and takes its reports.
    async fn perform(&self, event: InstanceEvent) {
        let id = &self.spec.instance_id;
        let now = self.bench.clock.now();
        for report in carry_out(&self.bench.reactor(), id, event, now).await.expect("carried out") {
            self.facts.command(id, report);
        }
    }

    fn namespace(&self) -> String {
        self.bench.target(&self.spec).namespace
    }

    fn workload(&self) -> String {
        format!("{}-{}", self.spec.offering, self.spec.subscription_id)
    }
}

#[tokio::test]
async fn what_runs_as_it_was_sold_has_no_drift_whichever_offering_it_is() {
    for offering in minispod_provisioner::catalog::names() {
        let Some(mut stage) = Stage::open(&offering).await else { return };
        let before = stage.facts.names(&stage.spec.instance_id);
        assert_eq!(before.last().map(String::as_str), Some("InstanceReady"), "{offering}: {before:?}");
        assert_eq!(
            stage.watch.round().await.expect("looked"),
            0,
            "{offering}: {:?}",
            stage.facts.last(&stage.spec.instance_id)
        );
        assert_eq!(stage.watch.round().await.expect("looked"), 0);
        assert_eq!(stage.facts.names(&stage.spec.instance_id), before);
    }
}

#[tokio::test]
async fn reviewer_13_what_is_edited_or_removed_by_hand_is_seen_recorded_and_put_right() {
    let Some(mut stage) = Stage::open("n8n").await else { return };
    let (id, namespace, workload) = (stage.spec.instance_id.clone(), stage.namespace(), stage.workload());
    assert_eq!(stage.watch.round().await.expect("looked"), 0);
    let client = stage.bench.client.clone();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let by_hand = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    let evil = json!({ "spec": { "template": { "spec": { "automountServiceAccountToken": true } } } });
    deployments.patch(&workload, &by_hand, &Patch::Merge(evil)).await.expect("edited");
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    services.delete(&workload, &DeleteParams::default()).await.expect("removed by hand");
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), &namespace);
    policies.delete("default-deny", &DeleteParams::default()).await.expect("removed by hand");

    assert_eq!(stage.watch.round().await.expect("looked"), 1);
    let detected = stage.facts.last(&id);
    let InstanceEvent::InstanceDriftDetected { runs: true, findings, .. } = &detected else { panic!("{detected:?}") };
    let of = |kind: &str| findings.iter().find(|one| one.object.starts_with(kind)).expect(kind);
    assert!(of("Service ").missing && of("NetworkPolicy").missing, "{findings:?}");
    assert_eq!(of("Deployment").managers, ["kubectl-edit"]);
    assert!(of("Deployment").fields.iter().any(|field| field.contains("automountServiceAccountToken")), "{findings:?}");
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert_eq!(stage.watch.round().await.expect("looked"), 1, "not right yet");
    assert_eq!(stage.facts.last(&id), detected, "told once");

    stage.perform(detected).await;
    assert!(matches!(stage.facts.last(&id), InstanceEvent::InstanceDriftRepaired { generation: 1, .. }));
    assert!(services.get_opt(&workload).await.expect("answered").is_some());
    assert!(policies.get_opt("default-deny").await.expect("answered").is_some());
    let pod = deployments.get(&workload).await.expect("there").spec.expect("spec").template.spec.expect("pod");
    assert_eq!(pod.automount_service_account_token, Some(false));
    assert_eq!(stage.watch.round().await.expect("looked"), 0);
}

#[tokio::test]
async fn a_workload_whose_mark_was_changed_by_hand_is_put_right_and_one_of_another_build_is_left_alone() {
    let Some(mut stage) = Stage::open("n8n").await else { return };
    let (id, namespace, workload) = (stage.spec.instance_id.clone(), stage.namespace(), stage.workload());
    let deployments: Api<Deployment> = Api::namespaced(stage.bench.client.clone(), &namespace);
    let by_hand = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    // Without the mark it would be taken for another build's work, and nothing of it would be looked at any more.
    let unmarked = json!({
        "metadata": { "annotations": { names::PLAN: "0", names::PROGRAM: "0" } },
        "spec": { "template": { "spec": { "automountServiceAccountToken": true } } },
    });
    deployments.patch(&workload, &by_hand, &Patch::Merge(unmarked)).await.expect("edited");
    assert_eq!(stage.watch.round().await.expect("looked"), 1);
    let detected = stage.facts.last(&id);
    let InstanceEvent::InstanceDriftDetected { findings, .. } = &detected else { panic!("{detected:?}") };
    let fields: Vec<_> = findings.iter().flat_map(|one| &one.fields).collect();
    assert!(
        fields.iter().any(|field| field.contains("automountServiceAccountToken")),
        "compared exactly: {findings:?}"
    );
    stage.perform(detected).await;
    let InstanceEvent::InstanceDriftRepaired { program: Some(program), .. } = stage.facts.last(&id) else {
        panic!("{:?}", stage.facts.last(&id))
    };
    let live = deployments.get(&workload).await.expect("there");
    assert_eq!(live.annotations().get(names::PROGRAM), Some(&program));
    let pod = live.spec.expect("spec").template.spec.expect("pod");
    assert_eq!(pod.automount_service_account_token, Some(false));
    assert_eq!(stage.watch.round().await.expect("looked"), 0);

    // What another build applied says so in the facts, too: it is as it was sold.
    let theirs = json!({ "metadata": { "annotations": { names::PLAN: "theirs", names::PROGRAM: "theirs" } } });
    let ours = PatchParams { field_manager: Some(names::FIELD_MANAGER.into()), ..PatchParams::default() };
    deployments.patch(&workload, &ours, &Patch::Merge(theirs)).await.expect("written");
    stage.facts.say(&id, |at| InstanceEvent::InstanceDriftRepaired {
        generation: 1,
        program: Some("theirs".into()),
        occurred_at: at,
    });
    let before = stage.facts.names(&id);
    assert_eq!(stage.watch.round().await.expect("looked"), 0);
    assert_eq!(stage.facts.names(&id), before);
    // And what is neither is nobody's.
    let nobodys = json!({ "metadata": { "annotations": { names::PLAN: "x", names::PROGRAM: "x" } } });
    deployments.patch(&workload, &by_hand, &Patch::Merge(nobodys)).await.expect("edited");
    assert_eq!(stage.watch.round().await.expect("looked"), 1);
    let InstanceEvent::InstanceDriftDetected { findings, .. } = stage.facts.last(&id) else { panic!("no drift") };
    assert_eq!(findings[0].fields, [format!(".metadata.annotations.{}", names::PROGRAM)]);
}

#[tokio::test]
async fn when_the_page_moves_what_rests_leads_to_it_again_and_without_a_page_nowhere() {
    let Some(mut stage) = Stage::open("n8n").await else { return };
    let (id, client, namespace) = (stage.spec.instance_id.clone(), stage.bench.client.clone(), stage.namespace());
    let page = lay_page(&stage.bench).await;
    stage.bench.options.resting_page = Some(page.clone());
    stage.watch = watch(&stage.bench, &stage.facts);
    let stop = stage.facts.command(&id, InstanceCommand::Stop).remove(0);
    stage.perform(stop).await;
    assert_eq!(stage.watch.round().await.expect("looked"), 0, "{:?}", stage.facts.last(&id));
    // Another Service has the old address until the page's is made again, so that it gets a new one.
    let services: Api<Service> = Api::namespaced(client.clone(), &page.namespace);
    let old = services.get("resting-page").await.expect("there").spec.and_then(|spec| spec.cluster_ip);
    services.delete("resting-page", &DeleteParams::default()).await.expect("deleted");
    let taken = serde_json::from_value(json!({
        "metadata": { "name": "somebody-else" }, "spec": { "clusterIP": old, "ports": [{ "port": 80 }] },
    }));
    services.create(&PostParams::default(), &taken.expect("a Service")).await.expect("the address is free");
    lay_page(&stage.bench).await;
    let new = services.get("resting-page").await.expect("there").spec.and_then(|spec| spec.cluster_ip);
    assert_ne!(old, new);

    assert_eq!(stage.watch.round().await.expect("looked"), 1);
    let detected = stage.facts.last(&id);
    let InstanceEvent::InstanceDriftDetected { runs: false, findings, .. } = &detected else { panic!("{detected:?}") };
    assert!(findings.iter().all(|one| one.object.starts_with("EndpointSlice")), "{findings:?}");
    stage.perform(detected).await;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &namespace);
    let ways = slices.get("resting").await.expect("there").endpoints.unwrap_or_default();
    assert_eq!(ways[0].addresses.first(), new.as_ref());
    assert_eq!(stage.watch.round().await.expect("looked"), 0);

    stage.bench.options.resting_page = None;
    stage.watch = watch(&stage.bench, &stage.facts);
    assert_eq!(stage.watch.round().await.expect("looked"), 0);
    assert_eq!(stage.bench.count::<Ingress>(&namespace).await, 1, "a page that is away for a moment comes back");
    assert_eq!(stage.watch.round().await.expect("looked"), 0);
    let gone = async || stage.bench.count::<Ingress>(&namespace).await == 0;
    wait_until(DEADLINE, gone).await;
}

#[tokio::test]
async fn what_rests_and_is_started_by_hand_is_put_to_rest_again() {
    let Some(mut stage) = Stage::open("n8n").await else { return };
    let id = stage.spec.instance_id.clone();
    let stop = stage.facts.command(&id, InstanceCommand::Stop).remove(0);
    stage.perform(stop).await;
    assert_eq!(stage.facts.names(&id).last().map(String::as_str), Some("InstanceStopped"));
    assert_eq!(stage.watch.round().await.expect("looked"), 0, "resting is as it should be");
    let deployments: Api<Deployment> = Api::namespaced(stage.bench.client.clone(), &stage.namespace());
    let started = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
    deployments.patch(&stage.workload(), &PatchParams::default(), &started).await.expect("started by hand");
    assert_eq!(stage.watch.round().await.expect("looked"), 1);
    stage.perform(stage.facts.last(&id)).await;
    assert!(matches!(stage.facts.last(&id), InstanceEvent::InstanceDriftRepaired { .. }));
    let replicas = deployments.get(&stage.workload()).await.expect("there").spec.and_then(|spec| spec.replicas);
    assert_eq!(replicas, Some(0));
}

#[tokio::test]
async fn drift_that_somebody_else_owns_stands_and_is_told_once() {
    let Some(mut stage) = Stage::open("n8n").await else { return };
    let (id, workload) = (stage.spec.instance_id.clone(), stage.workload());
    let services: Api<Service> = Api::namespaced(stage.bench.client.clone(), &stage.namespace());
    services.delete(&workload, &DeleteParams::default()).await.expect("removed");
    let foreign = serde_json::from_value(json!({
        "metadata": { "name": workload },
        "spec": { "selector": { "app": "theirs" }, "ports": [{ "name": "x", "port": 5678, "protocol": "TCP", "targetPort": 9 }] },
    }));
    let params = kube::api::PostParams { field_manager: Some("somebody".into()), ..Default::default() };
    services.create(&params, &foreign.expect("a service")).await.expect("made by somebody else");
    assert_eq!(stage.watch.round().await.expect("looked"), 1);
    stage.perform(stage.facts.last(&id)).await;
    let stands = stage.facts.last(&id);
    let InstanceEvent::InstanceDriftStands { detail, .. } = &stands else { panic!("{stands:?}") };
    assert!(detail.contains("Service") && detail.contains("somebody"), "{detail}");
    assert_eq!(stage.watch.round().await.expect("looked"), 1);
    assert_eq!(stage.facts.last(&id), stands, "told once");
}

#[tokio::test]
async fn reviewer_16_an_object_with_a_foreign_finalizer_is_named_within_a_minute() {
    let Some(stage) = Stage::open("n8n").await else { return };
    let (id, namespace, workload) = (stage.spec.instance_id.clone(), stage.namespace(), stage.workload());
    let ingresses: Api<Ingress> = Api::namespaced(stage.bench.client.clone(), &namespace);
    let hold = |finalizers: &[&str]| Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
    ingresses.patch(&workload, &PatchParams::default(), &hold(&["example.com/hold"])).await.expect("held");
    let delete = stage.facts.command(&id, InstanceCommand::Delete { purge_volume: false }).remove(0);
    // Nobody waits for the minute here.
    let reactor = stage.bench.reactor_with(|settings| settings.hindered = std::time::Duration::ZERO);
    let occurred_at = stage.bench.clock.now();
    let asked = delete;
    let effect = effect_of(&reactor, &id, asked.clone(), occurred_at);
    let mut looked = reactor.perform(&effect).await.expect("asked to go");
    if looked.commands.is_empty() {
        looked = reactor.perform(&effect).await.expect("looked again");
    }
    let AnyCommand::Instance(InstanceCommand::RecordHindered { detail, .. }) = looked.commands.remove(0).command else {
        panic!("another report")
    };
    assert_eq!(detail, format!("Ingress {namespace}/{workload} waits for the finalizer example.com/hold"));
    ingresses.patch(&workload, &PatchParams::default(), &hold(&[])).await.expect("let go");
    let reports = carry_out(&reactor, &id, asked, occurred_at).await.expect("deleted");
    assert_eq!(reports, [InstanceCommand::RecordDeleted { generation: 2, volume_purged: false }]);
}

#[tokio::test]
async fn reviewer_16_a_namespace_on_its_way_out_is_named_with_what_holds_it() {
    let Some(stage) = Stage::open("n8n").await else { return };
    let (client, namespace) = (stage.bench.client.clone(), stage.namespace());
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    let claim = format!("{}-data", stage.workload());
    let hold = |finalizers: &[&str]| Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
    claims.patch(&claim, &PatchParams::default(), &hold(&["example.com/hold"])).await.expect("held");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.delete(&namespace, &DeleteParams::default()).await.expect("asked to go");
    let said = |held: Namespace| {
        let conditions = held.status.and_then(|status| status.conditions).unwrap_or_default();
        conditions.iter().any(|one| one.type_ == "NamespaceFinalizersRemaining" && one.status == "True")
    };
    wait_until(DEADLINE, || async { said(namespaces.get(&namespace).await.expect("still there")) }).await;
    let refused = stage.bench.cluster.apply(&stage.bench.plan(&stage.spec, 2).objects).await.expect_err("refused");
    let words = refused.to_string();
    assert!(refused.passes() && words.contains("is being deleted") && words.contains("example.com/hold"), "{words}");

    // A start is tried on; asked for a minute ago, it is a fact by then what it waits for.
    let (id, now) = (stage.spec.instance_id.clone(), stage.bench.clock.now());
    let restart = |occurred_at| {
        let spec = stage.spec.clone();
        InstanceEvent::InstanceRestartRequested { spec, generation: 2, occurred_at }
    };
    let reactor = stage.bench.reactor();
    let young = reactor.perform(&effect_of(&reactor, &id, restart(now), now)).await.expect_err("refused");
    assert!(matches!(young, EffectError::Transient { .. }), "{young}");
    let asked = restart(now.minus(std::time::Duration::from_mins(1)));
    stage.facts.say(&id, |_| asked.clone());
    let mut told = reactor.perform(&effect_of(&reactor, &id, asked.clone(), now)).await.expect("told");
    assert!(told.again_at.is_some() && told.commands.len() == 1, "{told:?}");
    let AnyCommand::Instance(report) = told.commands.remove(0).command else { panic!("another report") };
    stage.facts.command(&id, report.clone());
    let hindered = stage.facts.last(&id);
    let InstanceEvent::InstanceStartHindered { generation: 2, detail, .. } = &hindered else { panic!("{hindered:?}") };
    assert!(detail.contains("is being deleted") && detail.contains("example.com/hold"), "{detail}");
    assert_eq!(stage.facts.command(&id, report), [], "told once");

    claims.patch(&claim, &PatchParams::default(), &hold(&[])).await.expect("let go");
    wait_until(DEADLINE, || async { namespaces.get_opt(&namespace).await.expect("answered").is_none() }).await;
    stage.perform(asked).await;
    let ready = stage.facts.last(&id);
    assert!(matches!(ready, InstanceEvent::InstanceReady { generation: 2, .. }), "taken after it is gone: {ready:?}");
}

#[tokio::test]
async fn a_removal_that_comes_late_leaves_alone_what_began_anew() {
    let Some(bench) = Bench::open().await else { return };
    let spec = bench.sold("n8n");
    let target = bench.target(&spec);
    bench.cluster.apply(&bench.plan(&spec, 3).objects).await.expect("taken");
    for removal in [Removal::Data, Removal::Program, Removal::Everything] {
        bench.cluster.delete(&target, removal, 2).await.expect("nothing of it");
    }
    let names = |namespace: String| {
        let api: Api<Ingress> = Api::namespaced(bench.client.clone(), &namespace);
        async move {
            api.list(&ListParams::default())
                .await
                .expect("listed")
                .items
                .iter()
                .map(ResourceExt::name_any)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(names(target.namespace.clone()).await.len(), 1);
    let seen = bench.cluster.observe(&target).await.expect("seen");
    assert_eq!((seen.workloads.len(), seen.volumes.len()), (1, 1));
}
