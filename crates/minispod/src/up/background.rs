//! `minispod up --detach`: the same in a process of its own, watched until it is ready.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use super::{POLL, START_LIMIT, UpError};
use crate::{cli::Up, state::StateDir};

/// Starts `up` again as a process of its own and returns when it is ready.
pub(super) async fn start(options: &Up, state: &StateDir) -> Result<(), UpError> {
    let log = state.join("up.log");
    let file = std::fs::File::create(&log).map_err(UpError::Spawn)?;
    let errors = file.try_clone().map_err(UpError::Spawn)?;
    let program = std::env::current_exe().map_err(UpError::Spawn)?;
    let mut command = Command::new(program);
    command.arg("up").arg("--state").arg(&options.state).args(["--port", &options.port.to_string()]);
    if let Some(kubeconfig) = &options.kubeconfig {
        command.arg("--kubeconfig").arg(kubeconfig);
    }
    if options.demo {
        command.arg("--demo");
    }
    command.stdin(Stdio::null()).stdout(file).stderr(errors);
    command.process_group(0);
    let mut child = command.spawn().map_err(UpError::Spawn)?;
    let started = Instant::now();
    let mut shown = 0;
    loop {
        shown = show_new_lines(&log, shown);
        if state.running().is_some_and(|running| running.pid == child.id() && running.ready) {
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
