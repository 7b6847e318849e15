//! Processes by id: start one apart from the terminal, see whether it lives and is ours, stop it, find a port.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::failure::ServerError;

pub(crate) const POLL: Duration = Duration::from_millis(20);

/// A port on loopback that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// `wished` when it can be bound now, else any free port.
pub(crate) fn port_near(wished: Option<u16>) -> Result<u16, ServerError> {
    match wished {
        Some(port) if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() => Ok(port),
        _ => free_port().map_err(ServerError::Port),
    }
}

/// Starts `command` in its own process group, so Ctrl-C in a terminal reaches only its starter; output goes to `log`.
pub(crate) fn start_apart(mut command: Command, log: &Path) -> Result<i32, ServerError> {
    let open =
        || File::options().create(true).append(true).mode(0o600).open(log).map_err(ServerError::files("open", log));
    command.stdin(Stdio::null()).stdout(open()?).stderr(open()?).process_group(0);
    let program = command.get_program().into();
    let mut child = command.spawn().map_err(|source| ServerError::Spawn { program, source })?;
    let pid = child.id() as i32;
    // Somebody must collect the exit status, or a dead server would look alive to `is_alive`.
    thread::spawn(move || child.wait());
    Ok(pid)
}

/// Whether there is a process `pid` that may be sent signals.
pub fn is_alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Whether `pid` lives and its command line names `mark`: process ids are reused, so a pid file alone proves nothing.
pub(crate) fn is_ours(pid: i32, mark: &str) -> bool {
    is_alive(pid) && command_line(pid).is_some_and(|line| line.contains(mark))
}

fn command_line(pid: i32) -> Option<String> {
    if let Ok(bytes) = fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let output = Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // A process that is already gone is what the caller wants.
        let _ = kill_process(pid, signal);
    }
}

/// Kills process `pid` without warning and waits until it is gone. False if it still lives after `patience`.
pub fn kill(pid: i32, patience: Duration) -> bool {
    send(pid, Signal::KILL);
    let started = Instant::now();
    while is_alive(pid) {
        if started.elapsed() > patience {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

/// Asks with `gentle`, and after `patience` insists with SIGKILL. False if the process still lives after that.
pub(crate) async fn stop(pid: i32, gentle: Signal, patience: Duration) -> bool {
    send(pid, gentle);
    if is_gone_within(pid, patience).await {
        return true;
    }
    send(pid, Signal::KILL);
    is_gone_within(pid, Duration::from_secs(5)).await
}

async fn is_gone_within(pid: i32, patience: Duration) -> bool {
    let started = Instant::now();
    while is_alive(pid) {
        if started.elapsed() > patience {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
    true
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// A number kept in a small file, such as a port or a process id.
pub(crate) fn read_number<N: std::str::FromStr>(path: &Path) -> Option<N> {
    fs::read_to_string(path).ok()?.lines().next()?.trim().parse().ok()
}
