//! The watch over what already runs: says when an instance falls ill and when it is well again.

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use metrics::gauge;
use minispod_domain::{AnyCommand, CommandRequest, InstanceCommand};
use minispod_kernel::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Cluster, ClusterError, Observed, Target},
    progress::{self, Patience, Progress},
};

/// Where reports go: the command bus. A refusal counts as delivered; the instance knows better.
#[async_trait]
pub trait ReportSink: Send + Sync {
    async fn report(&self, request: CommandRequest) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// How closely to watch.
#[derive(Debug, Clone, Copy)]
pub struct WatchSettings {
    /// Longest time between two looks; changes are looked at earlier.
    pub every: Duration,
    /// Shortest time between two looks, however much changes.
    pub pause: Duration,
    /// An instance may be away this long (a moved pod, a restart) before it counts as ill.
    pub tolerance: Duration,
    pub patience: Patience,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(30),
            pause: Duration::from_secs(1),
            tolerance: Duration::from_mins(2),
            patience: Patience::default(),
        }
    }
}

/// Looks at all instances and reports changes of health. Several may run: reports have derived keys.
pub struct HealthWatch {
    cluster: Arc<dyn Cluster>,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn ReportSink>,
    settings: WatchSettings,
    known: BTreeMap<Target, Health>,
}

/// What was last seen and said of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Health {
    generation: u32,
    /// Since when it has not been ready.
    ill_since: Option<Timestamp>,
    said: Said,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Well,
    Ill,
}

impl HealthWatch {
    /// Over a cluster.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn ReportSink>,
        settings: WatchSettings,
    ) -> Self {
        Self { cluster, clock, sink, settings, known: BTreeMap::new() }
    }

    /// Until `shutdown`. An unreachable cluster is waited for; it makes no instance ill.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let settings = self.settings;
            let round = async {
                match self.look().await {
                    Ok(mark) => {
                        tokio::time::sleep(settings.pause).await;
                        // A watch that breaks only means looking earlier or later.
                        if self.cluster.changed(&mark, settings.every).await.is_err() {
                            tokio::time::sleep(settings.every).await;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn Error, "the instances cannot be looked at");
                        tokio::time::sleep(settings.every).await;
                    }
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = round => {}
            }
        }
    }

    /// One look; returns the mark to wait from.
    pub async fn look(&mut self) -> Result<String, ClusterError> {
        let survey = self.cluster.survey().await?;
        let now = self.clock.now();
        let mut well = 0_u32;
        let mut known = BTreeMap::new();
        let running = |seen: &Observed| seen.workloads.iter().any(|workload| workload.wanted > 0);
        let total = survey.instances.len();
        for (target, seen) in survey.instances.into_iter().filter(|(_, seen)| running(seen)) {
            let before = self.known.remove(&target);
            let (health, report) = self.judge(&target, &seen, before, now);
            well += u32::from(health.ill_since.is_none());
            let said = match report {
                Some(request) => match self.sink.report(request).await {
                    Ok(()) => health.said,
                    Err(error) => {
                        tracing::warn!(error = error.as_ref() as &dyn Error, "a report of health is tried again later");
                        Said::Nothing
                    }
                },
                None => health.said,
            };
            known.insert(target, Health { said, ..health });
        }
        gauge!("minispod_cluster_instances", "state" => "well").set(f64::from(well));
        gauge!("minispod_cluster_instances", "state" => "ill").set((known.len() as f64) - f64::from(well));
        gauge!("minispod_cluster_instances", "state" => "stopped").set((total - known.len()) as f64);
        self.known = known;
        Ok(survey.mark)
    }

    fn judge(
        &self,
        target: &Target,
        seen: &Observed,
        before: Option<Health>,
        now: Timestamp,
    ) -> (Health, Option<CommandRequest>) {
        let generation = seen.generation();
        let mut health = before.filter(|health| health.generation == generation).unwrap_or(Health {
            generation,
            ill_since: None,
            said: Said::Nothing,
        });
        let words = match progress::judge(seen, generation, now, self.settings.patience) {
            Progress::Ready => {
                let since = health.ill_since.take();
                let report = (health.said != Said::Well).then(|| well(target, seen, generation, since.unwrap_or(now)));
                health.said = Said::Well;
                return (health, report);
            }
            Progress::Waiting(words) | Progress::Failed(words) => words,
        };
        let since = *health.ill_since.get_or_insert(now);
        if health.said == Said::Ill || now < since.plus(self.settings.tolerance) {
            return (health, None);
        }
        health.said = Said::Ill;
        let command = InstanceCommand::RecordUnhealthy { generation, detail: words };
        (health, Some(request(target, generation, "ill", since, command)))
    }
}

