//! The command line: every subcommand with the help text that teaches it.

mod help;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use time::{Date, macros::format_description};

use crate::{
    config::{Config, ConfigError},
    roles::Role,
    state::{DEFAULT_DIRECTORY, StateDir, StateError},
};

/// Runs other people's apps and charges for them fairly.
///
/// `minispod up` starts everything on this machine; `minispod demo` walks a customer's journey through it.
/// Each role is also a subcommand of its own, configured by file and environment (`minispod config` prints both).
#[derive(Debug, Parser)]
#[command(name = "minispod", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What was typed. Ends the process with help, or with 2 when it makes no sense.
    pub fn typed() -> Self {
        let matches = help::taught(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Where a subcommand finds its configuration.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// Configuration file (TOML); the environment wins over it
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    pub config: Option<PathBuf>,
    /// State directory of a system that `minispod up` started
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

impl Source {
    /// The configuration: `--config` and the environment; else the file in `--state` alone; else the environment when
    /// it names a `DATABASE_URL`; else the file in `.minispod` alone.
    pub fn load(&self) -> Result<Config, StateError> {
        if let Some(file) = &self.config {
            return Ok(Config::load(Some(file))?);
        }
        if self.state.is_none() {
            let config = Config::load(None)?;
            if !config.database.url.is_empty() {
                return Ok(config);
            }
        }
        self.state_dir().load_config()
    }

    /// The state directory: `--state` or `.minispod`.
    pub fn state_dir(&self) -> StateDir {
        StateDir::new(self.state.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DIRECTORY)))
    }

    /// Loaded, and checked for what an operator's subcommand needs.
    pub fn load_checked(&self) -> Result<Config, StateError> {
        self.load_for(&[])
    }

    /// Loaded, and checked for what these roles need.
    pub fn load_for(&self, roles: &[&str]) -> Result<Config, StateError> {
        let config = self.load()?;
        config.check_for(roles).map_err(|error: ConfigError| StateError::Config(error))?;
        Ok(config)
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start everything on this machine: Postgres, NATS, stand-ins where the real part is missing, every role
    Up(Up),
    /// Stop what `up` started
    Down(StateOnly),
    /// Say what runs and whether it is well
    Status(StateOnly),
    /// Walk the whole customer journey through the public API and print each step with its time
    Demo(DemoArgs),
    /// Role: REST API
    Api(Source),
    /// Role: number the log and publish it to NATS
    Relay(Source),
    /// Role: build the read models
    Projector(Source),
    /// Role: keep instances in the cluster as they were sold
    Provisioner(Source),
    /// Role: policies, timers, payments, invoices
    Billing(Source),
    /// Role: send mail
    Mailer(Source),
    /// Answer visitors of instances that rest: one page for all, without configuration, secrets or rights
    RestingPage(RestingPage),
    /// Several roles in one process
    Run(RunArgs),
    /// Bring the database schema up to date
    Migrate(Source),
    /// Streams and consumers
    #[command(subcommand)]
    Nats(NatsCommand),
    /// The event log
    #[command(subcommand)]
    Log(LogCommand),
    /// The books
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Decide recorded charges again with other prices and print the difference; changes nothing
    Whatif(WhatIf),
    /// Read models
    #[command(subcommand)]
    Projections(ProjectionsCommand),
    /// Parked work: see it, try it again, or leave it out with a reason
    #[command(subcommand)]
    Dlq(DlqCommand),
    /// Administrators
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Publish the catalogue to start with (plans that exist are left alone)
    Seed(Source),
    /// Print the commented default configuration file
    Config,
    /// Check the configuration and everything it points at
    Doctor(DoctorArgs),
}

/// Start everything on this machine.
#[derive(Debug, Clone, Args)]
pub struct Up {
    /// State directory: databases, secrets, logs. Kept; starting again continues on the same data
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    pub state: PathBuf,
    /// Port of the API
    #[arg(long, value_name = "N", default_value_t = 3000)]
    pub port: u16,
    /// Return when everything is ready and leave it running (stop it with `minispod down`)
    #[arg(long)]
    pub detach: bool,
    /// Walk the demo journey as soon as everything is ready
    #[arg(long)]
    pub demo: bool,
    /// Run instances in this cluster instead of the simulated one (a kubeconfig file; never taken from defaults)
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Set for the process that `--detach` starts: its output is a file, so it prints no password
    #[arg(long, hide = true)]
    pub background: bool,
}

/// Several roles in one process; the process ends when one of them does.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Which (each once); a simulated cluster is shared by those of one process
    #[arg(required = true, value_name = "ROLE")]
    pub roles: Vec<Role>,
    #[command(flatten)]
    pub source: Source,
}

