//! The provisioner over the simulated cluster: reports, failures, outages and deadlines, by a clock that is moved.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use minispod_domain::{
    AnyCommand, InstanceCommand,
    ports::{Effect, EffectError, Performed, PortError, Reactor, Secrets},
};
use minispod_events::{Event, Fact, InstanceEvent, InstanceSpec};
use minispod_kernel::{
    Actor, Clock, InsSeq, LogPosition, ManualClock, Metadata, Recorded, SystemClock, SystemIds, Timestamp,
};
use minispod_provisioner::{
    Cluster as _, Newest, PlanOptions, ProvisionerReactor, ReactorSettings, Requests,
    cluster::{Cause, Target},
};
use serde_json::Value;

use super::SimulatedCluster;

const DEADLINE: Duration = Duration::from_mins(10);

#[derive(Default)]
struct Vault {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    away: Mutex<bool>,
}

impl Vault {
    fn answer(&self) -> Result<(), PortError> {
        if *self.away.lock().expect("not poisoned") {
            return Err(PortError { what: "the vault".into(), source: "away".into() });
        }
        Ok(())
    }
}

#[async_trait]
impl Secrets for Vault {
    async fn find(&self, owner: &str, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.answer()?;
        Ok(self.kept.lock().expect("not poisoned").get(&format!("{owner}/{name}")).cloned())
    }
    async fn keep(&self, owner: &str, name: &str, value: &[u8]) -> Result<Vec<u8>, PortError> {
        self.answer()?;
        let mut kept = self.kept.lock().expect("not poisoned");
        Ok(kept.entry(format!("{owner}/{name}")).or_insert_with(|| value.to_vec()).clone())
    }
    async fn replace(&self, _: &str, _: &str, _: &[u8]) -> Result<(), PortError> {
        self.answer()
    }
}

/// What facts say that this process has not heard.
#[derive(Default)]
struct Elsewhere(Mutex<VecDeque<Newest>>);

#[async_trait]
impl Requests for Elsewhere {
    async fn newest(&self, _: &str) -> Result<Option<Newest>, Cause> {
        let mut answers = self.0.lock().expect("not poisoned");
        // The last one stays.
        Ok(if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() })
    }
}

impl Elsewhere {
    /// One answer after the other.
    fn say(&self, answers: &[Newest]) {
        *self.0.lock().expect("not poisoned") = answers.iter().copied().collect();
    }
}

struct Bench {
    clock: Arc<ManualClock>,
    cluster: Arc<SimulatedCluster>,
    vault: Arc<Vault>,
    requests: Arc<Elsewhere>,
    reactor: ProvisionerReactor,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_700_000_000_000)));
        let cluster = Arc::new(SimulatedCluster::with_delay(clock.clone(), Duration::from_secs(5)));
        let vault = Arc::new(Vault::default());
        let requests = Arc::new(Elsewhere::default());
        let settings = ReactorSettings::new(PlanOptions::new("customer-", "localhost", "nginx", None));
        let ids = Arc::new(SystemIds::new(Arc::new(SystemClock)));
        let no_records = Arc::new(BTreeMap::new());
        let reactor = ProvisionerReactor::new(
            cluster.clone(),
            vault.clone(),
            requests.clone(),
            no_records,
            clock.clone(),
            ids,
            settings,
        );
        Self { clock, cluster, vault, requests, reactor }
    }

    fn effect(&self, event: InstanceEvent) -> Effect {
        self.effect_at(1, event)
    }

    /// The same of a fact at a position of the log.
    fn effect_at(&self, position: i64, event: InstanceEvent) -> Effect {
        let mut fact = fact(event);
        fact.recorded.position = LogPosition(position);
        let intents = self.reactor.intend(&fact);
        let [intent] = intents.as_slice() else { panic!("one intent: {intents:?}") };
        let (key, lane, kind) = (intent.key.clone(), intent.lane.clone(), intent.kind.clone());
        Effect { key, lane, kind, payload: intent.payload.clone(), attempts: 0 }
    }

    fn provision(&self) -> Effect {
        let (now, spec) = (self.clock.now(), spec());
        let deadline = now.plus(DEADLINE);
        self.effect(InstanceEvent::InstanceProvisionRequested { spec, generation: 1, deadline, occurred_at: now })
    }

    fn stop(&self) -> Effect {
        let (spec, occurred_at) = (spec(), self.clock.now());
        self.effect(InstanceEvent::InstanceStopRequested { spec, generation: 2, occurred_at })
    }

    async fn perform(&self, effect: &Effect) -> Performed {
        self.reactor.perform(effect).await.expect("performed")
    }
}

