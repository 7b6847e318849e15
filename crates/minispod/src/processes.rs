//! Processes by id and start time: an id alone is given away again, so nothing is signalled on its word.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Place of the start time behind the program's name in `/proc/<pid>/stat` (field 22, the name is field 2).
const START_AFTER_NAME: usize = 19;

/// When the process of this id began, in words that no other process of this id ever has; `None` when it has ended.
pub fn start_of(pid: u32) -> Option<String> {
    if !Path::new("/proc/self/stat").exists() {
        return start_by_ps(pid);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, brackets too; what follows its last one is numbers.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if has_ended(fields.first()?) {
        return None;
    }
    // Ticks since the machine started, so which start of the machine belongs to it.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{}/{}", boot.trim(), fields.get(START_AFTER_NAME)?))
}

fn start_by_ps(pid: u32) -> Option<String> {
    let output = Command::new("ps").args(["-o", "stat=", "-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (state, start) = text.trim().split_once(' ')?;
    (!has_ended(state)).then(|| start.trim().to_owned())
}

/// A zombie waits for its parent and runs nothing.
fn has_ended(state: &str) -> bool {
    state.starts_with(['Z', 'X'])
}

/// Sends a signal (`-TERM`) to the process of this id if it began at `start`; whether it was still that one.
pub fn signal(pid: u32, start: &str, signal: &str) -> bool {
    if start_of(pid).as_deref() != Some(start) {
        return false;
    }
    // A process that ends meanwhile is what the caller wants.
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_another_of_the_same_id() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep can be started");
        let start = start_of(child.id()).expect("it runs");
        assert_eq!(start_of(child.id()), Some(start.clone()), "the start does not change");
        assert!(!signal(child.id(), "another start", "-KILL"), "an older record of this id is not believed");
        assert!(child.try_wait().expect("it can be asked").is_none(), "and nothing is sent");
        assert!(signal(child.id(), &start, "-KILL"));
        child.wait().expect("it ends");
        assert_eq!(start_of(child.id()), None);
        assert_eq!(start_by_ps(u32::MAX - 7), None);
    }
}
