//! Benchmarks: ours and its anchors in the same round, ratios with least and most, lost events fail the run.

mod account;
mod anchors;
mod commands;
mod lag;
mod load;
mod servers;
mod table;

use std::time::Duration;

use clap::Parser;

/// Measures commands a second and the lag until they can be read, paired with anchors in one run.
#[derive(Debug, Parser)]
struct Arguments {
    /// Suites: commands, lag (default: both)
    suites: Vec<String>,
    /// Fewer and shorter rounds (about two minutes)
    #[arg(long)]
    quick: bool,
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
    #[error("there is no suite {0}; there are: commands, lag")]
    UnknownSuite(String),
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let size = if arguments.quick { Size::Quick } else { Size::Full };
    let suites =
        if arguments.suites.is_empty() { vec!["commands".to_owned(), "lag".to_owned()] } else { arguments.suites };
    let mut servers = servers::Servers::start().await?;
    let mut outcome = Ok(());
    for suite in &suites {
        outcome = match suite.as_str() {
            "commands" => {
                servers.fresh("commands").await?;
                commands::run(&servers, size).await
            }
            "lag" => {
                servers.fresh("lag").await?;
                lag::run(&servers, size).await
            }
            other => Err(BenchError::UnknownSuite(other.to_owned())),
        };
        if outcome.is_err() {
            break;
        }
    }
    servers.stop().await;
    Ok(outcome?)
}