fn spec() -> InstanceSpec {
    InstanceSpec {
        instance_id: "c0instance000000000000000".into(),
        subscription_id: "c0subscription00000000000".into(),
        user_id: "c0customer000000000000000".into(),
        offering: "n8n".into(),
        variant: "basic".into(),
        display_name: "n8n".into(),
        docker_image: "n8nio/n8n:2.36.9".into(),
        container_port: 5678,
        environment: BTreeMap::new(),
        overrides: Vec::new(),
        cpu_request: "0.25".into(),
        cpu_limit: "1".into(),
        mem_request: "512Mi".into(),
        mem_limit: "1Gi".into(),
        volume_size: Some("250Mi".into()),
        volume_mount_path: None,
        storage_class: "local-path".into(),
        access_mode: String::new(),
        subdomain: "blog".into(),
        hosts: Vec::new(),
        public_host: None,
        hosts_edition: 0,
    }
}

fn fact(event: InstanceEvent) -> Fact {
    let metadata = Metadata {
        event_id: "event".into(),
        correlation_id: "test".into(),
        causation_id: None,
        command_key: "test".into(),
        actor: Actor::system("test"),
        traceparent: None,
        reason: None,
    };
    let recorded = Recorded {
        position: LogPosition(1),
        ins_seq: InsSeq(1),
        aggregate_type: "instance".into(),
        aggregate_id: spec().instance_id,
        sequence: 1,
        event_type: "any".into(),
        event_version: "1.0".into(),
        recorded_at: Timestamp::from_unix_millis(0),
        metadata,
        payload: Value::Null,
        chain: [0; 32],
    };
    Fact { recorded, event: Event::Instance(event) }
}

fn reports(performed: &Performed) -> Vec<&InstanceCommand> {
    let commands = performed.commands.iter().map(|request| match &request.command {
        AnyCommand::Instance(command) => command,
        other => panic!("{other:?} is no report"),
    });
    commands.collect()
}

fn failure(performed: &Performed) -> &str {
    match reports(performed).as_slice() {
        [.., InstanceCommand::RecordFailed { detail, .. }] if performed.again_at.is_none() => detail,
        other => panic!("{other:?} is no failure"),
    }
}

#[tokio::test]
async fn the_objects_are_reported_at_once_and_readiness_when_it_comes() {
    let bench = Bench::new();
    let effect = bench.provision();
    let first = bench.perform(&effect).await;
    assert!(matches!(reports(&first).as_slice(), [InstanceCommand::RecordApplied { simulated: true, .. }]));
    assert_eq!(first.again_at, Some(bench.clock.now().plus(Duration::from_secs(1))));
    let waiting = bench.perform(&effect).await;
    assert!(waiting.commands.is_empty() && waiting.again_at.is_some());
    bench.clock.advance(Duration::from_secs(5));
    let last = bench.perform(&effect).await;
    assert_eq!(last.again_at, None);
    let external_url = "http://blog.n8n.localhost".to_owned();
    assert_eq!(reports(&last)[1], &InstanceCommand::RecordReady { generation: 1, external_url });
    assert_eq!(last.commands[0].key, first.commands[0].key, "the repeated report has its first key");
    assert_eq!(last.commands[1].key, "event.reconcile.ready");
}

#[tokio::test]
async fn a_start_that_was_told_to_fail_is_reported_in_words() {
    let bench = Bench::new();
    bench.cluster.fail_next(1);
    let failed = bench.perform(&bench.provision()).await;
    assert!(failure(&failed).starts_with("the image of the program cannot be used"), "{}", failure(&failed));
}

