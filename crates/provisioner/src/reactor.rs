//! The provisioner: what an instance's facts ask of the cluster, and the reports that come back.

mod memory;
mod reports;
mod task;

use std::{
    error::Error as _,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use metrics::{counter, histogram};
use minispod_domain::ports::{Effect, EffectError, Intent, Performed, Reactor, Secrets, dns::TxtRecords};
use minispod_events::Fact;
use minispod_kernel::{Clock, IdSource, Timestamp};
use serde_json::Value;

pub use memory::{Newest, Requests, Unheard};
pub use task::{Task, Want};

use memory::Memory;
use reports::Reports;

use crate::{
    cluster::{Age, Applied, Cluster, ClusterError, Leftover, Observed, Removal, Target},
    domains::{DomainProofs, PROVE},
    options::PlanOptions,
    plan::{self, Plan, PlanError, Wish},
    planning::{self, PlanningError},
    progress::{self, Patience, Progress},
    resting,
};

/// The reactor's permanent name.
pub const NAME: &str = "provisioner";
/// The kind of effect that changes the cluster.
pub const RECONCILE: &str = "reconcile";

/// Young requests are looked at each `poll`, older ones this many times less often.
const SLOWER: u32 = 5;
const YOUNG: Duration = Duration::from_mins(1);
/// Longer than any offering's grace.
const SLOW_STOP: Duration = Duration::from_mins(3);
/// On a volume until no pod uses it.
const IN_USE: &str = "kubernetes.io/pvc-protection";
/// Hindrances named at once.
const MOST_NAMED: usize = 5;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct ReactorSettings {
    pub options: PlanOptions,
    pub patience: Patience,
    /// Pause between two looks at an instance that is on its way.
    pub poll: Duration,
    /// How long a start or restart may take before it is reported as failed; a first start has its deadline in the event.
    pub start_deadline: Duration,
    /// So long after a request what keeps its objects from going, or keeps it from starting, is named.
    pub hindered: Duration,
}

impl ReactorSettings {
    /// The usual pauses and deadlines.
    pub fn new(options: PlanOptions) -> Self {
        Self {
            options,
            patience: Patience::default(),
            poll: Duration::from_secs(1),
            start_deadline: Duration::from_mins(10),
            hindered: Duration::from_secs(45),
        }
    }
}

/// Brings the cluster to what the instances' facts ask for.
pub struct ProvisionerReactor {
    cluster: Arc<dyn Cluster>,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    settings: ReactorSettings,
    domains: DomainProofs,
    memory: Memory,
}

impl ProvisionerReactor {
    /// Over a cluster and a vault; `requests` says what was asked for last, `records` prove customers' hosts.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        secrets: Arc<dyn Secrets>,
        requests: Arc<dyn Requests>,
        records: Arc<dyn TxtRecords>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        settings: ReactorSettings,
    ) -> Self {
        let domains = DomainProofs::new(records, clock.clone());
        let memory = Memory::new(requests, clock.clone());
        Self { cluster, secrets, clock, ids, settings, domains, memory }
    }

    async fn reconcile(&self, task: &Task, reports: &Reports<'_>) -> Result<Performed, EffectError> {
        // A deletion is never skipped: it alone says whether the data goes.
        if task.want != Want::Deleted && self.memory.is_outdated(task).await {
            return Ok(Performed::default());
        }
        let target = match self.place(task).await {
            Ok(target) => target,
            Err(RunError::Planning(PlanningError::Plan(error))) => return unplannable(task, reports, error),
            Err(RunError::Cluster(error)) => return Err(effect_error(error)),
            Err(RunError::Planning(PlanningError::Vault(source))) => {
                return Err(EffectError::transient("find the instance's namespace", source));
            }
        };
        let done = match task.want {
            Want::Running if task.repairs => return self.repair(task, reports, &target).await,
            Want::Running => return self.run(task, reports, &target).await,
            Want::Stopped => self.stop(task, reports, &target).await,
            Want::Deleted => self.delete(task, reports, &target).await,
        };
        done.map_err(effect_error)
    }

    /// Where the instance is, or would be. An offering may have been taken out of the catalogue, or asks for another level
    /// since: what is to rest or to go is found where it was put, and nothing is put in two places.
    async fn place(&self, task: &Task) -> Result<Target, RunError> {
        let planned = plan::namespace_of(&task.spec, &self.settings.options);
        let of = |namespace| Target { namespace, instance_id: task.instance_id.clone() };
        if let Ok(namespace) = &planned
            && task.first
        {
            return Ok(of(namespace.clone()));
        }
        for namespace in plan::namespaces_of(&task.spec, &self.settings.options) {
            let target = of(namespace);
            let observed = self.cluster.observe(&target).await?;
            if observed.workloads.is_empty() && observed.volumes.is_empty() {
                continue;
            }
            return match &planned {
                Ok(namespace) if *namespace != target.namespace && task.want == Want::Running => {
                    Err(PlanningError::from(PlanError::Elsewhere { lives_in: target.namespace }).into())
                }
                _ => Ok(target),
            };
        }
        Ok(of(planned.map_err(PlanningError::from)?))
    }

    /// Towards running: apply, then look until it is ready, hopeless or late. Whoever takes the request up anew, after a
    /// crash or on an operator's word, applies again: what others removed meanwhile comes back.
    async fn run(&self, task: &Task, reports: &Reports<'_>, target: &Target) -> Result<Performed, EffectError> {
        match self.try_run(task, reports, target).await {
            Ok(performed) => Ok(performed),
            Err(RunError::Planning(PlanningError::Vault(source))) => {
                Err(EffectError::transient("read the instance's credentials", source))
            }
            Err(RunError::Planning(PlanningError::Plan(error))) => unplannable(task, reports, error),
            Err(RunError::Cluster(error)) if !error.passes() => Ok(reports.failed(&told(&error))),
            Err(RunError::Cluster(error)) if task.first && self.is_late(task) => {
                // A customer who paid is not left waiting for the cluster to come back.
                Ok(reports.failed(&format!("not ready before the deadline: {error}")))
            }
            Err(RunError::Cluster(ClusterError::Ending { reason, .. })) if self.names_hindrances(task) => {
                // It lasts until somebody lets go of what holds the namespace: it is told, and not only tried again.
                let hindered = reports.hindered(format!("its namespace is being deleted: {reason}"));
                Ok(Performed { commands: vec![hindered], again_at: Some(self.next_look(task)) })
            }
            Err(RunError::Cluster(error)) => Err(effect_error(error)),
        }
    }

    async fn try_run(&self, task: &Task, reports: &Reports<'_>, target: &Target) -> Result<Performed, RunError> {
        let mut observed = self.cluster.observe(target).await?;
        let Some(upto) = self.upto(task, &observed).await else { return Ok(Performed::default()) };
        let plan = self.plan(task).await?;
        let fresh = !self.memory.has_applied(task) || !taken(&observed, &plan, task.generation);
        if fresh {
            // Within one generation requests come one after the other; what a newer one wrote is not written over.
            let Some(applied) = self.write(task, &plan.objects, Age::of_generation(upto)).await? else {
                return Ok(Performed::default());
            };
            if applied.overtaken {
                return Err(unknown_request("apply the instance's objects").into());
            }
            tracing::info!(
                instance = task.instance_id,
                objects = applied.objects,
                "the cluster took the instance's objects"
            );
            observed = self.cluster.observe(target).await?;
        }
        let now = self.clock.now();
        let progress = progress::judge(&observed, task.generation, now, self.settings.patience);
        self.memory.remember_applied(task, matches!(progress, Progress::Waiting(_)) && !self.is_late(task));
        match progress {
            Progress::Ready => Ok(reports.ready(&plan, self.cluster.kind())),
            Progress::Failed(why) => Ok(reports.failed_as_applied(&plan, self.cluster.kind(), &why)),
            Progress::Waiting(why) if self.is_late(task) => {
                let why = format!("not ready before the deadline: {why}");
                Ok(reports.failed_as_applied(&plan, self.cluster.kind(), &why))
            }
            Progress::Waiting(why) => {
                tracing::debug!(instance = task.instance_id, why, "waits");
                let commands = if fresh { vec![reports.applied(&plan, self.cluster.kind())] } else { Vec::new() };
                Ok(Performed { commands, again_at: Some(self.next_look(task)) })
            }
        }
    }

    /// What was found to differ is applied again, over whoever took it.
    async fn repair(&self, task: &Task, reports: &Reports<'_>, target: &Target) -> Result<Performed, EffectError> {
        match self.try_repair(task, target).await {
            Ok(Some(_)) if task.doors => Ok(reports.hosts()),
            Ok(Some(program)) => Ok(reports.drift_over(Ok(Some(program)))),
            Ok(None) => Ok(Performed::default()),
            Err(RunError::Planning(PlanningError::Vault(source))) => {
                Err(EffectError::transient("read the instance's credentials", source))
            }
            Err(RunError::Cluster(error)) if error.passes() => Err(effect_error(error)),
            Err(error) if task.doors => Ok(reports.hosts_refused(&error.to_string())),
            Err(RunError::Cluster(error)) => Ok(reports.drift_over(Err(told(&error)))),
            Err(error) => {
                let cause: &dyn std::error::Error = error.source().unwrap_or(&error);
                Ok(reports.drift_over(Err(cause.to_string())))
            }
        }
    }

    /// The mark of the program; `None` when something newer is there already.
    async fn try_repair(&self, task: &Task, target: &Target) -> Result<Option<String>, RunError> {
        let observed = self.cluster.observe(target).await?;
        let Some(upto) = self.upto(task, &observed).await else { return Ok(None) };
        let plan = self.plan(task).await?;
        // Of the program only its mark changes with a door, and what another build or catalogue made is no reason to restart it.
        let mut programs = observed.workloads.iter().filter(|one| one.name == plan.workload);
        let same = programs.any(|one| one.program == plan.program);
        let mut objects = plan.objects;
        if task.doors {
            objects.retain(|object| {
                object["kind"] == "Ingress"
                    || same && object["kind"] == "Deployment" && object["metadata"]["name"] == *plan.workload
            });
        }
        let age = if upto > task.generation { Age::of_generation(upto) } else { task.age() };
        let Some(applied) = self.write(task, &objects, age).await? else { return Ok(None) };
        // Doors that something newer wrote are as it wants them.
        if applied.overtaken && !task.doors {
            return Err(unknown_request("put the instance's objects right").into());
        }
        Ok(Some(plan.program))
    }

    /// Up to which generation objects may be written over. What bears a newer mark was written by a newer request, unless the
    /// facts know of none: then the log was set back, or a hand wrote the mark. `None`: a newer request takes care of it.
    async fn upto(&self, task: &Task, observed: &Observed) -> Option<u32> {
        let marked = observed.generation();
        if marked <= task.generation {
            return Some(task.generation);
        }
        let newest = self.memory.ask(task).await?;
        if newest.generation > task.generation {
            return None;
        }
        let (instance, asked) = (&task.instance_id, task.generation);
        tracing::warn!(instance, marked, asked, "objects bear the mark of a request that no fact knows");
        Some(marked)
    }

    /// Applies what no newer request wrote. A process may sleep in the middle of it for longer than its work is its own, and
    /// where nothing is there nothing bears a mark: so the facts are asked before and after, and what was made for an instance
    /// that is to rest or to go by then is taken back. `None`: a newer request takes care of it.
    async fn write(&self, task: &Task, objects: &[Value], upto: Age) -> Result<Option<Applied>, ClusterError> {
        if self.memory.newer(task).await.is_some() {
            return Ok(None);
        }
        let mut made = Vec::new();
        let applied = self.cluster.apply_upto(objects, upto, &mut made).await;
        let Some(newer) = self.memory.newer(task).await else { return applied.map(Some) };
        if !newer.runs {
            // Of a volume nobody knows whether somebody has used it since, and an empty one does no harm.
            made.retain(|one| newer.purges || one.kind != "PersistentVolumeClaim");
            self.cluster.unmake(&made, upto).await?;
        }
        Ok(None)
    }

    async fn plan(&self, task: &Task) -> Result<Plan, RunError> {
        let wish = Wish { generation: task.generation, position: task.position, replicas: 1 };
        let (secrets, ids) = (self.secrets.as_ref(), self.ids.as_ref());
        Ok(planning::plan(secrets, ids, &self.settings.options, &task.spec, wish).await?)
    }

    /// Towards stopped: doors to the page of what rests, no copies, and none left running; volumes stay.
    async fn stop(&self, task: &Task, reports: &Reports<'_>, target: &Target) -> Result<Performed, ClusterError> {
        let observed = self.cluster.observe(target).await?;
        let Some(upto) = self.upto(task, &observed).await else { return Ok(Performed::default()) };
        if task.doors {
            self.rest_doors(task, target, &observed).await?;
            return Ok(reports.hosts());
        }
        // First of all: whatever becomes of the page, what is to rest does not run on.
        let rests = observed.pods.is_empty() && observed.workloads.iter().all(|workload| workload.wanted == 0);
        if !rests || observed.workloads.iter().any(|workload| workload.generation < upto) {
            self.cluster.scale(target, 0, upto).await?;
        }
        if !self.memory.has_applied(task) {
            self.rest_doors(task, target, &observed).await?;
        }
        self.memory.remember_applied(task, !rests);
        if rests {
            return Ok(if task.repairs { reports.drift_over(Ok(None)) } else { reports.stopped() });
        }
        Ok(Performed { commands: Vec::new(), again_at: Some(self.next_look(task)) })
    }

    /// Visitors of what rests find a page that says so; where there is none, or the cluster refuses, nothing answers them.
    async fn rest_doors(&self, task: &Task, target: &Target, observed: &Observed) -> Result<(), ClusterError> {
        if let Some(doors) = self.resting(task, target, observed).await? {
            match self.write(task, &doors, task.age()).await.map(drop) {
                Err(error) if !matches!(error, ClusterError::Unreachable { .. } | ClusterError::Ending { .. }) => {
                    counter!("minispod_provisioner_outcomes_total", "outcome" => "no_resting_page").increment(1);
                    let error = error.to_string();
                    tracing::warn!(instance = task.instance_id, error, "visitors of a resting instance find nothing");
                }
                done => return done,
            }
        }
        self.cluster.delete(target, Removal::Doors, task.generation).await
    }

    async fn resting(
        &self,
        task: &Task,
        target: &Target,
        observed: &Observed,
    ) -> Result<Option<Vec<Value>>, ClusterError> {
        // What never was there has no namespace either.
        if observed.workloads.is_empty() {
            return Ok(None);
        }
        let address = resting::address(self.cluster.as_ref(), &self.settings.options).await?;
        let Some(page) = address else { return Ok(None) };
        let wish = Wish { generation: task.generation, position: task.position, replicas: 0 };
        match plan::resting(&task.spec, wish, &self.settings.options, &target.namespace, page) {
            Ok(doors) => Ok(Some(doors)),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(instance = task.instance_id, error, "the doors of a resting instance cannot be planned");
                Ok(None)
            }
        }
    }

    /// Towards nothing: workload first, volumes only when asked, and reported when they are really gone.
    async fn delete(&self, task: &Task, reports: &Reports<'_>, target: &Target) -> Result<Performed, ClusterError> {
        let observed = self.cluster.observe(target).await?;
        let upto = match self.upto(task, &observed).await {
            Some(upto) => upto,
            None if task.resets => return Ok(Performed::default()),
            // It alone says whether the data goes.
            None => task.generation,
        };
        let no_data = observed.volumes.is_empty();
        let (removal, gone) = match (task.resets, task.purge) {
            (true, _) => (Removal::Data, observed.rests() && no_data),
            (false, true) => (Removal::Everything, observed.is_gone() && no_data),
            (false, false) => (Removal::Program, observed.is_gone()),
        };
        if gone {
            return Ok(reports.deleted(task.purge));
        }
        self.cluster.delete(target, removal, upto).await?;
        let now = self.clock.now();
        let left = if self.names_hindrances(task) { self.cluster.leftovers(target).await? } else { Vec::new() };
        let hindrance = hindrance(&left, now, self.settings.hindered, !observed.pods.is_empty());
        let commands = hindrance.map(|words| reports.hindered(words)).into_iter().collect();
        Ok(Performed { commands, again_at: Some(self.next_look(task)) })
    }

    /// What is only slow is given its time.
    fn names_hindrances(&self, task: &Task) -> bool {
        self.clock.now() >= task.asked_at.plus(self.settings.hindered)
    }

    fn is_late(&self, task: &Task) -> bool {
        self.clock.now() >= task.deadline.unwrap_or_else(|| task.asked_at.plus(self.settings.start_deadline))
    }

    fn next_look(&self, task: &Task) -> Timestamp {
        let now = self.clock.now();
        let young = now < task.asked_at.plus(YOUNG);
        now.plus(if young { self.settings.poll } else { self.settings.poll * SLOWER })
    }
}

