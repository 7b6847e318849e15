//! A cluster that only pretends: keeps the objects in memory, calls them ready after a while, never runs a container.
//!
//! Named `simulated` wherever an instance's facts or the installation's status are shown. It keeps the same contract
//! as the real one (`minispod_provisioner::contract`).

mod control;
mod fleet;
#[cfg(test)]
mod life;
mod objects;
mod sights;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::web::ServiceConfig;
use async_trait::async_trait;
use minispod_kernel::{Clock, Timestamp};
use minispod_provisioner::cluster::{
    Age, Applied, Cluster, ClusterError, Drift, InstanceUsage, Inventory, Leftover, Made, Observed, Removal, Survey,
    Target, VolumeClass,
};
use serde_json::Value;
use tokio::sync::watch;

use crate::server::{Served, StandInError, serve};
use objects::Objects;

/// How long an instance takes to become ready unless told otherwise.
pub const READY_AFTER: Duration = Duration::from_secs(2);

/// The pretended cluster. Shared by everyone who holds it; forgets when the process ends.
pub struct SimulatedCluster {
    clock: Arc<dyn Clock>,
    ready_after: Duration,
    objects: Mutex<Objects>,
    /// Counts changes, so that waiting ends at the next one.
    version: watch::Sender<u64>,
}

/// The control door of a simulated cluster.
#[derive(Debug)]
pub struct ClusterControl {
    /// `http://127.0.0.1:<port>`; see [`SimulatedCluster::control_routes`].
    pub url: String,
    served: Served,
}

impl ClusterControl {
    /// Answers no more.
    pub async fn shutdown(self) {
        self.served.stop().await;
    }
}

impl SimulatedCluster {
    /// An empty one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_delay(clock, READY_AFTER)
    }

    /// An empty one whose instances take `ready_after` to become ready.
    pub fn with_delay(clock: Arc<dyn Clock>, ready_after: Duration) -> Self {
        Self { clock, ready_after, objects: Mutex::default(), version: watch::Sender::new(1) }
    }

    /// The next `count` instances that are started anew fail for want of their image.
    pub fn fail_next(&self, count: u32) {
        self.objects().fail_next = count;
    }

    /// From now on nothing is answered (`true`) or all is as before.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.objects().unreachable = unreachable;
    }

    /// From now on every namespace is on its way out and takes nothing, held by `reason`; `None`: all is as before.
    pub fn set_ending(&self, reason: Option<&str>) {
        self.objects().ending = reason.map(str::to_owned);
    }

    /// The control paths for any HTTP server: `GET /standin/cluster`, `POST /standin/cluster/fail-next {"count": n}`,
    /// `PUT /standin/cluster/outage {"unreachable": bool}`.
    pub fn control_routes(self: &Arc<Self>) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
        let cluster = self.clone();
        move |config| control::routes(cluster.clone(), config)
    }

    /// Serves the control paths at `address` (loopback; port 0 takes a free one). Must be called inside a Tokio runtime.
    pub fn serve_control(self: &Arc<Self>, address: SocketAddr) -> Result<ClusterControl, StandInError> {
        let served = serve(address, "cluster", self.control_routes())?;
        Ok(ClusterControl { url: format!("http://{}", served.address), served })
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects, unless nobody answers.
    fn reach(&self, what: &str) -> Result<MutexGuard<'_, Objects>, ClusterError> {
        let objects = self.objects();
        if objects.unreachable {
            return Err(ClusterError::Unreachable { what: what.to_owned(), source: None });
        }
        Ok(objects)
    }

    /// The objects, where they may be written.
    fn reach_to_apply(&self) -> Result<MutexGuard<'_, Objects>, ClusterError> {
        let what = "apply objects";
        let objects = self.reach(what)?;
        if let Some(reason) = objects.ending.clone() {
            return Err(ClusterError::Ending { what: what.to_owned(), reason });
        }
        Ok(objects)
    }

    fn tell(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn ready_before(&self, now: Timestamp) -> Timestamp {
        now.minus(self.ready_after)
    }
}