#[tokio::test]
async fn an_outage_is_waited_for_until_the_deadline() {
    let bench = Bench::new();
    let effect = bench.provision();
    bench.cluster.set_unreachable(true);
    let refused = bench.reactor.perform(&effect).await.expect_err("nobody answers");
    assert!(matches!(refused, EffectError::Transient { .. }), "{refused}");
    bench.clock.advance(DEADLINE);
    let late = bench.perform(&effect).await;
    assert!(failure(&late).starts_with("not ready before the deadline"), "{}", failure(&late));
}

#[tokio::test]
async fn an_outage_never_fails_an_instance_that_ran_before() {
    let bench = Bench::new();
    let (spec, occurred_at) = (spec(), bench.clock.now());
    let start = bench.effect(InstanceEvent::InstanceStartRequested { spec, generation: 3, occurred_at });
    bench.cluster.set_unreachable(true);
    bench.clock.advance(DEADLINE * 3);
    let refused = bench.reactor.perform(&start).await.expect_err("nobody answers");
    assert!(matches!(refused, EffectError::Transient { .. }), "{refused}");
}

#[tokio::test]
async fn what_holds_a_namespace_is_told_when_a_start_has_waited_for_it_and_the_start_goes_on() {
    let bench = Bench::new();
    let (spec, occurred_at) = (spec(), bench.clock.now());
    let start = bench.effect(InstanceEvent::InstanceStartRequested { spec, generation: 3, occurred_at });
    bench.cluster.set_ending(Some("Service a waits"));
    bench.clock.advance(Duration::from_secs(44));
    let early = bench.reactor.perform(&start).await.expect_err("it may be gone in a moment");
    assert!(matches!(early, EffectError::Transient { .. }), "{early}");
    bench.clock.advance(Duration::from_secs(1));
    let told = bench.perform(&start).await;
    let detail = "its namespace is being deleted: Service a waits".to_owned();
    assert_eq!(reports(&told), [&InstanceCommand::RecordHindered { generation: 3, detail }]);
    assert_eq!(told.again_at, Some(bench.clock.now().plus(Duration::from_secs(1))));
    let again = bench.perform(&start).await;
    assert_eq!(again.commands[0].key, told.commands[0].key, "the repeated report has its first key");
    bench.cluster.set_ending(Some("Service b waits"));
    let other = bench.perform(&start).await;
    assert_ne!(other.commands[0].key, told.commands[0].key, "another hindrance is another report");
    bench.cluster.set_ending(None);
    let taken = bench.perform(&start).await;
    assert!(matches!(reports(&taken).as_slice(), [InstanceCommand::RecordApplied { generation: 3, .. }]));
}

#[tokio::test]
async fn of_starts_into_a_namespace_on_its_way_out_only_a_first_one_fails_at_its_deadline() {
    let bench = Bench::new();
    let (effect, occurred_at) = (bench.provision(), bench.clock.now());
    bench.cluster.set_ending(Some("Service a waits"));
    bench.clock.advance(Duration::from_mins(1));
    let told = bench.perform(&effect).await;
    assert!(matches!(reports(&told).as_slice(), [InstanceCommand::RecordHindered { generation: 1, .. }]));
    bench.clock.advance(DEADLINE);
    let late = bench.perform(&effect).await;
    assert!(failure(&late).starts_with("not ready before the deadline"), "{}", failure(&late));
    let start = InstanceEvent::InstanceStartRequested { spec: spec(), generation: 3, occurred_at };
    let late = bench.perform(&bench.effect(start)).await;
    assert!(matches!(reports(&late).as_slice(), [InstanceCommand::RecordHindered { generation: 3, .. }]));
    assert!(late.again_at.is_some());
}

