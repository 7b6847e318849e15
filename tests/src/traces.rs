//! What a system on this machine leaves in the process table, so that a story can say that nothing is left.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Files of the state directory that record a process by its id, in their first line.
const PID_FILES: [&str; 2] = ["nats/nats.pid", "postgres/data/postmaster.pid"];

/// A process; the start time tells it from a later one of the same id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: u32,
    start: String,
}

/// Whatever belongs to the system of one directory.
#[derive(Debug)]
pub struct Traces {
    directory: PathBuf,
    /// Where its processes may work: the directory itself and data that lies elsewhere.
    places: BTreeSet<PathBuf>,
    known: BTreeSet<Process>,
}

impl Traces {
    /// Of the system whose state is in `directory/.minispod`; looks once.
    pub fn of(directory: &Path) -> Self {
        let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf());
        let mut traces = Self { places: BTreeSet::from([directory.clone()]), directory, known: BTreeSet::new() };
        traces.look_again();
        traces
    }

    /// Remembers what runs by now; call it while the system runs, for records go with it.
    pub fn look_again(&mut self) {
        let state = self.directory.join(".minispod");
        // Data that the server's user could not reach lies elsewhere, behind a link.
        self.places.extend(fs::canonicalize(state.join("postgres/data")));
        let first_line = |file: &str| fs::read_to_string(state.join(file)).ok()?.lines().next()?.trim().parse().ok();
        let record = fs::read_to_string(state.join("running.json")).ok();
        let record = record.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let up = record.and_then(|running| running["pid"].as_u64()?.try_into().ok());
        let recorded = PID_FILES.into_iter().filter_map(first_line).chain(up);
        let found = processes().filter(|pid| self.is_here(*pid));
        let living: BTreeSet<Process> =
            recorded.chain(found).filter(|pid| *pid != std::process::id()).filter_map(living).collect();
        self.known.extend(living);
    }

    /// Command lines of what still lives of it. A process that has ended and waits to be collected is none.
    pub fn left(&self) -> Vec<String> {
        processes()
            .filter(|pid| *pid != std::process::id())
            .filter_map(|pid| living(pid).filter(|process| self.known.contains(process) || self.is_here(pid)))
            .map(|process| format!("{} {}", process.pid, command_line(process.pid)))
            .collect()
    }

    /// Whether the process works in one of our places or names one on its command line.
    fn is_here(&self, pid: u32) -> bool {
        let line = command_line(pid);
        // The link of a directory that is gone ends with " (deleted)".
        let works_in = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default().display().to_string();
        self.places.iter().map(|place| place.display().to_string()).any(|place| {
            let rest = works_in.strip_prefix(&place);
            line.contains(&place) || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ' ']))
        })
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The process, unless it is gone or a zombie.
fn living(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; state is the first word after it, the start time the twentieth.
    let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let (state, start) = (words.first()?, words.get(19)?);
    (!matches!(*state, "Z" | "X")).then(|| Process { pid, start: (*start).to_owned() })
}

fn command_line(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("minispod-traces-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join(".minispod/nats")).expect("a directory can be made");
        path
    }

    /// A process that names nothing and ends when its input does.
    fn silent(place: &Path) -> Child {
        Command::new("cat").current_dir(place).stdin(Stdio::piped()).spawn().expect("cat is everywhere")
    }

    fn end(mut child: Child) {
        drop(child.stdin.take());
        child.wait().expect("it ends");
    }

    #[test]
    fn a_process_is_found_by_where_it_works_and_by_its_record() {
        let (here, elsewhere) = (directory("found"), std::env::temp_dir());
        let (working, recorded) = (silent(&here), silent(&elsewhere));
        fs::write(here.join(".minispod/nats/nats.pid"), recorded.id().to_string()).expect("written");
        let traces = Traces::of(&here);
        fs::remove_dir_all(&here).expect("removed");
        assert_eq!(traces.left().len(), 2, "{:?}", traces.left());
        end(working);
        assert_eq!(traces.left().len(), 1, "{:?}", traces.left());
        end(recorded);
        assert_eq!(traces.left(), Vec::<String>::new());
    }

    #[test]
    fn what_has_ended_and_is_not_collected_is_not_left() {
        let here = directory("ended");
        let mut child = silent(&here);
        let traces = Traces::of(&here);
        fs::remove_dir_all(&here).expect("removed");
        assert_eq!(traces.left().len(), 1);
        let stat = format!("/proc/{}/stat", child.id());
        drop(child.stdin.take());
        while !fs::read_to_string(&stat).expect("not collected yet").contains(") Z ") {
            std::thread::yield_now();
        }
        assert_eq!(traces.left(), Vec::<String>::new());
        child.wait().expect("it ends");
    }
}
