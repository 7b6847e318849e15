//! `minispod up`: everything on this machine, in one process tree, with progress; `down` and `status` for it.

use std::{
    io::Write as _,
    net::TcpListener,
    time::{Duration, Instant},
};

use minispod_kernel::{Clock as _, SystemClock};
use minispod_localservers::{Nats as NatsServer, Postgres, ServerError};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Up,
    demo::DemoError,
    operations::chain,
    processes,
    roles::{self, Parts, RoleError},
    seed::SeedError,
    state::{Credentials, DemoEnd, Lock, Running, StateDir, StateError},
};

mod background;
mod local;
mod prepare;
mod stopping;

pub use stopping::{down, status};

/// How long `--detach` waits for readiness.
const START_LIMIT: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(100);
/// How long a lock is waited for whose holder is not recorded as running: it is ending, and a killed process keeps its
/// lock until the system has cleared it away.
const ENDING_LIMIT: Duration = Duration::from_secs(10);

/// Why the local system did not start, stop or answer.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("a server of its own did not start")]
    Server(#[from] ServerError),
    #[error("{url} already runs here (process {pid}); stop it with `minispod down`")]
    Running { url: String, pid: u32 },
    #[error("another minispod process is starting or stopping servers in {0}")]
    Busy(String),
    #[error("{variable} is set, but {state} {what}; unset it, or name another directory with --state")]
    Conflict { variable: &'static str, what: &'static str, state: String },
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
    Demo(#[from] DemoError),
    #[error("the demo journey failed (everything goes on running): {0}")]
    DemoInBackground(String),
}

/// Starts everything; in the foreground until a signal, or in the background until ready.
pub async fn up(options: Up) -> Result<(), UpError> {
    let state = StateDir::new(&options.state).create()?;
    let lock = lock(&state).await?;
    if options.detach {
        // The background process takes it for itself.
        drop(lock);
        background::start(&options, &state).await
    } else {
        Box::pin(foreground(&options, &state, lock)).await
    }
}

/// The directory's lock. Refuses at once where a system runs; where one is ending, waits for its end.
async fn lock(state: &StateDir) -> Result<Lock, UpError> {
    let end = Instant::now() + ENDING_LIMIT;
    loop {
        if let Some(lock) = state.try_lock()? {
            return Ok(lock);
        }
        if let Some(Running { url, pid, .. }) = state.running() {
            return Err(UpError::Running { url, pid });
        }
        if Instant::now() >= end {
            return Err(UpError::Busy(state.shown()));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Progress for a person who waits: one line a step, with the time since the start.
fn progress(started: Instant) -> impl Fn(&str) + Send + Sync + Clone {
    move |text: &str| {
        println!("[{:6.2} s] {text}", started.elapsed().as_secs_f32());
        let _ = std::io::stdout().flush();
    }
}

/// Until a signal. The lock is held throughout, so every server that runs here at the end is ours to stop.
async fn foreground(options: &Up, state: &StateDir, _lock: Lock) -> Result<(), UpError> {
    let say = progress(Instant::now());
    let shutdown = minispod_runtime::shutdown::on_signals().map_err(UpError::Spawn)?;
    let listener = TcpListener::bind(("127.0.0.1", options.port)).map_err(|_| UpError::PortTaken(options.port))?;
    let (config, url) = local::configure(options, state, &listener)?;
    // Before any server: `down` must find us while we start.
    let mut running = this_process(&url);
    state.write_running(&running)?;
    let outcome = match local::start(config, url, state, &say).await {
        Ok(local) => {
            let outcome = serve(options, state, &local, listener, &mut running, &say, &shutdown).await;
            local.stop().await;
            outcome
        }
        Err(error) => Err(error),
    };
    say("stopping the servers");
    let stopped = async {
        NatsServer::stop_in(&state.join("nats")).await?;
        Postgres::stop_in(&state.join("postgres")).await
    };
    let stopped = stopped.await;
    state.forget_running();
    outcome.and_then(|()| Ok(stopped.map(drop)?))
}

fn this_process(url: &str) -> Running {
    let pid = std::process::id();
    Running {
        pid,
        process_start: processes::start_of(pid).unwrap_or_default(),
        url: url.to_owned(),
        started_at: SystemClock.now().to_string(),
        ..Running::default()
    }
}

/// Data and roles; returns when stopped or when a role failed.
async fn serve(
    options: &Up,
    state: &StateDir,
    local: &local::Local,
    listener: TcpListener,
    running: &mut Running,
    say: &(impl Fn(&str) + Send + Sync),
    shutdown: &CancellationToken,
) -> Result<(), UpError> {
    if shutdown.is_cancelled() {
        return Ok(());
    }
    let parts = prepare::database_and_streams(&local.config, say).await?;
    say("starting the roles");
    let mut started = roles::start_all(&parts, listener, local.status(), local.cluster(), shutdown.clone()).await?;
    let mut demo = None;
    let outcome = tokio::select! {
        // A signal or a role's end comes first: nothing would ever be ready then.
        biased;
        ended = started.until_stopped(shutdown) => ended,
        begun = begin(options, state, &parts, local, running, say) => {
            demo = begun?;
            started.until_stopped(shutdown).await
        }
    };
    say("the roles have stopped");
    outcome?;
    demo.map_or(Ok(()), |error| Err(error.into()))
}

/// What follows once the roles run; a demo that fails is no reason to stop them.
async fn begin(
    options: &Up,
    state: &StateDir,
    parts: &Parts,
    local: &local::Local,
    running: &mut Running,
    say: &(impl Fn(&str) + Send + Sync),
) -> Result<Option<DemoError>, UpError> {
    let (credentials, is_new) = prepare::first_data(parts, state, local, say).await?;
    roles::wait_ready(&local.url, START_LIMIT).await?;
    // Whoever is told "ready" finds the data; a read model that is rebuilt or stopped is no reason not to start.
    if !roles::are_shown(parts).await? {
        say("a read model is behind the log and catches up (minispod status)");
    }
    running.ready = true;
    running.nats_url.clone_from(&local.config.nats.url);
    running.stand_ins = local.stand_ins.clone();
    running.stand_in_settings = local.settings.clone();
    state.write_running(running)?;
    greet(local, &credentials, is_new && !options.background, say);
    if !options.demo {
        return Ok(None);
    }
    let journey = crate::demo::Options { url: local.url.clone(), fail_provisioning: false };
    let failed = crate::demo::run(journey).await.err();
    if let Some(error) = &failed {
        say(&format!("the demo failed, everything goes on running: {}", chain(error)));
    }
    running.demo = Some(failed.as_ref().map_or(DemoEnd::Passed, |error| DemoEnd::Failed(chain(error))));
    state.write_running(running)?;
    Ok(failed)
}

fn greet(local: &local::Local, credentials: &Credentials, with_password: bool, say: &impl Fn(&str)) {
    say("ready");
    println!();
    println!("  API            {}/api/v1", local.url);
    if with_password {
        println!("  Administrator  {}   password {}", credentials.email, credentials.password);
    } else {
        println!("  Administrator  {}   password: minispod admin credentials", credentials.email);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_lock_of_somebody_who_is_ending_is_waited_for() {
        let directory = std::env::temp_dir().join(format!("minispod-ending-{}", std::process::id()));
        let state = StateDir::new(&directory).create().expect("a directory");
        let dying = state.try_lock().expect("it can be asked for").expect("nobody has it");
        let waiting = lock(&state);
        tokio::pin!(waiting);
        // Nobody is recorded as running, so this is no refusal yet.
        let early = tokio::time::timeout(POLL * 2, &mut waiting).await;
        assert!(early.is_err(), "it did not wait: {:?}", early.map(|one| one.map(drop)));
        drop(dying);
        waiting.await.expect("it gets the lock");
        let _ = std::fs::remove_dir_all(&directory);
    }
}
