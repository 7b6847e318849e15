//! `cargo xtask`: the project's one command runner — start everything, run every check, keep the rooms tidy.

mod bench;
mod cargo;
mod checks;
mod containers;
mod deploy;
mod report;
mod rust_text;
mod schemas;
mod servers;
mod shell;
mod tidy;
mod tiers;
mod tools;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{shell::Failure, tiers::Tier};

/// Work on Minispod.
///
/// On a fresh machine:
///
///   cargo xtask up      gets Postgres and NATS, builds, and runs the whole system on this machine
///   cargo xtask test    runs every check that CI makes, and says at the end what ran, failed and was skipped
///
/// Tools are kept in $XDG_CACHE_HOME/minispod (else ~/.cache/minispod); their versions and hashes are in
/// crates/xtask/tools.toml.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Get the tools, build, and run everything on this machine; further words go to `minispod up`
    ///
    /// For example: cargo xtask up --demo
    #[command(disable_help_flag = true)]
    Up {
        /// Arguments of `minispod up`; `--help` shows them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run every check, tier by tier, and print what ran, failed and was skipped
    ///
    /// MINISPOD_REQUIRE=pg,nats,k8s,nats-cli,pdf,schemathesis turns a skip for want of that part into a failure;
    /// `containers` among them also runs that tier.
    /// MINISPOD_TEST_PG and MINISPOD_TEST_NATS name servers to use instead of starting a pair.
    Test {
        /// Run only this tier (may be repeated)
        #[arg(long, value_enum)]
        only: Vec<Tier>,
        /// Give chaos, kill-point and permutation tests their long size
        #[arg(long)]
        long: bool,
        /// Only test names that contain this
        #[arg(long)]
        filter: Option<String>,
    },
    /// Fetch Postgres and nats-server; with --all also what only the tests need
    Tools {
        /// Also the `nats` command line, Poppler, Schemathesis, etcd and the Kubernetes control plane (15 CPU-minutes, once)
        #[arg(long)]
        all: bool,
    },
    /// Check that arrows point down, files and functions are short, names say something
    Tidy,
    /// Write the generated files again: event schemas and the rest that `test` compares
    Schemas,
    /// Measure: anchors and ours in the same round, in release mode
    ///
    /// Suites: `commands` and `lag` (both when none is named) on a Postgres and a NATS of their own; `compute`: 200
    /// instances of 50 customers asked for at once, on a Kubernetes API server of its own with a played kubelet.
    /// Everything again with `--quick`: fewer and shorter rounds, and 50 instances.
    Bench {
        /// Suites and options of the bench program, such as `compute --quick`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::FAILURE,
        Err(Failure::Because(reason)) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<(), Failure> {
    match task {
        Task::Up { arguments } => up::run(&arguments),
        Task::Test { only, long, filter } => tiers::run(&tiers::Wanted { only, long, filter }),
        Task::Tools { all } => tools::fetch(if all { tools::Wanted::ALL } else { tools::Wanted::default() }),
        Task::Tidy => tidy::run(),
        Task::Schemas => schemas::write(),
        Task::Bench { arguments } => bench::run(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
