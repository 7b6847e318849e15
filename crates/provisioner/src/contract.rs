//! What every cluster must do, as one walk through an instance's life: for tests of both kinds and for `doctor`.

use std::{collections::BTreeMap, future::Future, time::Duration};

use minispod_events::InstanceSpec;
use minispod_kernel::Clock;
use serde_json::json;

use crate::{
    catalog,
    cluster::{Age, Cluster, ClusterError, Observed, Removal, Target},
    credentials::Credentials,
    options::PlanOptions,
    plan::{self, Plan, PlanError, Wish},
    progress::{self, Patience, Progress},
};

/// A promise that was not kept.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("{promise}: {detail}")]
    Promise { promise: &'static str, detail: String },
    #[error("{promise}")]
    Cluster {
        promise: &'static str,
        #[source]
        source: ClusterError,
    },
    #[error("the instance to walk with cannot be planned")]
    Plan(#[from] PlanError),
}

/// What the walk needs.
pub struct Walk<'a> {
    pub cluster: &'a dyn Cluster,
    pub clock: &'a dyn Clock,
    pub options: &'a PlanOptions,
    /// An id nobody else uses: customer, subscription and instance.
    pub id: &'a str,
    pub storage_class: &'a str,
    /// Longest wait for each step.
    pub patience: Duration,
}

const PAUSE: Duration = Duration::from_millis(50);