/// Said once after each start of the watch too: somebody may have said it was ill and then ended.
fn well(target: &Target, seen: &Observed, generation: u32, since: Timestamp) -> CommandRequest {
    let address = seen.workloads.iter().map(|workload| workload.address.as_str()).max().unwrap_or_default();
    let command = InstanceCommand::RecordReady { generation, external_url: address.to_owned() };
    request(target, generation, "well", since, command)
}

/// The key follows from what was seen, so two watchers say it once.
fn request(target: &Target, generation: u32, what: &str, since: Timestamp, command: InstanceCommand) -> CommandRequest {
    CommandRequest {
        key: format!("watch.{}.{generation}.{}.{what}", target.instance_id, since.unix_millis()),
        aggregate_id: target.instance_id.clone(),
        command: AnyCommand::Instance(command),
        on_refusal: None,
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Mutex};

    use minispod_kernel::ManualClock;
    use serde_json::Value;

    use super::*;
    use crate::cluster::{
        Age, Applied, Drift, InstanceUsage, Inventory, Leftover, Made, Removal, Survey, VolumeClass, Workload,
    };

    /// A cluster with one instance of these workloads.
    struct One(Mutex<Vec<Workload>>);

    #[async_trait]
    impl Cluster for One {
        fn kind(&self) -> &'static str {
            "one"
        }
        async fn apply(&self, _: &[Value]) -> Result<Applied, ClusterError> {
            Ok(Applied::default())
        }
        async fn apply_upto(&self, _: &[Value], _: Age, _: &mut Vec<Made>) -> Result<Applied, ClusterError> {
            Ok(Applied::default())
        }
        async fn unmake(&self, _: &[Made], _: Age) -> Result<(), ClusterError> {
            Ok(())
        }
        async fn service_address(&self, _: &str, _: &str) -> Result<Option<IpAddr>, ClusterError> {
            Ok(None)
        }
        async fn storage_class(&self, _: &str) -> Result<Option<VolumeClass>, ClusterError> {
            Ok(None)
        }
        async fn observe(&self, _: &Target) -> Result<Observed, ClusterError> {
            Ok(Observed::default())
        }
        async fn scale(&self, _: &Target, _: u32, _: u32) -> Result<(), ClusterError> {
            Ok(())
        }
        async fn delete(&self, _: &Target, _: Removal, _: u32) -> Result<(), ClusterError> {
            Ok(())
        }
        async fn leftovers(&self, _: &Target) -> Result<Vec<Leftover>, ClusterError> {
            Ok(Vec::new())
        }
        async fn compare(&self, _: &[Value]) -> Result<Vec<Drift>, ClusterError> {
            Ok(Vec::new())
        }
        async fn usage(&self) -> Result<Vec<InstanceUsage>, ClusterError> {
            Ok(Vec::new())
        }
        async fn inventory(&self) -> Result<Inventory, ClusterError> {
            Ok(Inventory::default())
        }
        async fn survey(&self) -> Result<Survey, ClusterError> {
            let target = Target { namespace: "n".into(), instance_id: "i".into() };
            let workloads = self.0.lock().expect("not poisoned").clone();
            let observed = Observed { workloads, ..Observed::default() };
            Ok(Survey { instances: vec![(target, observed)], mark: "1".into() })
        }
        async fn changed(&self, _: &str, _: Duration) -> Result<bool, ClusterError> {
            Ok(true)
        }
    }

    fn workload(component: &str, generation: u32, ready: bool) -> Workload {
        Workload {
            component: component.into(),
            generation,
            address: "https://a".into(),
            observed: true,
            wanted: 1,
            updated: 1,
            total: 1,
            ready: u32::from(ready),
            ..Workload::default()
        }
    }

    /// Takes reports, or fails to.
    #[derive(Default)]
    struct Notes {
        taken: Mutex<Vec<InstanceCommand>>,
        broken: Mutex<bool>,
    }

    #[async_trait]
    impl ReportSink for Notes {
        async fn report(&self, request: CommandRequest) -> Result<(), Box<dyn Error + Send + Sync>> {
            if *self.broken.lock().expect("not poisoned") {
                return Err("the database is away".into());
            }
            if let AnyCommand::Instance(command) = request.command {
                self.taken.lock().expect("not poisoned").push(command);
            }
            Ok(())
        }
    }

    struct Bench {
        cluster: Arc<One>,
        clock: Arc<ManualClock>,
        notes: Arc<Notes>,
        watch: HealthWatch,
    }

    impl Bench {
        fn new(ready: bool) -> Self {
            let cluster = Arc::new(One(Mutex::new(vec![workload("app", 1, ready)])));
            let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_000_000)));
            let notes = Arc::new(Notes::default());
            let watch = HealthWatch::new(cluster.clone(), clock.clone(), notes.clone(), WatchSettings::default());
            Self { cluster, clock, notes, watch }
        }

        /// Sets the instance, lets time pass, looks; gives what was said.
        async fn see(&mut self, generation: u32, ready: bool, seconds: u64) -> Vec<InstanceCommand> {
            self.see_all(vec![workload("app", generation, ready)], seconds).await
        }

        async fn see_all(&mut self, workloads: Vec<Workload>, seconds: u64) -> Vec<InstanceCommand> {
            *self.cluster.0.lock().expect("not poisoned") = workloads;
            self.clock.advance(Duration::from_secs(seconds));
            self.watch.look().await.expect("looked");
            std::mem::take(&mut *self.notes.taken.lock().expect("not poisoned"))
        }
    }

    fn well(generation: u32) -> InstanceCommand {
        InstanceCommand::RecordReady { generation, external_url: "https://a".into() }
    }

    #[tokio::test]
    async fn an_illness_is_told_once_after_the_tolerance_and_its_end_once() {
        let mut bench = Bench::new(true);
        assert_eq!(bench.see(1, true, 0).await, [well(1)]);
        assert_eq!(bench.see(1, true, 1).await, []);
        assert_eq!(bench.see(1, false, 1).await, []);
        assert_eq!(bench.see(1, false, 119).await, []);
        let told = bench.see(1, false, 1).await;
        assert!(matches!(told.as_slice(), [InstanceCommand::RecordUnhealthy { generation: 1, .. }]), "{told:?}");
        assert_eq!(bench.see(1, false, 500).await, []);
        assert_eq!(bench.see(1, true, 1).await, [well(1)]);
    }

    #[tokio::test]
    async fn a_short_absence_is_no_illness() {
        let mut bench = Bench::new(true);
        bench.see(1, true, 0).await;
        bench.see(1, false, 1).await;
        assert_eq!(bench.see(1, true, 60).await, []);
        assert_eq!(bench.see(1, false, 60).await, [], "the tolerance begins anew");
    }

    #[tokio::test]
    async fn a_new_generation_begins_with_a_clean_sheet() {
        let mut bench = Bench::new(true);
        bench.see(1, true, 0).await;
        bench.see(1, false, 1).await;
        assert_eq!(bench.see(2, false, 500).await, []);
        assert_eq!(bench.see(2, true, 1).await, [well(2)]);
    }

    #[tokio::test]
    async fn a_running_companion_alone_is_not_the_service() {
        let mut bench = Bench::new(false);
        let (database, app) = (workload("database", 1, true), workload("app", 1, true));
        assert_eq!(bench.see_all(vec![database.clone()], 1).await, []);
        let program = Workload { companions: vec!["database".into()], ..app };
        assert_eq!(bench.see_all(vec![program.clone()], 1).await, []);
        assert_eq!(bench.see_all(vec![database.clone(), program.clone()], 1).await, [well(1)]);
        // A restart has reached the database and not the program.
        let newer = Workload { generation: 2, ..database };
        assert_eq!(bench.see_all(vec![newer.clone(), program.clone()], 1).await, []);
        let program = Workload { generation: 2, ..program };
        assert_eq!(bench.see_all(vec![newer, program], 1).await, [well(2)]);
    }

    #[tokio::test]
    async fn a_report_that_was_not_taken_is_made_again() {
        let mut bench = Bench::new(true);
        *bench.notes.broken.lock().expect("not poisoned") = true;
        assert_eq!(bench.see(1, true, 0).await, []);
        *bench.notes.broken.lock().expect("not poisoned") = false;
        assert_eq!(bench.see(1, true, 1).await, [well(1)]);
    }
}