#[tokio::test]
async fn a_repair_waits_for_a_namespace_on_its_way_out_and_says_nothing() {
    let bench = Bench::new();
    let start = bench.provision();
    bench.perform(&start).await;
    let (spec, occurred_at, findings) = (spec(), bench.clock.now(), Vec::new());
    let drift = InstanceEvent::InstanceDriftDetected { spec, generation: 1, runs: true, findings, occurred_at };
    let repair = bench.effect(drift);
    bench.cluster.set_ending(Some("Service a waits"));
    bench.clock.advance(Duration::from_mins(5));
    let refused = bench.reactor.perform(&repair).await.expect_err("it is not there yet");
    assert!(matches!(refused, EffectError::Transient { .. }), "{refused}");
}

#[tokio::test]
async fn a_vault_that_does_not_answer_is_waited_for() {
    let bench = Bench::new();
    *bench.vault.away.lock().expect("not poisoned") = true;
    let refused = bench.reactor.perform(&bench.provision()).await.expect_err("the vault is away");
    assert!(matches!(refused, EffectError::Transient { .. }), "{refused}");
}

#[tokio::test]
async fn a_wait_that_nobody_wants_any_more_ends_without_a_report() {
    let bench = Bench::new();
    let effect = bench.provision();
    bench.perform(&effect).await;
    let stop = bench.stop();
    assert_eq!(bench.perform(&effect).await, Performed::default());
    let stopping = bench.perform(&stop).await;
    assert!(stopping.again_at.is_some());
    let stopped = bench.perform(&stop).await;
    assert_eq!(reports(&stopped), [&InstanceCommand::RecordStopped { generation: 2 }]);
}

#[tokio::test]
async fn a_wait_ends_though_another_process_heard_what_ends_it() {
    let bench = Bench::new();
    let effect = bench.provision();
    assert!(bench.perform(&effect).await.again_at.is_some());
    bench.requests.say(&[running(2)]);
    assert!(bench.perform(&effect).await.again_at.is_some(), "the facts are not asked at each look");
    bench.clock.advance(Duration::from_secs(5));
    assert_eq!(bench.perform(&effect).await, Performed::default());
}

#[tokio::test]
async fn a_request_that_was_left_behind_by_another_process_is_not_begun() {
    let bench = Bench::new();
    let effect = bench.provision();
    bench.requests.say(&[running(2)]);
    assert_eq!(bench.perform(&effect).await, Performed::default());
    bench.cluster.set_unreachable(true);
    assert_eq!(bench.perform(&effect).await, Performed::default(), "it does not even look at the cluster");
}

fn target() -> Target {
    Target { namespace: "customer-c0customer000000000000000".into(), instance_id: spec().instance_id }
}

/// The three times that a start asks: before it begins, before it writes, after it wrote.
const BEGUN: [Newest; 2] = [running(1), running(1)];

const fn running(generation: u32) -> Newest {
    Newest { generation, runs: true, purges: false }
}

const fn resting(generation: u32) -> Newest {
    Newest { generation, runs: false, purges: false }
}

#[tokio::test]
async fn what_a_start_makes_after_the_instance_was_stopped_or_deleted_is_taken_back() {
    let target = target();
    for (newest, volumes) in [(resting(2), 1), (Newest { purges: true, ..resting(2) }, 0)] {
        let bench = Bench::new();
        bench.requests.say(&[&BEGUN[..], &[newest]].concat());
        assert_eq!(bench.perform(&bench.provision()).await, Performed::default());
        let seen = bench.cluster.observe(&target).await.expect("seen");
        assert!(seen.is_gone(), "{seen:?}");
        assert_eq!(seen.volumes.len(), volumes, "a volume goes only where data is to go");
    }
}

#[tokio::test]
async fn what_was_heard_of_a_log_that_was_set_back_ends_nothing() {
    let bench = Bench::new();
    bench.perform(&bench.provision()).await;
    let (spec, occurred_at) = (spec(), bench.clock.now());
    bench.effect(InstanceEvent::InstanceRestartRequested { spec, generation: 5, occurred_at });
    bench.requests.say(&[resting(2)]);
    let stop = bench.stop();
    assert!(bench.perform(&stop).await.again_at.is_some());
    assert_eq!(reports(&bench.perform(&stop).await), [&InstanceCommand::RecordStopped { generation: 2 }]);
}