#[async_trait]
impl Reactor for ProvisionerReactor {
    fn name(&self) -> &'static str {
        NAME
    }

    fn intend(&self, fact: &Fact) -> Vec<Intent> {
        let Some(task) = Task::of(fact) else { return self.domains.intend(fact).into_iter().collect() };
        self.memory.hear(&task);
        task.to_intent(&fact.recorded.metadata.event_id).into_iter().collect()
    }

    async fn perform(&self, effect: &Effect) -> Result<Performed, EffectError> {
        if effect.kind == PROVE {
            return self.domains.perform(effect).await;
        }
        let task: Task = serde_json::from_value(effect.payload.clone())
            .map_err(|source| EffectError::permanent("read what the instance needs", source))?;
        let reports = Reports { key: &effect.key, task: &task };
        let started = Instant::now();
        let performed = self.reconcile(&task, &reports).await;
        histogram!("minispod_provisioner_reconcile_seconds", "want" => task.want.word())
            .record(started.elapsed().as_secs_f64());
        performed
    }
}

/// Whether the cluster has everything of this generation: the program's workload is applied last.
fn taken(observed: &Observed, plan: &Plan, generation: u32) -> bool {
    observed.workloads.iter().any(|one| one.name == plan.workload && one.generation == generation && one.wanted > 0)
}

