//! A crowd of instances asked for at once, on a real API server: what it costs until all are ready, and once all are.
//!
//! The anchor is what the cluster itself takes: the same objects as plain requests. Each side has a control plane of its
//! own, made for it, so that neither works among what the other left. Its kubelet is played: no container starts.

mod anchor;
mod table;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use minispod_domain::{
    AnyCommand, CommandRequest, InstanceCommand,
    ports::{Performed, Reactor},
};
use minispod_events::InstanceSpec;
use minispod_kernel::SystemIds;
use minispod_provisioner::{Cluster, ProvisionerReactor, ReactorSettings, Unheard};
use minispod_runtime::reactors::CONCURRENCY;
use minispod_testkit::{eventually, kubernetes::ControlPlane, missing};
use tokio::sync::Semaphore;

use crate::{
    BenchError, Size,
    ground::{Bench, CROWD_DEADLINE, CUSTOMERS, INSTANCES, INVENTORY, REQUESTS_EACH, effect_of},
};

const ROUNDS: usize = 3;
/// What an instance may cost in requests with nothing to change: its objects once more, and two looks.
const IDLE_EACH: u64 = 40;
/// A control plane that was let go is gone by then.
const GONE: Duration = Duration::from_secs(20);

/// How many are asked for at once.
#[derive(Clone, Copy)]
struct Crowd {
    customers: usize,
    instances: usize,
}

impl Crowd {
    /// A fourth of it where it should be quick.
    const fn of(size: Size) -> Self {
        let part = match size {
            Size::Quick => 4,
            Size::Full => 1,
        };
        Self { customers: CUSTOMERS / part, instances: INSTANCES / part }
    }
}

/// What something done to the whole crowd took.
struct Pass {
    seconds: f64,
    requests: u64,
    instances: usize,
    /// Seconds from the common beginning until it was done for an instance, for each of them.
    each: Vec<f64>,
}

impl Pass {
    fn of(begun: Instant, requests: u64, each: Vec<f64>) -> Self {
        Self { seconds: begun.elapsed().as_secs_f64(), requests, instances: each.len(), each }
    }

    fn a_minute(&self) -> f64 {
        self.instances as f64 * 60.0 / self.seconds
    }

    fn requests_each(&self) -> f64 {
        self.requests as f64 / self.instances as f64
    }
}

/// One side of a round.
struct Side {
    first: Pass,
    /// When there is nothing to change any more.
    second: Pass,
}

/// A round: both sides, and what counting everything costs us.
struct Round {
    ours: Side,
    bare: Side,
    inventory: u64,
}

/// Runs the rounds, prints the table, and fails when an instance costs more requests than it may.
pub async fn run(size: Size) -> Result<(), BenchError> {
    if let Some(reason) = missing("k8s") {
        return Err(BenchError::NoKubernetes(reason));
    }
    let crowd = Crowd::of(size);
    table::open(crowd, ROUNDS);
    let mut rounds = Vec::new();
    for number in 0..ROUNDS {
        // Neither side always comes first.
        let earlier = if number % 2 == 1 { Some(bare_side(crowd).await?) } else { None };
        let (ours, inventory) = our_side(crowd).await?;
        let bare = match earlier {
            Some(bare) => bare,
            None => bare_side(crowd).await?,
        };
        rounds.push(Round { ours, bare, inventory });
    }
    table::print(&rounds);
    rounds.iter().try_for_each(bounded)
}

/// The same bounds as the provisioner's test has.
fn bounded(round: &Round) -> Result<(), BenchError> {
    let each = |pass: &Pass| pass.requests.div_ceil(pass.instances as u64);
    for (what, found, bound) in [
        ("to make one instance", each(&round.ours.first), REQUESTS_EACH),
        ("for one instance with nothing to change", each(&round.ours.second), IDLE_EACH),
        ("for an inventory of everything", round.inventory, INVENTORY),
    ] {
        if found > bound {
            return Err(BenchError::TooManyRequests { what, found, bound });
        }
    }
    Ok(())
}

/// A control plane of one side.
struct Ground {
    bench: Bench,
    plane: ControlPlane,
}

