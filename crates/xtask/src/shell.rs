//! Running other programs: quietly or aloud, with a word on what went wrong.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// Why a task failed.
#[derive(Debug)]
pub enum Failure {
    /// It has been told already.
    Reported,
    /// To be told.
    Because(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Because(reason)
    }
}

/// Shortens `Err(Failure::Because(format!(…)))`.
pub fn because<T>(reason: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Because(reason.into()))
}

/// Runs `command` with its output on the terminal.
pub fn aloud(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| cannot_run(command, &error))?;
    if status.success() { Ok(()) } else { because(format!("`{}` ended with {status}", words(command))) }
}

/// Runs `command` quietly and gives its standard output; on failure, the end of what it said.
pub fn quietly(command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| cannot_run(command, &error))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned() + &said;
    let lines: Vec<&str> = complaint.lines().collect();
    let end = lines[lines.len().saturating_sub(15)..].join("\n");
    because(format!("`{}` ended with {}:\n{end}", words(command), output.status))
}

/// As [`quietly`]; while it takes long, `tell` is called every so often with the time since the start.
pub fn quietly_telling(
    command: &mut Command,
    every: Duration,
    tell: impl Fn(Duration) + Send,
) -> Result<String, Failure> {
    let started = Instant::now();
    let (ended, ending) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while ending.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                tell(started.elapsed());
            }
        });
        let outcome = quietly(command);
        drop(ended);
        outcome
    })
}

fn cannot_run(command: &Command, error: &std::io::Error) -> Failure {
    Failure::Because(format!("cannot run {}: {error}", command.get_program().to_string_lossy()))
}

/// The command as a person would type it.
pub fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_else(|| command.get_program());
    let all = std::iter::once(program).chain(command.get_args());
    all.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The first program of this name on `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|candidate| candidate.is_file())
}

/// A variable of the environment; empty counts as absent.
#[expect(clippy::disallowed_methods, reason = "the command runner is configured by its environment")]
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The top of the checkout.
pub fn root() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent);
    crates.unwrap_or_else(|| Path::new(".")).to_path_buf()
}

/// A line of progress.
pub fn say(text: &str) {
    eprintln!("   xtask  {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_told_of_while_it_runs() {
        let mark = env::temp_dir().join(format!("minispod-told-{}", std::process::id()));
        let _ = std::fs::remove_file(&mark);
        // It ends only because it was told of.
        let script = format!("while [ ! -e {0} ]; do :; done; echo done", mark.display());
        let mut command = Command::new("/bin/sh");
        let said = quietly_telling(command.args(["-c", &script]), Duration::from_millis(5), |_| {
            let _ = std::fs::write(&mark, "");
        });
        let _ = std::fs::remove_file(&mark);
        assert_eq!(said.expect("the shell runs").trim(), "done");
    }
}
