//! From the accepted command to the read model that shows it: relay, JetStream, projector and the wait of the api.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use minispod_domain::{Wallet, WalletCommand};
use minispod_events::EntryCause;
use minispod_kernel::Rupiah;
use minispod_messaging::{Nats, NatsConfig, topology};
use minispod_runtime::{Visibility, hints::Hints, hints::NatsHints, projector, relay};
use minispod_store::Store;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{BenchError, Size, commands, servers::Servers, table::percentile};

const WALLETS: u64 = 200;
/// Time between two commands of the idle cell.
const PACE: Duration = Duration::from_millis(20);
const LOAD_TASKS: u64 = 8;

/// The pipeline in this process, over the bench's servers.
struct Pipeline {
    store: Store,
    hints: Arc<dyn Hints>,
    visibility: Visibility,
    stop: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
}

impl Pipeline {
    async fn start(servers: &Servers) -> Result<Self, BenchError> {
        let store = commands::connect(servers).await?;
        let nats = async |role: &str| Nats::connect(NatsConfig::without_user(servers.nats.url(), role)).await;
        let setup = nats("admin").await.map_err(|error| BenchError::Part(Box::new(error)))?;
        topology::apply(&setup, &topology::Overlay::new()).await.map_err(|error| BenchError::Part(Box::new(error)))?;
        let stop = CancellationToken::new();
        let mut tasks = tokio::task::JoinSet::new();
        let (relay_nats, relay_store, relay_stop) = (setup.clone(), store.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = relay::run(relay_store, relay_nats, relay::RelayConfig::default(), relay_stop).await {
                eprintln!("the relay stopped: {error}");
            }
        });
        let (projector_nats, projector_store, projector_stop) = (setup.clone(), store.clone(), stop.clone());
        tasks.spawn(async move {
            let all = minispod_projections::all();
            if let Err(error) = projector::run(projector_store, projector_nats, all, projector_stop).await {
                eprintln!("the projector stopped: {error}");
            }
        });
        let hints: Arc<dyn Hints> = Arc::new(NatsHints::start(setup.clone()));
        let visibility = Visibility::start(store.clone(), setup);
        Ok(Self { store, hints, visibility, stop, tasks })
    }

    /// One command; seconds from its acceptance until the read model shows it.
    async fn once(&self, command: WalletCommand, wallet: u64) -> Result<f64, BenchError> {
        let id = format!("w{wallet}");
        let outcome = self
            .store
            .bus()
            .execute::<Wallet>(&id, command, commands::context())
            .await
            .map_err(|error| BenchError::Part(error.to_string().into()))?;
        let accepted = Instant::now();
        self.hints.appended();
        if !self.visibility.wait(&["billing"], outcome.ins_seq).await {
            return Err(BenchError::NeverVisible);
        }
        Ok(accepted.elapsed().as_secs_f64())
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

fn credit(number: u64) -> WalletCommand {
    WalletCommand::Credit {
        amount: Rupiah::new(1_000),
        cause: EntryCause::TopUp { topup_id: format!("t{number}"), order_id: format!("TU-bench-{number}.1") },
    }
}

/// Idle (one command every 20 ms) and under the load of eight busy tasks.
pub async fn run(servers: &Servers, size: Size) -> Result<(), BenchError> {
    let pipeline = Arc::new(Pipeline::start(servers).await?);
    // The first waits pay for making the read models.
    for wallet in 0..WALLETS {
        while let Err(error) = pipeline.once(WalletCommand::Open, wallet).await {
            if !matches!(error, BenchError::NeverVisible) {
                return Err(error);
            }
        }
    }
    let samples = match size {
        Size::Quick => 250,
        Size::Full => 1_000,
    };
    let numbers = Arc::new(AtomicU64::new(0));
    println!("\nlag: from the accepted command until the read model shows it, milliseconds");
    println!("{:<34} {:>8} {:>8} {:>8} {:>8}", "cell", "samples", "p50", "p99", "most");
    let idle = measure(&pipeline, &numbers, samples).await?;
    row("idle, a command every 20 ms", &idle, None);
    let over = Arc::new(AtomicBool::new(false));
    let load = busy(&pipeline, &numbers, &over);
    let loaded = measure(&pipeline, &numbers, samples).await;
    over.store(true, Ordering::Relaxed);
    let rate = load.await;
    row("eight busy tasks beside it", &loaded?, Some(rate));
    if let Some(pipeline) = Arc::into_inner(pipeline) {
        pipeline.stop().await;
    }
    Ok(())
}

async fn measure(pipeline: &Pipeline, numbers: &AtomicU64, samples: usize) -> Result<Vec<f64>, BenchError> {
    let mut figures = Vec::with_capacity(samples);
    let mut pace = tokio::time::interval(PACE);
    for _ in 0..samples {
        pace.tick().await;
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        figures.push(pipeline.once(credit(number), number % WALLETS).await? * 1_000.0);
    }
    Ok(figures)
}

/// Eight tasks that credit wallets as fast as they are answered; commands a second.
fn busy(
    pipeline: &Arc<Pipeline>,
    numbers: &Arc<AtomicU64>,
    over: &Arc<AtomicBool>,
) -> impl Future<Output = f64> + use<> {
    let started = Instant::now();
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..LOAD_TASKS {
        let (pipeline, numbers, over, done) = (pipeline.clone(), numbers.clone(), over.clone(), done.clone());
        tasks.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                let id = format!("w{}", number % WALLETS);
                let sent = pipeline.store.bus().execute::<Wallet>(&id, credit(number), commands::context()).await;
                if sent.is_ok() {
                    pipeline.hints.appended();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    async move {
        while tasks.join_next().await.is_some() {}
        done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
    }
}

fn row(name: &str, figures: &[f64], rate: Option<f64>) {
    let (p50, p99) = (percentile(figures, 0.50), percentile(figures, 0.99));
    let most = percentile(figures, 1.0);
    let load = rate.map_or(String::new(), |rate| format!("   ({rate:.0} commands/s)"));
    println!("{name:<34} {:>8} {p50:>8.2} {p99:>8.2} {most:>8.2}{load}", figures.len());
    println!(
        "{}",
        json!({"suite": "lag", "cell": name, "p50_ms": p50, "p99_ms": p99, "most_ms": most, "load_per_second": rate})
    );
}
