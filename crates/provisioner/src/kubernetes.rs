//! A real cluster through the Kubernetes API.

mod apply;
mod belongings;
mod compare;
mod drain;
mod failures;
mod fleet;
mod following;
mod listing;
mod look;
mod measures;
mod nodes;
mod places;
mod removal;
mod scaling;

use std::{
    future::Future,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt, pin_mut};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod, Secret, Service},
    networking::v1::{Ingress, NetworkPolicy},
    storage::v1::StorageClass,
};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::WatchParams,
    config::{KubeConfigOptions, Kubeconfig},
    core::NamespaceResourceScope,
};
use metrics::counter;
use minispod_kernel::Timestamp;
use serde_json::Value;

use crate::{
    cluster::{
        Age, Applied, Cluster, ClusterError, Drift, InstanceUsage, Inventory, Leftover, Made, Observed, Removal,
        Survey, Target, VolumeClass,
    },
    names,
};

/// How to reach the cluster.
#[derive(Debug, Clone)]
pub struct KubeConnection {
    /// A kubeconfig file; absent: the pod's own service account. A default context is never guessed.
    pub kubeconfig: Option<PathBuf>,
    /// One of the file's contexts; absent: its current one.
    pub context: Option<String>,
    /// Longest wait for one answer.
    pub deadline: Duration,
}

impl KubeConnection {
    /// The pod's own service account, or the given file.
    pub fn new(kubeconfig: Option<PathBuf>) -> Self {
        Self { kubeconfig, context: None, deadline: Duration::from_secs(10) }
    }
}

/// The configuration that leads to a cluster is not usable.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the kubeconfig cannot be used")]
    Kubeconfig {
        #[source]
        source: kube::config::KubeconfigError,
    },
    #[error("this process does not run inside a cluster, and no kubeconfig is given")]
    InCluster {
        #[source]
        source: kube::config::InClusterError,
    },
    #[error("no client can be made of the configuration")]
    Client {
        #[source]
        source: Box<kube::Error>,
    },
}

/// Tries within one call; longer outages are the caller's to wait for.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(150);
/// A quota just written is not counted yet; the controller needs a moment.
const QUOTA_TRIES: u32 = 40;
const QUOTA_PAUSE: Duration = Duration::from_millis(250);

/// Looks at an object that others write to, before whoever changes it is asked to come again.
const STALE_TRIES: u32 = 5;
const STALE_PAUSE: Duration = Duration::from_millis(50);

/// The cluster. Connects when used and again after every outage.
#[derive(Clone)]
pub struct KubeCluster {
    client: Client,
    deadline: Duration,
    requests: Arc<AtomicU64>,
}

impl KubeCluster {
    /// Reads the configuration; does not call the cluster yet.
    pub async fn connect(connection: &KubeConnection) -> Result<Self, ConnectError> {
        let mut config = match &connection.kubeconfig {
            Some(path) => {
                let wrong = |source| ConnectError::Kubeconfig { source };
                let file = Kubeconfig::read_from(path).map_err(wrong)?;
                let options = KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
                Config::from_custom_kubeconfig(file, &options).await.map_err(wrong)?
            }
            None => Config::incluster().map_err(|source| ConnectError::InCluster { source })?,
        };
        config.connect_timeout = Some(connection.deadline);
        // We try again ourselves: a disruption budget's no must come through and not be waited away for ten seconds each.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|source| ConnectError::Client { source: Box::new(source) })?;
        Ok(Self::of_client(client, connection.deadline))
    }

    /// Over an existing client.
    pub fn of_client(client: Client, deadline: Duration) -> Self {
        Self { client, deadline, requests: Arc::default() }
    }

    /// Requests made so far, tries included; all copies of this value count together.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// One call with its deadline, tried again while the failure passes.
    async fn call<T, F, Fut>(&self, what: &str, call: F) -> Result<T, ClusterError>
    where
        F: Fn() -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, kube::Error>> + Send,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            self.requests.fetch_add(1, Ordering::Relaxed);
            counter!("minispod_cluster_requests_total").increment(1);
            let (error, quota_is_new) = match tokio::time::timeout(self.deadline, call()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(source)) => (failures::classify(what, &source), failures::quota_is_new(&source)),
                Err(source) => {
                    let source = Some(source.into());
                    (ClusterError::Unreachable { what: what.to_owned(), source }, false)
                }
            };
            let (most, pause) =
                if quota_is_new { (QUOTA_TRIES, QUOTA_PAUSE) } else { (TRIES, FIRST_PAUSE * 3_u32.pow(tries.min(4))) };
            if !matches!(error, ClusterError::Unreachable { .. }) || tries >= most {
                counter!("minispod_cluster_failures_total", "kind" => error.kind()).increment(1);
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// How many of the objects that are neither workload, pod nor volume are left.
    async fn others(&self, target: &Target) -> Result<usize, ClusterError> {
        Ok(self.list::<Ingress>(target).await?.len()
            + self.list::<Service>(target).await?.len()
            + self.list::<Secret>(target).await?.len()
            + self.list::<NetworkPolicy>(target).await?.len())
    }
}