#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Planning(#[from] PlanningError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// What keeps objects from going, in a sentence; a pod that is only slow to stop is given the time it may take, and so is
/// the volume that it uses.
fn hindrance(left: &[Leftover], now: Timestamp, patience: Duration, pods: bool) -> Option<String> {
    let after = |one: &Leftover, wait| one.since.is_none_or(|since| now >= since.plus(wait));
    let in_use = |one: &Leftover| pods && one.finalizers == [IN_USE];
    let words = left.iter().filter(|one| after(one, patience) && !in_use(one)).filter_map(|one| {
        match one.finalizers.as_slice() {
            [] if after(one, SLOW_STOP) => Some(format!("{} does not stop; its node may be lost", one.object)),
            [] => None,
            finalizers => Some(format!("{} waits for the finalizer {}", one.object, finalizers.join(" and "))),
        }
    });
    let words: Vec<_> = words.take(MOST_NAMED).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// What the facts know nothing of stands in the way.
fn unknown_request(what: &str) -> ClusterError {
    ClusterError::Conflict { what: what.to_owned(), manager: "a request that no fact knows".to_owned() }
}

/// A failure as its owner reads it: the cluster's own words about a door may name somebody else's.
fn told(error: &ClusterError) -> String {
    if error.what().starts_with("apply Ingress") {
        tracing::warn!(error = error as &dyn std::error::Error, "the cluster does not take a door");
        return "the cluster does not take its hosts as they are asked for".to_owned();
    }
    error.to_string()
}

fn effect_error(error: ClusterError) -> EffectError {
    let what = error.to_string();
    if error.passes() { EffectError::transient(what, error) } else { EffectError::permanent(what, error) }
}

/// A plan that cannot be made: the customer is told when something should run; an operator when something should end.
fn unplannable(task: &Task, reports: &Reports<'_>, error: PlanError) -> Result<Performed, EffectError> {
    match task.want {
        _ if task.doors => Ok(reports.hosts_refused(&error.to_string())),
        // What runs is well; only that it is put right cannot be planned.
        Want::Running if task.repairs => Ok(reports.drift_over(Err(error.to_string()))),
        Want::Running => Ok(reports.failed(&error.to_string())),
        Want::Stopped | Want::Deleted => Err(EffectError::permanent("find the instance's namespace", error)),
    }
}