impl Walk<'_> {
    /// Nothing, running, the same again, stopped, running anew, deleted, purged.
    pub async fn run(&self) -> Result<(), Broken> {
        let spec = self.spec();
        let target =
            Target { namespace: plan::namespace_of(&spec, self.options)?, instance_id: spec.instance_id.clone() };
        self.nothing_is_fine(&target).await?;
        self.takes_and_keeps(&spec, &target).await?;
        self.tells_of_changes(&target).await?;
        self.starts_anew(&spec, &target).await?;
        self.sees_drift(&spec, &target).await?;
        self.resets(&spec, &target).await?;
        self.ends(&target).await?;
        self.refuses_nonsense().await
    }

    fn spec(&self) -> InstanceSpec {
        let offering = catalog::find("n8n");
        InstanceSpec {
            instance_id: self.id.to_owned(),
            subscription_id: self.id.to_owned(),
            user_id: self.id.to_owned(),
            offering: "n8n".into(),
            variant: "basic".into(),
            display_name: "Contract".into(),
            docker_image: offering.map(|offering| offering.image.clone()).unwrap_or_default(),
            container_port: 5678,
            environment: BTreeMap::new(),
            overrides: Vec::new(),
            cpu_request: "50m".into(),
            cpu_limit: "500m".into(),
            mem_request: "128Mi".into(),
            mem_limit: "512Mi".into(),
            volume_size: Some("64Mi".into()),
            volume_mount_path: None,
            storage_class: self.storage_class.to_owned(),
            access_mode: "ReadWriteOnce".into(),
            subdomain: self.id.to_owned(),
            hosts: Vec::new(),
            public_host: None,
            hosts_edition: 0,
        }
    }

    fn plan(&self, spec: &InstanceSpec, generation: u32) -> Result<Plan, PlanError> {
        let key = Credentials::from_values([("encryption_key".to_owned(), "contract".to_owned())]);
        plan::plan(spec, Wish { generation, position: i64::from(generation), replicas: 1 }, self.options, &key)
    }

    async fn nothing_is_fine(&self, target: &Target) -> Result<(), Broken> {
        let promise = "an instance that does not exist is looked at, scaled and deleted without complaint";
        let observed = kept(promise, self.cluster.observe(target)).await?;
        ensure(promise, observed.is_gone(), || format!("{observed:?}"))?;
        kept(promise, self.cluster.scale(target, 0, 1)).await?;
        kept(promise, self.cluster.delete(target, Removal::Everything, 1)).await
    }

    async fn takes_and_keeps(&self, spec: &InstanceSpec, target: &Target) -> Result<(), Broken> {
        let plan = self.plan(spec, 1)?;
        let promise = "objects are taken and the instance becomes ready";
        let applied = kept(promise, self.cluster.apply(&plan.objects)).await?;
        ensure(promise, applied.objects == plan.objects.len(), || format!("{applied:?}"))?;
        self.ready(promise, target, 1).await?;
        let promise = "the same objects again are no news";
        let again = kept(promise, self.cluster.apply(&plan.objects)).await?;
        ensure(promise, again.repaired.is_empty(), || format!("{again:?}"))?;
        let observed = kept(promise, self.cluster.observe(target)).await?;
        ensure(promise, observed.volumes.len() == 1 && observed.generation() == 1, || format!("{observed:?}"))
    }

    async fn tells_of_changes(&self, target: &Target) -> Result<(), Broken> {
        let promise = "a stop is told to whoever waits, ends the pods and keeps the volume";
        let survey = kept(promise, self.cluster.survey()).await?;
        ensure(promise, survey.instances.iter().any(|(one, _)| one == target), || "not in the survey".to_owned())?;
        kept(promise, self.cluster.scale(target, 0, 1)).await?;
        let told = kept(promise, self.cluster.changed(&survey.mark, self.patience)).await?;
        ensure(promise, told, || "no change was told".to_owned())?;
        self.until(promise, target, |seen| seen.pods.is_empty() && seen.volumes.len() == 1).await
    }

    async fn starts_anew(&self, spec: &InstanceSpec, target: &Target) -> Result<(), Broken> {
        let promise = "a new generation starts what was stopped";
        kept(promise, self.cluster.apply(&self.plan(spec, 2)?.objects)).await?;
        self.ready(promise, target, 2).await
    }

    async fn sees_drift(&self, spec: &InstanceSpec, target: &Target) -> Result<(), Broken> {
        let promise = "what is as it was applied does not differ, and its number stays";
        let plan = self.plan(spec, 2)?;
        // Controllers write their own marks on objects for a moment after they were made.
        let same = async || -> Result<bool, Broken> {
            let before = kept(promise, self.cluster.inventory()).await?.of(target);
            let drift = kept(promise, self.cluster.compare(&plan.objects)).await?;
            ensure(promise, drift.is_empty(), || format!("{drift:?}"))?;
            Ok(before != 0 && before == kept(promise, self.cluster.inventory()).await?.of(target))
        };
        let mut tries = 0;
        while !same().await? {
            tries += 1;
            ensure(promise, tries < 50, || "another number each time".to_owned())?;
            tokio::time::sleep(PAUSE).await;
        }
        let promise = "what an apply would change differs";
        let drift = kept(promise, self.cluster.compare(&self.plan(spec, 3)?.objects)).await?;
        ensure(promise, !drift.is_empty(), || "nothing differs".to_owned())
    }

    async fn resets(&self, spec: &InstanceSpec, target: &Target) -> Result<(), Broken> {
        let promise = "what began anew is not touched by a removal of what was before";
        kept(promise, self.cluster.delete(target, Removal::Data, 1)).await?;
        let observed = kept(promise, self.cluster.observe(target)).await?;
        ensure(promise, !observed.workloads.is_empty() && observed.volumes.len() == 1, || format!("{observed:?}"))?;
        let promise = "what a newer generation wrote is not written over by an older one's word";
        let old = Age { generation: 1, position: 1 };
        let applied =
            kept(promise, self.cluster.apply_upto(&self.plan(spec, 1)?.objects, old, &mut Vec::new())).await?;
        ensure(promise, applied.overtaken, || format!("{applied:?}"))?;
        kept(promise, self.cluster.scale(target, 0, 1)).await?;
        let observed = kept(promise, self.cluster.observe(target)).await?;
        let wanted = observed.workloads.iter().map(|one| one.wanted).sum::<u32>();
        ensure(promise, observed.generation() == 2 && wanted > 0, || format!("{observed:?}"))?;
        let promise = "what is no older is written, and what was there is not made";
        let mut made = Vec::new();
        let applied =
            kept(promise, self.cluster.apply_upto(&self.plan(spec, 2)?.objects, Age::of_generation(2), &mut made))
                .await?;
        ensure(promise, made.is_empty(), || format!("{made:?}"))?;
        ensure(promise, !applied.overtaken && applied.objects > 0, || format!("{applied:?}"))?;
        let promise = "a reset takes workloads and volumes, and leaves the rest";
        kept(promise, self.cluster.delete(target, Removal::Data, 2)).await?;
        self.until(promise, target, |seen| seen.rests() && seen.volumes.is_empty() && seen.others > 0).await?;
        let promise = "what was reset starts over an empty volume";
        kept(promise, self.cluster.apply(&self.plan(spec, 3)?.objects)).await?;
        self.ready(promise, target, 3).await
    }

    async fn ends(&self, target: &Target) -> Result<(), Broken> {
        let promise = "deleting keeps the volume";
        kept(promise, self.cluster.delete(target, Removal::Program, 3)).await?;
        self.until(promise, target, |seen| seen.is_gone() && seen.volumes.len() == 1).await?;
        let promise = "purging takes it";
        kept(promise, self.cluster.delete(target, Removal::Everything, 3)).await?;
        self.until(promise, target, |seen| seen.is_gone() && seen.volumes.is_empty()).await?;
        let promise = "nothing is left over";
        let left = kept(promise, self.cluster.leftovers(target)).await?;
        ensure(promise, left.is_empty(), || format!("{left:?}"))
    }

    async fn refuses_nonsense(&self) -> Result<(), Broken> {
        let refused = self.cluster.apply(&[json!({ "kind": "Service" })]).await;
        let right = matches!(refused, Err(ClusterError::Invalid { .. }));
        ensure("an object without a name is not valid", right, || format!("{refused:?}"))
    }

    async fn ready(&self, promise: &'static str, target: &Target, generation: u32) -> Result<(), Broken> {
        let judged = |seen: &Observed| {
            progress::judge(seen, generation, self.clock.now(), Patience::default()) == Progress::Ready
        };
        self.until(promise, target, |seen| seen.generation() == generation && judged(seen)).await
    }

    async fn until(
        &self,
        promise: &'static str,
        target: &Target,
        holds: impl Fn(&Observed) -> bool + Send + Sync,
    ) -> Result<(), Broken> {
        let waiting = async {
            loop {
                let observed = kept(promise, self.cluster.observe(target)).await?;
                if holds(&observed) {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        if let Ok(done) = tokio::time::timeout(self.patience, waiting).await {
            return done;
        }
        let observed = kept(promise, self.cluster.observe(target)).await?;
        Err(Broken::Promise { promise, detail: format!("not within {:?}: {observed:?}", self.patience) })
    }
}

async fn kept<T>(promise: &'static str, call: impl Future<Output = Result<T, ClusterError>>) -> Result<T, Broken> {
    call.await.map_err(|source| Broken::Cluster { promise, source })
}

fn ensure(promise: &'static str, holds: bool, detail: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken::Promise { promise, detail: detail() }) }
}