#[async_trait]
impl Cluster for KubeCluster {
    fn kind(&self) -> &'static str {
        "kubernetes"
    }

    async fn apply(&self, objects: &[Value]) -> Result<Applied, ClusterError> {
        let mut applied = Applied::default();
        for object in objects {
            applied.repaired.extend(self.apply_one(object).await?);
            applied.objects += 1;
            counter!("minispod_cluster_objects_applied_total").increment(1);
        }
        Ok(applied)
    }

    async fn apply_upto(&self, objects: &[Value], upto: Age, made: &mut Vec<Made>) -> Result<Applied, ClusterError> {
        let mut applied = Applied::default();
        for object in objects {
            let Some(repaired) = self.apply_one_upto(object, upto, made).await? else {
                applied.overtaken = true;
                break;
            };
            applied.repaired.extend(repaired);
            applied.objects += 1;
            counter!("minispod_cluster_objects_applied_total").increment(1);
        }
        Ok(applied)
    }

    async fn unmake(&self, made: &[Made], upto: Age) -> Result<(), ClusterError> {
        // What was made last, the program, goes first; what cannot be taken back keeps nothing else from going.
        let mut outcome = Ok(());
        for one in made.iter().rev() {
            outcome = outcome.and(self.unmake_one(one, upto).await);
        }
        outcome
    }

    async fn service_address(&self, namespace: &str, service: &str) -> Result<Option<IpAddr>, ClusterError> {
        let api = self.api::<Service>(namespace);
        let live = self.call(&format!("look at the Service {namespace}/{service}"), || api.get_opt(service)).await?;
        let address = live.and_then(|live| live.spec?.cluster_ip);
        Ok(address.and_then(|address| address.parse().ok()))
    }

    async fn storage_class(&self, name: &str) -> Result<Option<VolumeClass>, ClusterError> {
        let api: Api<StorageClass> = Api::all(self.client.clone());
        let live = self.call(&format!("look at the StorageClass {name}"), || api.get_opt(name)).await?;
        Ok(live.map(|live| VolumeClass {
            // The cluster's own default.
            deletes: live.reclaim_policy.is_none_or(|policy| policy == "Delete"),
            grows: live.allow_volume_expansion.unwrap_or_default(),
        }))
    }

    async fn observe(&self, target: &Target) -> Result<Observed, ClusterError> {
        let workloads: Vec<Deployment> = self.list(target).await?;
        let pods: Vec<Pod> = self.list(target).await?;
        let volumes: Vec<PersistentVolumeClaim> = self.list(target).await?;
        // Only whoever waits for the end needs the rest.
        let others = if workloads.is_empty() && pods.is_empty() { self.others(target).await? } else { 0 };
        Ok(Observed {
            workloads: workloads.iter().map(look::workload).collect(),
            pods: pods.iter().map(look::pod).collect(),
            volumes: volumes.iter().map(ResourceExt::name_any).collect(),
            others,
        })
    }

    async fn scale(&self, target: &Target, replicas: u32, generation: u32) -> Result<(), ClusterError> {
        self.scale_all(target, replicas, generation).await
    }

    async fn delete(&self, target: &Target, removal: Removal, upto: u32) -> Result<(), ClusterError> {
        self.remove_all(target, removal, upto).await
    }

    async fn leftovers(&self, target: &Target) -> Result<Vec<Leftover>, ClusterError> {
        self.all_leftovers(target).await
    }

    async fn compare(&self, objects: &[Value]) -> Result<Vec<Drift>, ClusterError> {
        let mut drift = Vec::new();
        for object in objects {
            drift.extend(self.compare_one(object).await?);
        }
        Ok(drift)
    }

    async fn usage(&self) -> Result<Vec<InstanceUsage>, ClusterError> {
        self.measure_instances().await
    }

    async fn inventory(&self) -> Result<Inventory, ClusterError> {
        self.count_all().await
    }

    async fn survey(&self) -> Result<Survey, ClusterError> {
        let (workloads, mark) = self.everywhere::<Deployment>().await?;
        let (pods, _) = self.everywhere::<Pod>().await?;
        Ok(Survey { instances: look::gather(&workloads, &pods), mark })
    }

    async fn changed(&self, mark: &str, within: Duration) -> Result<bool, ClusterError> {
        let api: Api<Deployment> = Api::all(self.client.clone());
        let seconds = u32::try_from(within.as_secs()).unwrap_or(u32::MAX).clamp(1, 290);
        let params = WatchParams::default().labels(&ours()).timeout(seconds);
        let what = "watch the cluster";
        let stream = self.call(what, || api.watch(&params, mark)).await?;
        pin_mut!(stream);
        match tokio::time::timeout(within, stream.next()).await {
            // An expired mark comes as an error event: also a reason to look.
            Ok(Some(event)) => event.map(|_| true).map_err(|source| failures::classify(what, &source)),
            Ok(None) | Err(_) => Ok(false),
        }
    }
}

/// When an object was made.
fn instant(object: &impl ResourceExt) -> Timestamp {
    let made = object.creation_timestamp().map_or(0, |time| time.0.as_millisecond());
    Timestamp::from_unix_millis(made)
}

/// Selects everything of ours.
fn ours() -> String {
    format!("{}={}", names::MANAGED_BY, names::MANAGED_BY_US)
}

/// Selects everything of one instance.
fn of_instance(target: &Target) -> String {
    format!("{},{}={}", ours(), names::INSTANCE, target.instance_id)
}
