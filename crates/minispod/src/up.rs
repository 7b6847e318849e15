//! `minispod up`: everything on this machine, in one process tree, with progress, and `down` and `status` for it.

use std::{
    io::Write as _,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use minispod_kernel::{Clock as _, SystemClock};
use minispod_localservers::{Nats as NatsServer, Postgres, ServerError};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{StateOnly, Up},
    roles::{self, RoleError},
    seed::SeedError,
    state::{Credentials, Running, StateDir, StateError, is_alive},
};

mod local;
mod prepare;

/// How long `--detach` waits for readiness.
const START_LIMIT: Duration = Duration::from_mins(3);
/// How long `down` waits before it kills.
const STOP_LIMIT: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(100);

/// Why the local system did not start, stop or answer.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("a server of its own did not start")]
    Server(#[from] ServerError),
    #[error("{0} already runs here; stop it with `minispod down`")]
    Running(String),
    #[error("port {0} is taken; choose another with --port")]
    PortTaken(u16),
    #[error("a role failed")]
    Role(#[from] RoleError),
    #[error("the first data could not be written")]
    Seed(#[from] SeedError),
    #[error("{what} did not start")]
    StandIn {
        what: &'static str,
        #[source]
        source: minispod_standins::StandInError,
    },
    #[error("the address of the api is not known")]
    Address(#[source] std::io::Error),
    #[error("the background process ended; the end of {log}:\n{tail}")]
    Detached { log: String, tail: String },
    #[error("the system was not ready within {} s; see {log}", START_LIMIT.as_secs())]
    Slow { log: String },
    #[error("the background process could not be started")]
    Spawn(#[source] std::io::Error),
    #[error("process {0} does not end")]
    Stubborn(u32),
    #[error("the system is not well")]
    Unwell,
    #[error("the demo journey failed")]
    Demo(#[from] crate::demo::DemoError),
}

/// Starts everything; in the foreground until a signal, or in the background until ready.
pub async fn up(options: Up) -> Result<(), UpError> {
    let state = StateDir::new(&options.state);
    state.create()?;
    if let Some(running) = state.running()? {
        return Err(UpError::Running(running.url));
    }
    if options.detach { detached(&options, &state).await } else { foreground(&options, &state).await }
}

/// Progress for a person who waits: one line a step, with the time since the start.
fn progress(started: Instant) -> impl Fn(&str) + Send + Sync + Clone {
    move |text: &str| {
        println!("[{:6.2} s] {text}", started.elapsed().as_secs_f32());
        let _ = std::io::stdout().flush();
    }
}

async fn foreground(options: &Up, state: &StateDir) -> Result<(), UpError> {
    let say = progress(Instant::now());
    let shutdown = minispod_runtime::shutdown::on_signals().map_err(UpError::Spawn)?;
    let outcome = run(options, state, &say, &shutdown).await;
    say("stopping the servers");
    state.remove("running.json");
    NatsServer::stop_in(&state.join("nats")).await?;
    Postgres::stop_in(&state.join("postgres")).await?;
    outcome
}

/// Servers, data, roles; returns when stopped or when a role failed.
async fn run(
    options: &Up,
    state: &StateDir,
    say: &(impl Fn(&str) + Send + Sync),
    shutdown: &CancellationToken,
) -> Result<(), UpError> {
    let listener =
        std::net::TcpListener::bind(("127.0.0.1", options.port)).map_err(|_| UpError::PortTaken(options.port))?;
    let local = local::start(options, state, &listener, say).await?;
    let parts = prepare::database_and_streams(&local.config, say).await?;
    say("starting the roles");
    let mut running = roles::start_all(&parts, listener, local.status(), local.cluster(), shutdown.clone()).await?;
    let credentials = prepare::first_data(&parts, state, &local, say).await?;
    roles::wait_ready(&local.url, START_LIMIT).await?;
    remember(state, &local)?;
    greet(&local, &credentials, say);
    if options.demo {
        let journey = crate::demo::Options { url: local.url.clone(), fail_provisioning: false };
        crate::demo::run(journey).await?;
    }
    let outcome = running.until_stopped(shutdown).await;
    say("the roles have stopped");
    local.stop().await;
    Ok(outcome?)
}

fn remember(state: &StateDir, local: &local::Local) -> Result<(), UpError> {
    state.write_json(
        "running.json",
        &Running {
            pid: std::process::id(),
            url: local.url.clone(),
            nats_url: local.config.nats.url.clone(),
            stand_ins: local.stand_ins.clone(),
            started_at: SystemClock.now().to_string(),
        },
    )?;
    Ok(())
}

fn greet(local: &local::Local, credentials: &Credentials, say: &impl Fn(&str)) {
    say("ready");
    println!();
    println!("  API            {}/api/v1", local.url);
    println!("  Administrator  {}   password {}", credentials.email, credentials.password);
    for (name, note) in local.notes() {
        println!("  {name:<14} {note}");
    }
    println!();
    println!("  Next: minispod demo             walk a customer's journey");
    println!("        minispod log verify       compare Postgres and JetStream");
    println!("        minispod status           what runs");
    println!("        minispod down             stop everything (Ctrl-C here does the same)");
    println!();
}

async fn detached(options: &Up, state: &StateDir) -> Result<(), UpError> {
    let log = state.join("up.log");
    let file = std::fs::File::create(&log).map_err(UpError::Spawn)?;
    let errors = file.try_clone().map_err(UpError::Spawn)?;
    let program = std::env::current_exe().map_err(UpError::Spawn)?;
    let mut command = std::process::Command::new(program);
    command.arg("up").arg("--state").arg(&options.state).args(["--port", &options.port.to_string()]);
    if let Some(kubeconfig) = &options.kubeconfig {
        command.arg("--kubeconfig").arg(kubeconfig);
    }
    if options.demo {
        command.arg("--demo");
    }
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(UpError::Spawn)?;
    let started = Instant::now();
    let mut shown = 0;
    loop {
        shown = show_new_lines(&log, shown);
        if state.running()?.is_some_and(|running| running.pid == child.id()) {
            show_new_lines(&log, shown);
            return Ok(());
        }
        if child.try_wait().map_err(UpError::Spawn)?.is_some() {
            return Err(UpError::Detached { log: log.display().to_string(), tail: tail(&log) });
        }
        if started.elapsed() > START_LIMIT {
            return Err(UpError::Slow { log: log.display().to_string() });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Passes on what the background process printed since `from` (progress lines only); returns the new place.
fn show_new_lines(log: &Path, from: usize) -> usize {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let end = text.rfind('\n').map_or(from, |last| last + 1);
    let Some(fresh) = text.get(from..end) else { return from };
    for line in fresh.lines().filter(|line| line.starts_with('[') || line.starts_with("  ")) {
        println!("{line}");
    }
    end.max(from)
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Stops the process and whatever servers it may have left behind.
pub async fn down(options: StateOnly) -> Result<(), UpError> {
    let state = StateDir::new(&options.state);
    let mut found = false;
    if let Some(running) = state.running()? {
        found = true;
        println!("stopping {} (process {})", running.url, running.pid);
        end_process(running.pid).await?;
    }
    state.remove("running.json");
    found |= NatsServer::stop_in(&state.join("nats")).await?;
    found |= Postgres::stop_in(&state.join("postgres")).await?;
    println!("{}", if found { "stopped; the data is kept" } else { "nothing was running" });
    Ok(())
}

async fn end_process(pid: u32) -> Result<(), UpError> {
    for signal in ["-TERM", "-KILL"] {
        let _ = std::process::Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
        let started = Instant::now();
        while started.elapsed() < STOP_LIMIT {
            if !is_alive(pid) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Err(UpError::Stubborn(pid))
}

/// Prints what runs; an error when something is unwell.
pub async fn status(options: StateOnly) -> Result<(), UpError> {
    let state = StateDir::new(&options.state);
    let Some(running) = state.running()? else {
        return Err(StateError::Absent(options.state.display().to_string()).into());
    };
    println!("API        {}/api/v1   (process {}, since {})", running.url, running.pid, running.started_at);
    println!("NATS       {}", running.nats_url);
    if let Some(stand_ins) = running.stand_ins.as_object() {
        for (name, url) in stand_ins {
            println!("stand-in   {name}: {}", url.as_str().unwrap_or("in process"));
        }
    }
    let (ready, report) = roles::readiness(&running.url).await?;
    println!("{}", serde_json::to_string_pretty(&report).unwrap_or_default());
    if ready { Ok(()) } else { Err(UpError::Unwell) }
}
