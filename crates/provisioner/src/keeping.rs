//! The watch for drift: what the cluster has is compared with what was sold, and what differs is reported.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use metrics::{counter, gauge, histogram};
use minispod_domain::{AnyCommand, CommandRequest, InstanceCommand, instance::Kept, ports::Secrets};
use minispod_events::DriftFinding;
use minispod_kernel::{Clock, IdSource};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Cause, Cluster, ClusterError, Drift, Observed, Removal, Target},
    names, numbers,
    options::PlanOptions,
    plan::{self, Wish},
    planning::{self, PlanningError},
    resting,
    watch::ReportSink,
};

/// What is to be, as the facts say it.
#[async_trait]
pub trait Desired: Send + Sync {
    /// The instances that were applied once and are not gone, by id, after `after`; at most `most`.
    async fn page(&self, after: Option<&str>, most: u32) -> Result<Vec<Listed>, Cause>;

    /// What one of them is to be; `None` while something changes.
    async fn kept(&self, instance_id: &str) -> Result<Option<Kept>, Cause>;
}

/// One instance of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub target: Target,
    pub generation: u32,
    /// It is to rest.
    pub rests: bool,
}

/// How closely to compare.
#[derive(Debug, Clone)]
pub struct KeepingSettings {
    pub options: PlanOptions,
    /// Pause between two rounds.
    pub every: Duration,
    /// Instances compared exactly in one round; the others wait for the next.
    pub most_compared: usize,
}

impl KeepingSettings {
    /// The usual pauses and bounds.
    pub const fn new(options: PlanOptions) -> Self {
        Self { options, every: Duration::from_mins(1), most_compared: 200 }
    }
}

const PAGE: u32 = 500;
/// Rounds stop here.
const PAGES: usize = 200;

/// Compares what somebody has written since it was last as it should be. Several may run: reports have derived keys.
pub struct DriftWatch {
    cluster: Arc<dyn Cluster>,
    desired: Arc<dyn Desired>,
    secrets: Arc<dyn Secrets>,
    ids: Arc<dyn IdSource>,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn ReportSink>,
    settings: KeepingSettings,
    /// Generation and number of those that were found as they should be.
    right: BTreeMap<Target, (u32, u64)>,
    /// Those that differed when last seen, by this process.
    drifted: BTreeSet<Target>,
    /// The last one that a full round compared: the next begins after it.
    resume: Option<String>,
    /// The page had no address when last looked for.
    pageless: bool,
}

