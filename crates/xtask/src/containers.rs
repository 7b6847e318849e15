//! The tier of real containers: what it needs of the machine, and its tests beside the cluster that `tests/containers/`
//! makes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    cargo::Metadata,
    report::Outcome,
    shell::{Failure, aloud, on_path, root, variable},
    tools,
};

/// The tier's word in `MINISPOD_REQUIRE`.
const NAME: &str = "containers";
/// What the scripts call, beside Go and etcd, which are looked after by themselves.
const PROGRAMS: [&str; 8] = ["bash", "curl", "go", "ip", "openssl", "python3", "setpriv", "unshare"];

/// Why the tier does not run, as its outcome; `None` when it is to run.
pub fn excuse(asked: bool) -> Option<Outcome> {
    let required = variable("MINISPOD_REQUIRE").is_some_and(|list| list.split(',').any(|name| name.trim() == NAME));
    let missing = if asked || required { missing(&Machine::this()) } else { Vec::new() };
    excuse_of(asked, required, &missing)
}

fn excuse_of(asked: bool, required: bool, missing: &[String]) -> Option<Outcome> {
    if !asked && !required {
        let reason = "only when asked for: cargo xtask test --only containers".to_owned();
        return Some(Outcome { skipped: vec![reason], ..Outcome::default() });
    }
    if missing.is_empty() {
        return None;
    }
    let reason = format!("real containers need {}", missing.join("; "));
    Some(if required {
        Outcome { failures: vec![reason], ..Outcome::default() }
    } else {
        Outcome { skipped: vec![reason], ..Outcome::default() }
    })
}

/// What matters of a machine.
struct Machine {
    is_linux: bool,
    is_root: bool,
    has: fn(&Path) -> bool,
    program: fn(&str) -> Option<PathBuf>,
}

impl Machine {
    fn this() -> Self {
        Self { is_linux: cfg!(target_os = "linux"), is_root: tools::is_root(), has: Path::exists, program: on_path }
    }
}

fn missing(machine: &Machine) -> Vec<String> {
    if !machine.is_linux {
        return vec!["Linux".to_owned()];
    }
    let mut missing = Vec::new();
    let mut need = |is_there: bool, what: &str| {
        if !is_there {
            missing.push(what.to_owned());
        }
    };
    need(machine.is_root, "root, who may mount and make namespaces");
    let groups = (machine.has)(Path::new("/sys/fs/cgroup/memory/tasks"));
    need(groups, "control groups of version 1 at /sys/fs/cgroup (version 2 alone will not do yet)");
    let bridge = (machine.has)(Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables"));
    need(bridge, "packet filters on bridges (modprobe br_netfilter)");
    for program in PROGRAMS {
        need((machine.program)(program).is_some(), program);
    }
    missing
}

/// Gets what is not there yet.
pub fn fetch() -> Result<(), Failure> {
    tools::control_plane()?;
    aloud(&mut Command::new(script("build.sh")))
}

/// Makes `command`, a `cargo test`, run its test programs beside a cluster.
pub fn beside_cluster(command: &mut Command) -> Result<(), Failure> {
    let runner = script("cluster.sh");
    command.args(["--config", &format!("target.'cfg(all())'.runner = [{:?}]", runner.display().to_string())]);
    command.env("MINISPOD_TEST_CONTAINERS_LOGS", Metadata::read()?.target_directory.join("containers-logs"));
    Ok(())
}

fn script(name: &str) -> PathBuf {
    root().join("tests/containers").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: Machine = Machine { is_linux: true, is_root: false, has: |_| false, program: |_| None };

    #[test]
    fn who_did_not_ask_is_told_how_to() {
        let outcome = excuse_of(false, false, &[]).expect("it does not run");
        assert!(outcome.failures.is_empty() && outcome.skipped[0].contains("--only containers"));
        assert_eq!(excuse_of(true, false, &[]), None);
        assert_eq!(excuse_of(false, true, &[]), None, "required is asked");
    }

    #[test]
    fn what_is_missing_is_named_and_fails_only_where_it_is_required() {
        let named = missing(&BARE);
        assert_eq!(named.len(), 3 + PROGRAMS.len(), "{named:?}");
        assert!(named[0].contains("root") && named[1].contains("/sys/fs/cgroup"), "{named:?}");
        assert_eq!(missing(&Machine { is_linux: false, ..BARE }), ["Linux"]);
        let skipped = excuse_of(true, false, &named).expect("it does not run");
        assert!(skipped.failures.is_empty() && skipped.skipped[0].contains("root"));
        assert_eq!(excuse_of(true, true, &named).expect("it does not run").failures.len(), 1);
    }

    #[test]
    fn the_pinned_versions_are_those_of_the_modules() {
        let text = |name: &str| std::fs::read_to_string(script(name)).expect("it is there");
        let pins = text("pins.sh");
        for (name, package, module) in [
            ("COREDNS", "github.com/coredns/coredns", "dns/go.mod"),
            ("TRAEFIK", "github.com/traefik/traefik/v3", "traefik/go.mod"),
            ("LEGO", "github.com/go-acme/lego/v5", "traefik/go.mod"),
        ] {
            let line = pins.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).expect("pinned");
            let version = line.split_whitespace().next().expect("a version");
            assert!(text(module).contains(&format!("{package} {version}")), "{name}: {module} names another");
        }
    }

    #[test]
    fn the_scripts_are_there() {
        assert!(["build.sh", "cluster.sh", "inside.sh", "pins.sh"].into_iter().all(|name| script(name).is_file()));
    }
}
