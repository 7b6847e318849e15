//! `minispod up --detach`: the same in a process of its own, watched until it is ready and its demo has run.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use super::{POLL, START_LIMIT, UpError, prepare::ADMIN_FILE};
use crate::{
    cli::Up,
    state::{Credentials, DemoEnd, Running, StateDir},
};

/// Starts `up` again as a process of its own; returns when it is ready and, with `--demo`, the demo has ended.
pub(super) async fn start(options: &Up, state: &StateDir) -> Result<(), UpError> {
    let had_administrator = state.join(ADMIN_FILE).exists();
    let log = state.join("up.log");
    let mut child = spawn(options, state)?;
    let mut shown = Shown { log: &log, end: 0 };
    watch(&mut child, state, &mut shown, Some(START_LIMIT), |running| running.ready.then_some(())).await?;
    if !had_administrator && let Some(credentials) = state.read_json::<Credentials>(ADMIN_FILE)? {
        // Here and now only: what the background process prints is kept in a file.
        println!("  Password of {}: {}\n", credentials.email, credentials.password);
    }
    if !options.demo {
        return Ok(());
    }
    // Each step of the demo has a limit of its own.
    match watch(&mut child, state, &mut shown, None, |running| running.demo).await? {
        DemoEnd::Passed => Ok(()),
        DemoEnd::Failed(reason) => Err(UpError::DemoInBackground(reason)),
    }
}

fn spawn(options: &Up, state: &StateDir) -> Result<Child, UpError> {
    let file = state.create_file("up.log")?;
    let errors = file.try_clone().map_err(UpError::Spawn)?;
    let program = std::env::current_exe().map_err(UpError::Spawn)?;
    let mut command = Command::new(program);
    command.arg("up").arg("--background").arg("--state").arg(state.join(""));
    command.args(["--port", &options.port.to_string()]);
    if let Some(kubeconfig) = &options.kubeconfig {
        command.arg("--kubeconfig").arg(kubeconfig);
    }
    if options.demo {
        command.arg("--demo");
    }
    command.stdin(Stdio::null()).stdout(file).stderr(errors).process_group(0);
    command.spawn().map_err(UpError::Spawn)
}

/// Shows the background process' progress until its record says what is asked for.
async fn watch<T>(
    child: &mut Child,
    state: &StateDir,
    shown: &mut Shown<'_>,
    limit: Option<std::time::Duration>,
    wanted: impl Fn(Running) -> Option<T>,
) -> Result<T, UpError> {
    let started = Instant::now();
    let log = shown.log.display().to_string();
    loop {
        let found = state.running().filter(|running| running.pid == child.id()).and_then(&wanted);
        shown.go_on();
        if let Some(found) = found {
            return Ok(found);
        }
        if child.try_wait().map_err(UpError::Spawn)?.is_some() {
            return Err(UpError::Detached { log, tail: tail(shown.log) });
        }
        if limit.is_some_and(|limit| started.elapsed() > limit) {
            return Err(UpError::Slow { log });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// How much of the log a person has seen.
struct Shown<'a> {
    log: &'a Path,
    end: usize,
}

impl Shown<'_> {
    /// Passes on what was printed since the last time, without the log lines of the roles.
    fn go_on(&mut self) {
        let text = std::fs::read_to_string(self.log).unwrap_or_default();
        let end = text.rfind('\n').map_or(self.end, |last| last + 1);
        let Some(fresh) = text.get(self.end..end) else { return };
        for line in fresh.lines().filter(|line| is_for_people(line)) {
            println!("{line}");
        }
        self.end = end.max(self.end);
    }
}

/// Progress (`[  0.10 s] …`), what stands below it, and the steps of the demo (`12. …`, `21 steps in 4.2 s`).
fn is_for_people(line: &str) -> bool {
    let after_number = line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit());
    let is_step = after_number.len() < line.trim_start().len()
        && (after_number.starts_with(". ") || after_number.starts_with(" steps in "));
    line.starts_with('[') || line.starts_with("  ") || is_step
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::is_for_people;

    #[test]
    fn progress_and_steps_are_shown_and_logs_are_not() {
        for line in
            ["[  0.10 s] ready", "  API  http://h", " 1. Register … done (3 ms)", "12. Pay …", "21 steps in 4.2 s"]
        {
            assert!(is_for_people(line), "{line}");
        }
        for line in ["2026-11-25T10:00:00Z  INFO minispod: x", "error: x", ""] {
            assert!(!is_for_people(line), "{line}");
        }
    }
}