#[async_trait]
impl Cluster for SimulatedCluster {
    fn kind(&self) -> &'static str {
        "simulated"
    }

    async fn apply(&self, objects: &[Value]) -> Result<Applied, ClusterError> {
        let now = self.clock.now();
        let mut kept = self.reach_to_apply()?;
        for object in objects {
            kept.apply(object, now)?;
        }
        drop(kept);
        self.tell();
        Ok(Applied { objects: objects.len(), ..Applied::default() })
    }

    async fn apply_upto(&self, objects: &[Value], upto: Age, made: &mut Vec<Made>) -> Result<Applied, ClusterError> {
        let now = self.clock.now();
        let mut kept = self.reach_to_apply()?;
        let mut applied = Applied::default();
        for object in objects {
            let new = kept.would_make(object)?;
            if !kept.apply_upto(object, upto, now)? {
                applied.overtaken = true;
                break;
            }
            made.extend(new);
            applied.objects += 1;
        }
        drop(kept);
        self.tell();
        Ok(applied)
    }

    async fn unmake(&self, made: &[Made], upto: Age) -> Result<(), ClusterError> {
        self.reach("take objects back")?.unmake(made, upto);
        self.tell();
        Ok(())
    }

    /// Nothing is reached here, so nothing has an address.
    async fn service_address(&self, _: &str, _: &str) -> Result<Option<IpAddr>, ClusterError> {
        self.reach("look for a Service").map(|_| None)
    }

    /// Whatever its name, it keeps nothing.
    async fn storage_class(&self, _: &str) -> Result<Option<VolumeClass>, ClusterError> {
        self.reach("look at a class of volumes").map(|_| Some(VolumeClass { deletes: true, grows: true }))
    }

    async fn observe(&self, target: &Target) -> Result<Observed, ClusterError> {
        let ready_before = self.ready_before(self.clock.now());
        Ok(self.reach("look at an instance")?.observe(target, ready_before))
    }

    async fn scale(&self, target: &Target, replicas: u32, generation: u32) -> Result<(), ClusterError> {
        let now = self.clock.now();
        self.reach("scale an instance")?.scale(target, replicas, generation, now);
        self.tell();
        Ok(())
    }

    async fn delete(&self, target: &Target, removal: Removal, upto: u32) -> Result<(), ClusterError> {
        self.reach("delete an instance")?.delete(target, removal, upto);
        self.tell();
        Ok(())
    }

    /// What is asked to go is gone at once.
    async fn leftovers(&self, _: &Target) -> Result<Vec<Leftover>, ClusterError> {
        self.reach("look for what does not go").map(|_| Vec::new())
    }

    async fn compare(&self, objects: &[Value]) -> Result<Vec<Drift>, ClusterError> {
        self.reach("compare objects")?.compare(objects)
    }

    /// Made up, and always the same: a tenth of the processors and half of the memory that the program asks for.
    async fn usage(&self) -> Result<Vec<InstanceUsage>, ClusterError> {
        Ok(self.reach("measure what instances use")?.usage())
    }

    async fn inventory(&self) -> Result<Inventory, ClusterError> {
        Ok(self.reach("take the inventory")?.inventory())
    }

    async fn survey(&self) -> Result<Survey, ClusterError> {
        let mark = self.version.borrow().to_string();
        let ready_before = self.ready_before(self.clock.now());
        Ok(Survey { instances: self.reach("survey the cluster")?.survey(ready_before), mark })
    }

    async fn changed(&self, mark: &str, within: Duration) -> Result<bool, ClusterError> {
        drop(self.reach("watch the cluster")?);
        let mark: u64 = mark.parse().unwrap_or(0);
        let mut version = self.version.subscribe();
        let newer = version.wait_for(|version| *version > mark);
        // Becoming ready is a matter of time here, not of a call.
        let step = within.min(self.ready_after.max(Duration::from_millis(10)));
        match tokio::time::timeout(step, newer).await {
            Ok(seen) => Ok(seen.is_ok()),
            Err(_) => Ok(step < within),
        }
    }
}

