//! The binary: roles, operators' commands, and everything on one machine.

mod adapters;
mod cli;
mod config;
mod demo;
mod doctor;
mod doors;
mod ledger;
mod operations;
mod processes;
mod resting;
mod roles;
mod seed;
mod state;
mod telemetry;
mod up;
mod verify;
mod watching;
mod whatif;
mod wiring;

use std::process::ExitCode;

use cli::{Cli, Command, Source};
use roles::Role;

/// What a shell shows for a program ended by SIGPIPE.
const BROKEN_PIPE: i32 = 141;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    // One TLS provider for the whole process; a second call could only come from here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    end_quietly_when_nobody_reads();
    let cli = Cli::typed();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", operations::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// `minispod status | head -1` closes our output; printing on is then no fault to report.
fn end_quietly_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to stdout") && text.contains("Broken pipe")) {
            std::process::exit(BROKEN_PIPE);
        }
        usual(panic);
    }));
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(options) => {
            telemetry::logs(&config::Config::load(None)?.telemetry)?;
            Box::pin(up::up(options)).await?;
        }
        Command::Down(options) => up::down(options).await?,
        Command::Status(options) => up::status(options).await?,
        Command::Demo(arguments) => demo::from_command_line(arguments).await?,
        Command::Api(source) => role(Role::Api, source).await?,
        Command::Relay(source) => role(Role::Relay, source).await?,
        Command::Projector(source) => role(Role::Projector, source).await?,
        Command::Provisioner(source) => role(Role::Provisioner, source).await?,
        Command::Billing(source) => role(Role::Billing, source).await?,
        Command::Mailer(source) => role(Role::Mailer, source).await?,
        Command::RestingPage(cli::RestingPage { listen, metrics_listen }) => {
            resting::serve(listen, metrics_listen).await?;
        }
        Command::Run(cli::RunArgs { roles, source }) => run_roles(&roles, source).await?,
        Command::Migrate(source) => {
            roles::migrate(&source.load()?).await?;
            println!("the schema is up to date");
        }
        Command::Nats(command) => operations::nats(command).await?,
        Command::Log(cli::LogCommand::Verify(source)) => verify::run(source).await?,
        Command::Log(cli::LogCommand::NewTimeline { yes, source }) => operations::new_timeline(yes, source).await?,
        Command::Ledger(cli::LedgerCommand::Verify(source)) => ledger::verify(source).await?,
        Command::Whatif(arguments) => whatif::run(arguments).await?,
        Command::Projections(command) => operations::projections(command).await?,
        Command::Dlq(command) => operations::dead_letters(command).await?,
        Command::Admin(command) => operations::administrators(command).await?,
        Command::Seed(source) => operations::seed_catalogue(source).await?,
        Command::Config => print!("{}", config::DEFAULT_FILE),
        Command::Doctor(arguments) => doctor::run(arguments).await?,
    }
    Ok(())
}

/// One role in this process, with its logs.
async fn role(role: Role, source: Source) -> Result<(), Failure> {
    run_roles(&[role], source).await
}

/// Roles in this process, with their logs.
async fn run_roles(roles: &[Role], source: Source) -> Result<(), Failure> {
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    let config = source.load_for(&names)?;
    telemetry::logs(&config.telemetry)?;
    roles::run(roles, config).await?;
    Ok(())
}
