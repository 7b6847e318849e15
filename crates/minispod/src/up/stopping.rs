//! `minispod down` and `minispod status`.

use std::time::{Duration, Instant};

use minispod_localservers::{Nats as NatsServer, Postgres};

use super::{POLL, UpError};
use crate::{
    cli::StateOnly,
    processes, roles,
    state::{Lock, Running, StateDir, StateError},
};

/// How long `down` waits before it kills.
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// How long a killed process may take to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Stops the process, starting or started, and whatever servers a crash may have left behind.
pub async fn down(options: StateOnly) -> Result<(), UpError> {
    let state = StateDir::new(&options.state);
    if !state.exists() {
        println!("nothing was running");
        return Ok(());
    }
    let (held, mut found) = match state.try_lock()? {
        Some(lock) => (lock, false),
        None => (end_holder(&state).await?, true),
    };
    state.forget_running();
    found |= NatsServer::stop_in(&state.join("nats")).await?;
    found |= Postgres::stop_in(&state.join("postgres")).await?;
    drop(held);
    println!("{}", if found { "stopped; the data is kept" } else { "nothing was running" });
    Ok(())
}

/// Ends the `up` that holds the lock and takes the lock over. The lock, not the record, says that it is gone.
async fn end_holder(state: &StateDir) -> Result<Lock, UpError> {
    let mut told: Option<Running> = None;
    let started = Instant::now();
    loop {
        if let Some(lock) = state.try_lock()? {
            return Ok(lock);
        }
        if told.is_none()
            && let Some(running) = state.running()
            && processes::signal(running.pid, &running.process_start, "-TERM")
        {
            println!("stopping {} (process {})", running.url, running.pid);
            told = Some(running);
        }
        match &told {
            // Another `down`, or an `up` that has not written of itself yet.
            None if started.elapsed() > STOP_LIMIT => return Err(UpError::Busy(state.shown())),
            Some(running) if started.elapsed() > STOP_LIMIT + KILL_LIMIT => {
                return Err(UpError::Stubborn(running.pid));
            }
            Some(running) if started.elapsed() > STOP_LIMIT => {
                processes::signal(running.pid, &running.process_start, "-KILL");
            }
            _ => {}
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Prints what runs; an error when something is unwell.
pub async fn status(options: StateOnly) -> Result<(), UpError> {
    let state = StateDir::new(&options.state);
    let Some(running) = state.running() else {
        return Err(StateError::Absent(options.state.display().to_string()).into());
    };
    println!("API        {}/api/v1   (process {}, since {})", running.url, running.pid, running.started_at);
    if !running.ready {
        println!("it is still starting");
        return Err(UpError::Unwell);
    }
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
