//! Benchmarks: ours and its anchors in the same round, ratios with least and most, lost events fail the run, and so do too
//! many requests.

mod account;
mod anchors;
mod commands;
mod compute;
#[path = "../../provisioner/tests/kubernetes/bench.rs"]
#[allow(dead_code, reason = "the provisioner's tests use the rest of it")]
mod ground;
mod lag;
mod load;
mod servers;
mod table;

use std::{error::Error, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};

/// Measures commands a second, the lag until they can be read and what instances cost, paired with anchors in one run.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure
    #[arg(value_enum, default_values_t = [Suite::Commands, Suite::Lag])]
    suites: Vec<Suite>,
    /// Fewer and shorter rounds, and a smaller crowd (about two minutes each)
    #[arg(long)]
    quick: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Commands a second
    Commands,
    /// From the accepted command until the read model shows it
    Lag,
    /// 200 instances of 50 customers asked for at once, on a Kubernetes API server of its own with a played kubelet
    Compute,
}

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub enum Size {
    Quick,
    Full,
}

impl Size {
    const fn rounds(self) -> usize {
        match self {
            Self::Quick => 3,
            Self::Full => 5,
        }
    }
    const fn length(self) -> Duration {
        match self {
            Self::Quick => Duration::from_secs(2),
            Self::Full => Duration::from_secs(3),
        }
    }
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("a server did not start")]
    Server(#[source] minispod_localservers::ServerError),
    #[error("the store failed")]
    Store(#[source] minispod_store::StoreError),
    #[error("the database failed")]
    Sql(#[source] sqlx::Error),
    #[error("a file could not be used")]
    Files(#[source] std::io::Error),
    #[error("pgbench gave no figure: {0}")]
    Pgbench(String),
    #[error("{0} is off: this Postgres would be measured without durability")]
    NotDurable(&'static str),
    #[error("{expected} commands were accepted but {found} events are there")]
    Lost { expected: u64, found: u64 },
    #[error("a part of the pipeline failed")]
    Part(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("a read model did not show a command within its bound")]
    NeverVisible,
    #[error("there is no control plane to measure on: {0}")]
    NoKubernetes(String),
    #[error("MINISPOD_TEST_KUBECONFIG names a cluster, but a crowd is only made on a control plane of the bench's own")]
    NotOwnCluster,
    #[error("an instance did not become ready: {0}")]
    NotReady(String),
    #[error("{found} requests {what}, which may cost {bound} at most")]
    TooManyRequests { what: &'static str, found: u64, bound: u64 },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { suites, quick } = Arguments::parse();
    match run(&suites, if quick { Size::Quick } else { Size::Full }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

/// The suites in their order; those that need Postgres and NATS share one pair.
async fn run(suites: &[Suite], size: Size) -> Result<(), BenchError> {
    let mut servers = None;
    let mut outcome = Ok(());
    for suite in suites {
        outcome = match suite {
            Suite::Compute => compute::run(size).await,
            Suite::Commands | Suite::Lag => measure(*suite, size, &mut servers).await,
        };
        if outcome.is_err() {
            break;
        }
    }
    if let Some(servers) = servers {
        servers.stop().await;
    }
    outcome
}

async fn measure(suite: Suite, size: Size, servers: &mut Option<servers::Servers>) -> Result<(), BenchError> {
    let servers = match servers {
        Some(servers) => servers,
        none => none.insert(servers::Servers::start().await?),
    };
    if suite == Suite::Lag {
        servers.fresh("lag").await?;
        lag::run(servers, size).await
    } else {
        servers.fresh("commands").await?;
        commands::run(servers, size).await
    }
}