impl Ground {
    async fn lay() -> Result<Self, BenchError> {
        let plane = ControlPlane::start().await;
        if plane.started_in().is_zero() {
            return Err(BenchError::NotOwnCluster);
        }
        Ok(Self { bench: Bench::over(&plane).await, plane })
    }

    /// Ends it, so that it is not measured with the next.
    async fn leave(self) {
        let trace: PathBuf = self.plane.kubeconfig().to_path_buf();
        drop(self);
        if !eventually(GONE, || async { !trace.exists() }).await {
            eprintln!("a control plane has not ended within {GONE:?}");
        }
    }
}

/// The provisioner, with its own settings.
async fn our_side(crowd: Crowd) -> Result<(Side, u64), BenchError> {
    let mut ground = Ground::lay().await?;
    // Node and controllers are awake when one runs.
    let one = ground.bench.crowd(1, 1);
    reconcile(&ground.bench, &one).await?;
    let specs = ground.bench.crowd(crowd.customers, crowd.instances);
    let first = reconcile(&ground.bench, &specs).await?;
    // A reactor that remembers nothing, as after a restart.
    let second = reconcile(&ground.bench, &specs).await?;
    let before = ground.bench.cluster.requests();
    ground.bench.cluster.inventory().await.map_err(part)?;
    let inventory = ground.bench.cluster.requests() - before;
    ground.leave().await;
    Ok((Side { first, second }, inventory))
}

/// The cluster alone.
async fn bare_side(crowd: Crowd) -> Result<Side, BenchError> {
    let mut ground = Ground::lay().await?;
    let one = ground.bench.crowd(1, 1);
    anchor::make(&ground.bench, &one).await?;
    let specs = ground.bench.crowd(crowd.customers, crowd.instances);
    let first = anchor::make(&ground.bench, &specs).await?;
    let second = anchor::look(&ground.bench, &specs).await?;
    ground.leave().await;
    Ok(Side { first, second })
}

/// Asks a new reactor for all at once and carries out as the runtime does: so many beside each other, the longest due
/// first, and what waits for the cluster holds no place.
async fn reconcile(bench: &Bench, specs: &[InstanceSpec]) -> Result<Pass, BenchError> {
    let ids = Arc::new(SystemIds::new(bench.clock.clone()));
    let (records, settings) = (Arc::new(BTreeMap::new()), ReactorSettings::new(bench.options.clone()));
    let (cluster, vault, clock) = (bench.cluster.clone(), bench.vault.clone(), bench.clock.clone());
    let reactor = ProvisionerReactor::new(cluster, vault, Arc::new(Unheard), records, clock, ids, settings);
    let places = Semaphore::new(CONCURRENCY);
    let (begun, before) = (Instant::now(), bench.cluster.requests());
    let all = specs.iter().map(|spec| until_ready(bench, &reactor, &places, spec, begun));
    let each = try_join_all(all).await?;
    Ok(Pass::of(begun, bench.cluster.requests() - before, each))
}

/// Seconds since `begun` when the instance is reported ready.
async fn until_ready(
    bench: &Bench,
    reactor: &ProvisionerReactor,
    places: &Semaphore,
    spec: &InstanceSpec,
    begun: Instant,
) -> Result<f64, BenchError> {
    let now = bench.clock.now();
    let event = bench.provision_within(CROWD_DEADLINE, spec);
    let effect = effect_of(reactor, &spec.instance_id, event, now);
    loop {
        let place = places.acquire().await.map_err(part)?;
        let Performed { commands, again_at } = reactor.perform(&effect).await.map_err(part)?;
        drop(place);
        match again_at {
            Some(at) => {
                let pause = at.unix_millis() - bench.clock.now().unix_millis();
                tokio::time::sleep(Duration::from_millis(pause.try_into().unwrap_or_default())).await;
            }
            None if commands.iter().any(is_ready) => return Ok(begun.elapsed().as_secs_f64()),
            None => return Err(BenchError::NotReady(format!("{:?}", commands.last()))),
        }
    }
}

fn is_ready(request: &CommandRequest) -> bool {
    matches!(request.command, AnyCommand::Instance(InstanceCommand::RecordReady { .. }))
}

fn part(error: impl std::error::Error + Send + Sync + 'static) -> BenchError {
    BenchError::Part(Box::new(error))
}