#[tokio::test]
async fn what_a_start_makes_before_another_start_stays_for_that() {
    let bench = Bench::new();
    let target = target();
    bench.requests.say(&[&BEGUN[..], &[running(2)]].concat());
    assert_eq!(bench.perform(&bench.provision()).await, Performed::default());
    let seen = bench.cluster.observe(&target).await.expect("seen");
    assert_eq!((seen.workloads.len(), seen.volumes.len()), (1, 1), "{seen:?}");
}

#[tokio::test]
async fn a_stop_marks_what_it_stops_so_that_nothing_older_starts_it() {
    let bench = Bench::new();
    let start = bench.provision();
    bench.perform(&start).await;
    let stop = bench.stop();
    bench.perform(&stop).await;
    let target = target();
    let seen = bench.cluster.observe(&target).await.expect("seen");
    assert_eq!((seen.generation(), seen.workloads[0].wanted), (2, 0));
}

#[tokio::test]
async fn a_mark_that_no_fact_knows_keeps_nothing_from_its_turn() {
    let bench = Bench::new();
    let target = target();
    bench.perform(&bench.provision()).await;
    bench.cluster.scale(&target, 1, 7).await.expect("marked by hand");
    bench.requests.say(&[resting(2)]);
    let stop = bench.stop();
    assert!(bench.perform(&stop).await.again_at.is_some());
    let stopped = bench.perform(&stop).await;
    assert_eq!(reports(&stopped), [&InstanceCommand::RecordStopped { generation: 2 }]);
}

#[tokio::test]
async fn stopping_what_never_started_is_done_at_once() {
    let bench = Bench::new();
    let stopped = bench.perform(&bench.stop()).await;
    assert_eq!(reports(&stopped), [&InstanceCommand::RecordStopped { generation: 2 }]);
}

#[tokio::test]
async fn a_plan_that_cannot_be_made_is_reported_and_not_retried() {
    let bench = Bench::new();
    let mut spec = spec();
    spec.mem_limit = "much".into();
    let (occurred_at, deadline) = (bench.clock.now(), bench.clock.now().plus(DEADLINE));
    let event = InstanceEvent::InstanceProvisionRequested { spec, generation: 1, deadline, occurred_at };
    let failed = bench.perform(&bench.effect(event)).await;
    assert_eq!(failure(&failed), "memory is not usable: \"much\" is not a quantity");
}

#[tokio::test]
async fn doors_are_changed_beside_what_runs_and_older_ones_end_with_newer_ones() {
    let bench = Bench::new();
    let start = bench.provision();
    bench.perform(&start).await;
    bench.clock.advance(Duration::from_secs(6));
    bench.perform(&start).await;
    let doors = |position: i64, hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let (spec, occurred_at) = (InstanceSpec { hosts, ..spec() }, bench.clock.now());
        bench.effect_at(position, InstanceEvent::InstanceHostsRequested { spec, generation: 1, occurred_at })
    };
    let both = doors(2, &["a.example.com", "b.example.com"]);
    let done = bench.perform(&both).await;
    let hosts = vec!["a.example.com".to_owned(), "b.example.com".to_owned()];
    assert_eq!(reports(&done), [&InstanceCommand::RecordHosts { generation: 1, hosts, edition: 0 }]);
    assert_eq!(done.again_at, None);
    let one = doors(3, &["a.example.com"]);
    assert_eq!(bench.perform(&both).await, Performed::default(), "something newer is asked for in the same generation");
    let hosts = vec!["a.example.com".to_owned()];
    assert_eq!(
        reports(&bench.perform(&one).await),
        [&InstanceCommand::RecordHosts { generation: 1, hosts, edition: 0 }]
    );
    assert_eq!(bench.perform(&bench.stop()).await.commands, [], "and a stop goes on as always");
    assert_eq!(bench.perform(&one).await, Performed::default());
}