#[cfg(test)]
mod tests {
    use minispod_kernel::{ManualClock, SystemClock};
    use minispod_provisioner::{PlanOptions, contract::Walk};
    use serde_json::json;

    use super::*;

    fn target() -> Target {
        Target { namespace: "customer-a".into(), instance_id: "i".into() }
    }

    fn program(generation: u32) -> Vec<Value> {
        let labels = json!({ "minispod.dev/instance": "i", "app.kubernetes.io/managed-by": "minispod" });
        vec![
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "customer-a" } }),
            json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {
                    "name": "n8n-s", "namespace": "customer-a", "labels": labels,
                    "annotations": { "minispod.dev/generation": generation.to_string() },
                },
                "spec": {
                    "replicas": 1,
                    "selector": { "matchLabels": { "app.kubernetes.io/component": "app" } },
                },
            }),
        ]
    }

    #[tokio::test]
    async fn the_simulated_cluster_keeps_the_contract() {
        let cluster = SimulatedCluster::with_delay(Arc::new(SystemClock), Duration::from_millis(20));
        let options = PlanOptions::new("customer-", "localhost", "nginx", None);
        let walk = Walk {
            cluster: &cluster,
            clock: &SystemClock,
            options: &options,
            id: "c0contract000000000000000",
            storage_class: "local-path",
            patience: Duration::from_secs(5),
        };
        walk.run().await.expect("every promise is kept");
    }

    #[tokio::test]
    async fn an_instance_is_ready_after_the_delay_and_not_before() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_000)));
        let cluster = SimulatedCluster::with_delay(clock.clone(), Duration::from_secs(2));
        cluster.apply(&program(1)).await.expect("taken");
        let ready = async || cluster.observe(&target()).await.expect("seen").workloads[0].ready;
        assert_eq!(ready().await, 0);
        clock.advance(Duration::from_secs(2));
        assert_eq!(ready().await, 1);
    }

    #[tokio::test]
    async fn only_as_many_starts_fail_as_were_asked_for() {
        let cluster = SimulatedCluster::with_delay(Arc::new(SystemClock), Duration::ZERO);
        cluster.fail_next(1);
        let waiting = async || cluster.observe(&target()).await.expect("seen").pods[0].waiting.clone();
        cluster.apply(&program(1)).await.expect("taken");
        cluster.apply(&program(1)).await.expect("taken again");
        assert!(waiting().await.is_some(), "the same generation stays failed");
        cluster.apply(&program(2)).await.expect("taken");
        assert!(waiting().await.is_none());
    }

    #[tokio::test]
    async fn an_outage_is_a_passing_failure() {
        let cluster = SimulatedCluster::new(Arc::new(SystemClock));
        cluster.set_unreachable(true);
        assert!(cluster.apply(&program(1)).await.expect_err("refused").passes());
        cluster.set_unreachable(false);
        cluster.apply(&program(1)).await.expect("taken");
    }

    #[tokio::test]
    async fn the_control_door_makes_the_next_start_fail() {
        // Fails when another test did it already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = Arc::new(SimulatedCluster::with_delay(Arc::new(SystemClock), Duration::ZERO));
        let door = cluster.serve_control(SocketAddr::from(([127, 0, 0, 1], 0))).expect("it listens");
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().expect("a client");
        let url = format!("{}/standin/cluster/fail-next", door.url);
        let answer = client.post(&url).json(&json!({ "count": 1 })).send().await.expect("answered");
        assert!(answer.status().is_success());
        cluster.apply(&program(1)).await.expect("taken");
        let seen: Value = client
            .get(format!("{}/standin/cluster", door.url))
            .send()
            .await
            .expect("answered")
            .json()
            .await
            .expect("JSON");
        assert_eq!(seen["kind"], "simulated");
        assert_eq!(seen["fail_next"], 0);
        assert_eq!(seen["instances"][0]["ready"], false);
        door.shutdown().await;
    }
}