/// The page for visitors of what rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Page {
    At(SocketAddr),
    /// Not there for the first time.
    Away,
    /// Nor the time before.
    Gone,
}

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
pub enum KeepingError {
    #[error("the cluster cannot be looked at")]
    Cluster(#[from] ClusterError),
    #[error("what is to be cannot be read")]
    Desired(#[source] Cause),
    #[error("an instance cannot be planned")]
    Planning(#[from] PlanningError),
}

impl DriftWatch {
    /// Over a cluster and the facts.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        desired: Arc<dyn Desired>,
        secrets: Arc<dyn Secrets>,
        ids: Arc<dyn IdSource>,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn ReportSink>,
        settings: KeepingSettings,
    ) -> Self {
        let (right, drifted) = (BTreeMap::new(), BTreeSet::new());
        let (resume, pageless) = (None, false);
        Self { cluster, desired, secrets, ids, clock, sink, settings, right, drifted, resume, pageless }
    }

    /// Until `shutdown`. What cannot be read is read in the next round.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.settings.every) => {}
            }
            let begun = std::time::Instant::now();
            let round = tokio::select! {
                () = shutdown.cancelled() => return,
                round = self.round() => round,
            };
            histogram!("minispod_provisioner_drift_round_seconds").record(begun.elapsed().as_secs_f64());
            if let Err(error) = round {
                tracing::warn!(error = &error as &dyn Error, "the round for drift was not finished");
            }
        }
    }

    /// One round; how many instances differed.
    pub async fn round(&mut self) -> Result<usize, KeepingError> {
        let inventory = self.cluster.inventory().await?;
        let page = self.page().await?;
        let (mut right, mut differed, mut compared) = (BTreeMap::new(), 0, 0);
        // What was left for want of places comes first; what cannot be compared keeps nothing from its turn.
        let begin = self.resume.take();
        let (mut after, mut around) = (begin.clone(), begin.is_none());
        'pages: for _ in 0..PAGES {
            let listed = self.desired.page(after.as_deref(), PAGE).await.map_err(KeepingError::Desired)?;
            after = listed.last().map(|one| one.target.instance_id.clone());
            let full = listed.len() >= PAGE as usize;
            for one in listed {
                if around && begin.as_ref().is_some_and(|begin| one.target.instance_id > *begin) {
                    break 'pages;
                }
                let page_number = if one.rests { numbers::of(&page) } else { 0 };
                let now = (one.generation, inventory.of(&one.target).wrapping_add(page_number));
                if self.right.get(&one.target) == Some(&now) {
                    right.insert(one.target, now);
                    continue;
                }
                if compared >= self.settings.most_compared {
                    continue;
                }
                compared += 1;
                self.resume = (compared == self.settings.most_compared).then(|| one.target.instance_id.clone());
                match self.differs(&one, now.1, page).await {
                    Ok(Some(false)) => {
                        right.insert(one.target, now);
                    }
                    Ok(Some(true)) => differed += 1,
                    Ok(None) => {}
                    Err(KeepingError::Cluster(error)) if matches!(error, ClusterError::Unreachable { .. }) => {
                        return Err(error.into());
                    }
                    // One that cannot be compared does not keep the others from it.
                    Err(error) => tracing::warn!(
                        instance = one.target.instance_id,
                        error = &error as &dyn Error,
                        "an instance cannot be compared"
                    ),
                }
            }
            if !full && around {
                break;
            }
            if !full {
                (after, around) = (None, true);
            }
        }
        counter!("minispod_provisioner_drift_compared_total").increment(compared as u64);
        gauge!("minispod_provisioner_drifted_instances").set(differed as f64);
        self.right = right;
        Ok(differed)
    }

    /// Where what rests leads to.
    async fn page(&mut self) -> Result<Page, ClusterError> {
        let address = resting::address(self.cluster.as_ref(), &self.settings.options).await?;
        let page = match address {
            Some(address) => Page::At(address),
            None if self.pageless => Page::Gone,
            // A Service that is made again is away for a moment.
            None => Page::Away,
        };
        self.pageless = address.is_none();
        Ok(page)
    }

    /// Whether it differs, which is reported; `None` while it changes anyway.
    async fn differs(&mut self, one: &Listed, number: u64, page: Page) -> Result<Option<bool>, KeepingError> {
        let id = &one.target.instance_id;
        let Some(kept) = self.desired.kept(id).await.map_err(KeepingError::Desired)? else { return Ok(None) };
        if kept.generation != one.generation {
            return Ok(None);
        }
        let observed = self.cluster.observe(&one.target).await?;
        let found = if kept.runs {
            match self.compare(one, &kept, &observed).await? {
                Some(found) => found,
                None => return Ok(None),
            }
        } else {
            let mut found = running(&observed, &one.target);
            match self.astray(one, &kept, &observed, page).await {
                Ok(doors) => found.extend(doors),
                // Whatever there is to say of its doors, what runs unasked is told.
                Err(error) => {
                    let error = &error as &dyn Error;
                    tracing::warn!(instance = id, error, "the doors of a resting instance cannot be compared");
                    if found.is_empty() {
                        return Ok(None);
                    }
                }
            }
            found
        };
        if found.is_empty() && !self.drifted.remove(&one.target) {
            return Ok(Some(false));
        }
        if !found.is_empty() {
            self.drifted.insert(one.target.clone());
        }
        let differs = !found.is_empty();
        counter!("minispod_provisioner_drift_found_total").increment(u64::from(differs));
        tracing::warn!(instance = id, objects = ?found.iter().map(|one| &one.object).collect::<Vec<_>>(), "drift");
        let findings = found.into_iter().map(finding).collect();
        let report = CommandRequest {
            // What stands is told again each hour, for its reason may have passed.
            key: format!("drift.{id}.{}.{number:016x}.{}.{differs}", kept.generation, self.hour()),
            aggregate_id: id.clone(),
            command: AnyCommand::Instance(InstanceCommand::RecordDrift { generation: kept.generation, findings }),
            on_refusal: None,
        };
        if let Err(error) = self.sink.report(report).await {
            tracing::warn!(error = error.as_ref() as &dyn Error, "drift is reported again in the next round");
        }
        Ok(Some(differs))
    }

    /// What leads visitors of a resting instance elsewhere than to the page. A door that is not there leads nobody astray;
    /// where the page is gone they are taken away, as its address may be somebody else's by now.
    async fn astray(
        &self,
        one: &Listed,
        kept: &Kept,
        observed: &Observed,
        page: Page,
    ) -> Result<Vec<Drift>, KeepingError> {
        let page = match page {
            Page::At(page) if !observed.workloads.is_empty() => page,
            Page::At(_) | Page::Away => return Ok(Vec::new()),
            Page::Gone => {
                self.cluster.delete(&one.target, Removal::Doors, kept.generation).await?;
                return Ok(Vec::new());
            }
        };
        let wish = Wish { generation: kept.generation, position: 0, replicas: 0 };
        let doors = plan::resting(&kept.spec, wish, &self.settings.options, &one.target.namespace, page);
        let mut found = self.cluster.compare(&doors.map_err(PlanningError::from)?).await?;
        found.retain(|one| !(one.missing && one.object.starts_with("Ingress ")));
        Ok(found)
    }

    fn hour(&self) -> i64 {
        self.clock.now().unix_millis() / 3_600_000
    }

    /// `None` where another build, catalogue or option made the objects: they are as they were sold until the instance is
    /// next asked for, and nobody restarts them for an upgrade of ours. What was applied last is known by the facts; marks
    /// on objects can be written by anybody, and by an older request that came late.
    async fn compare(
        &self,
        one: &Listed,
        kept: &Kept,
        observed: &Observed,
    ) -> Result<Option<Vec<Drift>>, KeepingError> {
        let wish = Wish { generation: kept.generation, position: 0, replicas: 1 };
        let (secrets, ids) = (self.secrets.as_ref(), self.ids.as_ref());
        let plan = planning::plan(secrets, ids, &self.settings.options, &kept.spec, wish).await?;
        let program = observed.workloads.iter().find(|workload| workload.component == names::APP);
        if plan.namespace != one.target.namespace {
            return Ok(None);
        }
        let Some(program) = program.filter(|program| program.plan != plan.mark) else {
            return Ok(Some(self.cluster.compare(&plan.objects).await?));
        };
        match kept.program.as_deref() {
            // As it was applied: by another build, or with other options for its doors.
            Some(applied) if applied == program.program => Ok(None),
            // This build made it so, and somebody else made something else of it.
            Some(applied) if applied == plan.program => Ok(Some(self.cluster.compare(&plan.objects).await?)),
            // Neither what was applied last nor what would be.
            Some(_) => Ok(Some(vec![remade(&one.target, &program.name)])),
            None => Ok(None),
        }
    }
}

/// What rests may differ from its plan until it is started; only that nothing of it runs matters.
fn running(observed: &Observed, target: &Target) -> Vec<Drift> {
    let awake = observed.workloads.iter().filter(|workload| workload.wanted > 0);
    awake
        .map(|workload| Drift {
            object: format!("Deployment {}/{}", target.namespace, workload.name),
            missing: false,
            managers: Vec::new(),
            fields: vec![".spec.replicas".to_owned()],
        })
        .collect()
}

/// A workload that was made another one, by a mark that is not its own.
fn remade(target: &Target, workload: &str) -> Drift {
    Drift {
        object: format!("Deployment {}/{workload}", target.namespace),
        missing: false,
        managers: Vec::new(),
        fields: vec![format!(".metadata.annotations.{}", names::PROGRAM)],
    }
}

fn finding(drift: Drift) -> DriftFinding {
    let Drift { object, missing, managers, fields } = drift;
    DriftFinding { object, missing, managers, fields }
}
