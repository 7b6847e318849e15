//! Whether a test's outside parts are here: a missing one skips the test, or fails it where the run requires it.

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
};

use minispod_localservers::Places;

/// True if `part` (`pg`, `nats`, `k8s`, `containers`, `nats-cli`, `pdf` or `schemathesis`) can be had here.
///
/// If not: prints `SKIP <test>: <reason>` and returns false, so that the test returns; or panics when
/// `MINISPOD_REQUIRE` (comma-separated) names the part.
pub fn require(part: &str) -> bool {
    let Err(reason) = look_for(part) else { return true };
    let required = variable("MINISPOD_REQUIRE").is_some_and(|list| list.split(',').any(|name| name.trim() == part));
    assert!(!required, "MINISPOD_REQUIRE names `{part}`, but {reason}");
    let test = thread::current().name().unwrap_or("?").to_owned();
    // Written to the stream itself: the test harness swallows what the print macros say in a passing test.
    let _ = writeln!(io::stderr(), "SKIP {test}: {reason}");
    false
}

/// Why `part`, as [`require`] knows it, cannot be had here; `None` when it can.
pub fn missing(part: &str) -> Option<String> {
    look_for(part).err()
}

/// Whether chaos, kill-point and permutation tests are asked for their long size (`cargo xtask test --long`).
pub fn is_long_run() -> bool {
    variable("MINISPOD_LONG").is_some()
}

/// Where an outside program is, such as `nats`; as [`require`] finds it.
pub fn program_path(name: &str) -> Option<PathBuf> {
    Places::from_env().program(name)
}

fn look_for(part: &str) -> Result<(), String> {
    let places = Places::from_env();
    match part {
        "pg" if variable("MINISPOD_TEST_PG").is_some() => Ok(()),
        "nats" if variable("MINISPOD_TEST_NATS").is_some() => Ok(()),
        "pg" => places.postgres().map(|_| ()).map_err(|error| error.to_string()),
        "nats" => places.nats_server().map(|_| ()).map_err(|error| error.to_string()),
        "nats-cli" => program(&places, "nats"),
        "schemathesis" => program(&places, "schemathesis"),
        "pdf" => program(&places, "pdftotext").and_then(|()| program(&places, "pdftoppm")),
        "k8s" if variable("MINISPOD_TEST_KUBECONFIG").is_some() => Ok(()),
        "k8s" => kubernetes(&places).map(|_| ()),
        "containers" if variable("MINISPOD_TEST_CONTAINERS").is_some() => Ok(()),
        "containers" => Err("real containers are there only in: cargo xtask test --only containers".to_owned()),
        other => panic!("`{other}` is none of pg, nats, k8s, containers, nats-cli, pdf, schemathesis"),
    }
}

fn program(places: &Places, name: &str) -> Result<(), String> {
    places
        .program(name)
        .map(|_| ())
        .ok_or_else(|| format!("`{name}` was not found; get it with: cargo xtask tools --all"))
}

/// Where the control plane's programs are: the directory and etcd.
pub(crate) fn kubernetes(places: &Places) -> Result<(PathBuf, PathBuf), String> {
    let given = variable("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let built = given.clone().or_else(|| newest_kubernetes(&places.cache));
    let Some(directory) = built else {
        return Err("no Kubernetes binaries were found; get them with: cargo xtask tools --all".to_owned());
    };
    let servers = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    // envtest's assets have no controller manager, which the tests of objects that follow from others need.
    if let Some(missing) = servers.iter().find(|name| !directory.join(name).is_file()) {
        return Err(format!("{missing} is not in the directory of Kubernetes binaries"));
    }
    let beside = Some(directory.join("etcd")).filter(|etcd| etcd.is_file());
    let etcd = beside.or_else(|| places.program("etcd"));
    let missing = || "`etcd` was not found; get it with: cargo xtask tools --all".to_owned();
    etcd.map(|etcd| (directory, etcd)).ok_or_else(missing)
}

fn newest_kubernetes(cache: &Path) -> Option<PathBuf> {
    let entries = cache.read_dir().ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let is_build = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("kubernetes-v"));
    entries.filter(is_build).max()
}

/// A variable of the environment; empty counts as absent.
#[expect(clippy::disallowed_methods, reason = "tests are configured by the run that starts them")]
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
