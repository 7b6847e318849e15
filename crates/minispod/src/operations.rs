//! Operators' subcommands: NATS, read models, dead letters, administrators.

use std::{io::BufRead as _, path::PathBuf};

use minispod_events::Role as AccountRole;
use minispod_kernel::Causes;
use minispod_messaging::topology::{self, Applied, Lowering};
use minispod_runtime::{dlq, projector, relay};

use crate::{
    cli::{AdminCommand, DlqCommand, NatsCommand, ProjectionsCommand, Source},
    roles::{self, Parts, RoleError},
    seed::{self, NewAccount, SeedError},
    state::{Credentials, StateDir, StateError},
};

/// Most parked lanes listed at once.
const LIST_LIMIT: i64 = 200;

/// Why an operator's subcommand failed.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Role(#[from] RoleError),
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error("dead letters could not be handled")]
    Dlq(#[from] dlq::DlqError),
    #[error("read models could not be handled")]
    Projector(#[from] projector::ProjectorError),
    #[error("there is no projection {0}; there are: {1}")]
    UnknownProjection(String, String),
    #[error("this drops the stream and begins a new one; add --yes if that is meant")]
    NotMeant,
    #[error("no password came in on standard input")]
    NoPassword,
    #[error("the password breaks a rule: {0}")]
    WeakPassword(String),
    #[error("there are no credentials in {0}: `minispod up` has not made an administrator there")]
    NoCredentials(String),
    #[error("{0} tables of the read models differ from the log")]
    Differ(usize),
    #[error("the server did not take everything: {0}")]
    NotTaken(String),
    #[error("{0} of the checks failed")]
    Unwell(usize),
}

/// `minispod nats …`.
pub async fn nats(command: NatsCommand) -> Result<(), OperationError> {
    match command {
        NatsCommand::Apply { overlay, allow_lower, source } => apply(overlay, allow_lower, &source).await?,
        NatsCommand::Env(source) => {
            let config = source.load()?;
            println!("export NATS_URL='{}'", config.nats.url);
            println!("export NATS_USER='{}analyst'", config.nats.user_prefix);
            println!("export NATS_PASSWORD='{}'", config.nats.passwords.analyst);
        }
    }
    Ok(())
}

/// Applies, and looks whether the server took everything.
async fn apply(file: Option<PathBuf>, allow_lower: bool, source: &Source) -> Result<(), OperationError> {
    let mut config = source.load()?;
    let configured = config.nats.overlay.clone();
    if let Some(file) = file {
        config.nats.overlay = file.display().to_string();
    }
    let lowering = if allow_lower { Lowering::Allowed } else { Lowering::Refused };
    for (name, applied) in roles::apply_topology(&config, lowering).await? {
        let word = match applied {
            Applied::Created => "created",
            Applied::Updated => "updated",
            Applied::Unchanged => "unchanged",
        };
        println!("{name:<16} {word}");
    }
    let nats = roles::connect_nats(&config, "admin").await.map_err(RoleError::Connect)?;
    let drifts = topology::verify_streams(&nats, &roles::overlay(&config)?).await.map_err(RoleError::Topology)?;
    if !drifts.is_empty() {
        let told: Vec<String> = drifts.iter().map(ToString::to_string).collect();
        return Err(OperationError::NotTaken(told.join("; ")));
    }
    if config.nats.overlay != configured {
        println!("name the file in nats.overlay (MINISPOD_NATS_OVERLAY) too: the relay and doctor go by it");
    }
    Ok(())
}

/// `minispod projections …`.
pub async fn projections(command: ProjectionsCommand) -> Result<(), OperationError> {
    match command {
        ProjectionsCommand::List(source) => {
            let parts = Parts::connect(source.load_checked()?).await?;
            let head = parts.store.log().head().await.map_err(RoleError::Store)?;
            println!("{:<16} {:>10} {:>8} {:>8}  state", "projection", "generation", "revision", "lag");
            for generation in projector::generations(&parts.store).await? {
                let checkpoint =
                    parts.store.checkpoints().load(&generation.checkpoint()).await.map_err(RoleError::Store)?;
                let lag = checkpoint.map_or(head.position.0, |at| head.position.0 - at.position.0);
                let stopped = generation
                    .stopped
                    .as_ref()
                    .map_or(String::new(), |(position, reason)| format!(", stopped at {}: {reason}", position.0));
                println!(
                    "{:<16} {:>10} {:>8} {lag:>8}  {:?}{stopped}",
                    generation.projection, generation.number, generation.revision, generation.state
                );
            }
        }
        ProjectionsCommand::Diff(source) => compare(source).await?,
        ProjectionsCommand::Rebuild { name, source } => {
            let parts = Parts::connect(source.load_checked()?).await?;
            let all = minispod_projections::all();
            let names: Vec<&str> = all.iter().map(|projection| projection.name()).collect();
            let known = names.join(", ");
            let projection = all
                .iter()
                .find(|projection| projection.name() == name)
                .cloned()
                .ok_or(OperationError::UnknownProjection(name, known))?;
            let rebuilt = projector::rebuild(&parts.store, projection).await?;
            println!(
                "generation {} holds everything up to position {} and is shown now",
                rebuilt.generation, rebuilt.position.0
            );
        }
    }
    Ok(())
}

/// Every read model against a fresh fold of the log.
async fn compare(source: Source) -> Result<(), OperationError> {
    let parts = Parts::connect(source.load_checked()?).await?;
    let mut differing = 0;
    for projection in minispod_projections::all() {
        let name = projection.name();
        let differences = projector::diff(&parts.store, projection).await?;
        for table in &differences {
            println!("{name}: {} has {} rows too many and {} too few", table.table, table.only_live, table.only_fresh);
        }
        if differences.is_empty() {
            println!("{name}: equal to a fresh fold of the log");
        }
        differing += differences.len();
    }
    if differing == 0 { Ok(()) } else { Err(OperationError::Differ(differing)) }
}

/// `minispod dlq …`.
pub async fn dead_letters(command: DlqCommand) -> Result<(), OperationError> {
    let open =
        async |source: &Source| -> Result<Parts, OperationError> { Ok(Parts::connect(source.load_checked()?).await?) };
    match command {
        DlqCommand::List { reactor, source } => {
            let parts = open(&source).await?;
            let reactor = (reactor != "all").then_some(reactor);
            let lanes = dlq::list(&parts.store, reactor.as_deref(), LIST_LIMIT).await?;
            println!("{:<12} {:<40} {:>7} {:>8}  reason", "reactor", "lane", "waiting", "attempts");
            for lane in &lanes {
                println!(
                    "{:<12} {:<40} {:>7} {:>8}  {}",
                    lane.reactor, lane.lane, lane.waiting, lane.attempts, lane.reason
                );
            }
            println!("{} parked", lanes.len());
        }
        DlqCommand::Show { reactor, lane, source } => {
            let parts = open(&source).await?;
            let lane = dlq::show(&parts.store, &reactor, &lane).await?;
            println!("reactor   {}\nlane      {}\neffect    {} ({})", lane.reactor, lane.lane, lane.kind, lane.key);
            println!("parked    {} after {} attempts: {}", lane.since, lane.attempts, lane.reason);
            println!("waiting   {}\npayload   {}", lane.waiting, lane.payload);
        }
        DlqCommand::Retry { reactor, lane, source } => {
            let parts = open(&source).await?;
            dlq::retry(&parts.store, &reactor, &lane).await?;
            println!("{lane} is tried again");
        }
        DlqCommand::Skip { reactor, lane, reason, source } => {
            let parts = open(&source).await?;
            dlq::skip(&parts.store, &reactor, &lane, &reason).await?;
            println!("the head of {lane} is left out, the rest goes on");
        }
    }
    Ok(())
}

/// `minispod admin …`.
pub async fn administrators(command: AdminCommand) -> Result<(), OperationError> {
    match command {
        AdminCommand::Create { name, email, source } => {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            let password = line.trim_end_matches(['\r', '\n']).to_owned();
            if read.is_err() || password.is_empty() {
                return Err(OperationError::NoPassword);
            }
            let faults = minispod_auth::credential_rules::password_faults(&password);
            if !faults.is_empty() {
                return Err(OperationError::WeakPassword(faults.join("; ")));
            }
            let parts = Parts::connect(source.load_checked()?).await?;
            let account = NewAccount { name, email, password, role: AccountRole::Administrator };
            let id = seed::account(&parts.store, &parts.dispatcher, &parts.hasher, account).await?;
            println!("{id}");
        }
        AdminCommand::Credentials { json, state } => {
            let directory = StateDir::new(&state.state);
            let credentials: Credentials = directory
                .read_json("administrator.json")?
                .ok_or_else(|| OperationError::NoCredentials(state.state.display().to_string()))?;
            if json {
                println!("{}", serde_json::to_string(&credentials).unwrap_or_default());
            } else {
                println!("{}\n{}\n{}", credentials.url, credentials.email, credentials.password);
            }
        }
    }
    Ok(())
}

/// `minispod log new-timeline`: the operator's answer to a relay that refuses to publish.
pub async fn new_timeline(yes: bool, source: Source) -> Result<(), OperationError> {
    if !yes {
        return Err(OperationError::NotMeant);
    }
    let parts = Parts::connect(source.load_for(&["relay"])?).await?;
    let nats = parts.nats("relay").await?;
    let config = relay::RelayConfig { overlay: roles::overlay(&parts.config)?, ..relay::RelayConfig::default() };
    let timeline = relay::begin_timeline(&parts.store, &nats, &config).await.map_err(RoleError::Relay)?;
    println!("timeline {timeline} begins; the relay publishes the log into a new stream");
    Ok(())
}

/// Publishes the catalogue to start with.
pub async fn seed_catalogue(source: Source) -> Result<(), OperationError> {
    let parts = Parts::connect(source.load_checked()?).await?;
    println!("{} plans", roles::seed_catalogue(&parts).await?);
    Ok(())
}

/// An error and its causes on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    Causes(error).to_string()
}