/// Check the configuration and everything it points at.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Check only what this role needs (may be repeated)
    #[arg(long, value_parser = ["api", "relay", "projector", "provisioner", "billing", "mailer"])]
    pub role: Vec<String>,
    #[command(flatten)]
    pub source: Source,
}

/// Answer visitors of instances that rest.
///
/// The cluster's setting `resting_page` names the Service in front of it; the provisioner leads the doors of what is
/// stopped or unpaid there, and back when it starts.
#[derive(Debug, Clone, Args)]
pub struct RestingPage {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where to serve /metrics and /health (default: nowhere)
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
}

/// Only the state directory.
#[derive(Debug, Clone, Args)]
pub struct StateOnly {
    /// State directory of the system
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    pub state: PathBuf,
}

/// Walk the customer journey.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Address of the API (default: the system of the state directory)
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// State directory of the system
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    pub state: PathBuf,
    /// Let the simulated cluster refuse the instance and show the refund
    #[arg(long)]
    pub fail_provisioning: bool,
}

#[derive(Debug, Subcommand)]
pub enum NatsCommand {
    /// Create or update streams and consumers from the embedded files of `nats/`
    Apply {
        /// JSON file of what this installation decides (default: the key nats.overlay)
        #[arg(long, value_name = "FILE")]
        overlay: Option<PathBuf>,
        /// Take copies away from a stream that has more of them than wanted
        #[arg(long)]
        allow_lower: bool,
        #[command(flatten)]
        source: Source,
    },
    /// Print shell lines that let the `nats` CLI in as the read-only user analyst: eval "$(minispod nats env)"
    Env(Source),
}

#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Re-fold the hash chain and compare Postgres with JetStream; exit 1 on any difference
    Verify(Source),
    /// After the log was restored to an older point: drop the stream and publish the log into a new one
    NewTimeline {
        /// Consumers outside this installation lose their places; say that this is meant
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        source: Source,
    },
}

/// Decide recorded charges again with other prices.
///
/// The file names plans as `offering/variant`:
///
///   yearly_discount_percent = 10                  # of every plan that names none of its own
///   [plans]
///   "n8n/basic" = 30000                           # whole rupiah a month
///   "n8n/pro" = { monthly_price = 70000, yearly_discount_percent = 20 }
///   [[tax]]                                       # else the rate on the recorded invoices
///   from = "2025-01-01"
///   rate_basis_points = 1200
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct WhatIf {
    /// Other prices (TOML)
    #[arg(long, value_name = "FILE")]
    pub price_list: PathBuf,
    /// First Jakarta day
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub from: Date,
    /// Last Jakarta day
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub to: Date,
    /// Everything as JSON, each decision included
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub source: Source,
}

fn day(text: &str) -> Result<Date, String> {
    let form = format_description!("[year]-[month]-[day]");
    Date::parse(text, form).map_err(|_| "it must be a day as in 2026-11-22".to_owned())
}

#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Replay the money of the log and compare the books with it, entry by entry; exit 1 on any difference
    Verify(Source),
}

#[derive(Debug, Subcommand)]
pub enum ProjectionsCommand {
    /// Every projection with its checkpoint and lag
    List(Source),
    /// Fold the log again and compare with what is shown; exit 1 on any difference
    Diff(Source),
    /// Build a new generation from the log and switch to it
    Rebuild {
        /// Name of the projection
        name: String,
        #[command(flatten)]
        source: Source,
    },
}

#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// Parked lanes
    List {
        /// Reactor: billing, mailer or provisioner
        reactor: String,
        #[command(flatten)]
        source: Source,
    },
    /// One parked lane with its effects and errors
    Show {
        reactor: String,
        /// The lane, as `list` prints it
        lane: String,
        #[command(flatten)]
        source: Source,
    },
    /// Try a parked lane again from its head
    Retry {
        reactor: String,
        lane: String,
        #[command(flatten)]
        source: Source,
    },
    /// Leave out the head of a parked lane and go on with the rest
    Skip {
        reactor: String,
        lane: String,
        /// Why; kept with the effect
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        source: Source,
    },
}

#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Register an administrator; the password is read from standard input
    Create {
        #[arg(long)]
        name: String,
        #[arg(long)]
        email: String,
        #[command(flatten)]
        source: Source,
    },
    /// Print the administrator that `up` made
    Credentials {
        /// As JSON: url, email, password
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        state: StateOnly,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
