//! `cargo xtask test`: the tiers in their order, one server pair for all of them, and the table at the end.

use std::{
    io::{BufRead, BufReader, pipe},
    process::{Command, Stdio},
    time::Instant,
};

use clap::ValueEnum;

use crate::{
    cargo::{self, Metadata},
    checks, containers, deploy,
    report::{Outcome, Reader, Row, table},
    schemas,
    servers::Servers,
    shell::{Failure, aloud, say},
    tidy, tools,
};

/// A group of checks; the order here is the order of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Tier {
    /// rustfmt
    Fmt,
    /// clippy without a warning
    Clippy,
    /// arrows, sizes and names
    Tidy,
    /// generated files are what would be generated now
    Generated,
    /// unit tests, given/when/then, documentation examples
    Unit,
    /// the rooms on real Postgres, NATS and SMTP
    Integration,
    /// the provisioner on a real control plane
    Kubernetes,
    /// the provisioner on real containers; only when asked for
    Containers,
    /// the whole system through its public doors
    Stories,
    /// manifests, dashboards and rules
    Deploy,
}

/// Which checks are wanted.
pub struct Wanted {
    /// Only these tiers; all if empty.
    pub only: Vec<Tier>,
    /// The long size of chaos and permutation tests.
    pub long: bool,
    /// Only tests whose name contains this.
    pub filter: Option<String>,
}

/// Runs the wanted tiers; fails if anything in them did.
pub fn run(wanted: &Wanted) -> Result<(), Failure> {
    let tiers: Vec<Tier> =
        Tier::value_variants().iter().copied().filter(|t| wanted.only.is_empty() || wanted.only.contains(t)).collect();
    let needs_servers = tiers.iter().any(|tier| tier.needs_servers());
    let mut rows = Vec::new();
    if needs_servers {
        let started = Instant::now();
        let outcome = tools_outcome(tools::fetch(tools_of(&tiers)));
        rows.push(Row { tier: "tools", outcome, took: started.elapsed() });
    }
    let mut servers = None;
    for tier in tiers {
        if tier.needs_servers() && servers.is_none() {
            servers = Some(Servers::start().inspect_err(|error| say(&format!("no shared servers: {error:?}"))));
        }
        let variables = match &servers {
            Some(Ok(servers)) => servers.variables.clone(),
            _ => Vec::new(),
        };
        say(&format!("== {}", tier.name()));
        let started = Instant::now();
        let outcome = tier.run(wanted, &variables).unwrap_or_else(|failure| Outcome {
            failures: vec![match failure {
                Failure::Because(reason) => reason,
                Failure::Reported => "failed; see above".to_owned(),
            }],
            ..Outcome::default()
        });
        rows.push(Row { tier: tier.name(), outcome, took: started.elapsed() });
    }
    drop(servers);
    let failed = rows.iter().any(|row| !row.outcome.failures.is_empty());
    println!("\n{}", table(&rows));
    if failed { Err(Failure::Reported) } else { Ok(()) }
}

/// What these tiers need beside the servers.
fn tools_of(tiers: &[Tier]) -> tools::Wanted {
    let has = |tier| tiers.contains(&tier);
    tools::Wanted {
        cluster: has(Tier::Kubernetes) || has(Tier::Stories),
        pdf: has(Tier::Integration),
        contract: has(Tier::Stories),
    }
}

/// A tool that cannot be had is not a failure by itself: the tests that need it say so, and fail where it is required.
fn tools_outcome(fetched: Result<(), Failure>) -> Outcome {
    match fetched {
        Ok(()) => Outcome { passed: 1, ..Outcome::default() },
        Err(Failure::Because(reason)) => Outcome { skipped: vec![reason], ..Outcome::default() },
        Err(Failure::Reported) => Outcome { skipped: vec!["see above".to_owned()], ..Outcome::default() },
    }
}

impl Tier {
    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Tidy => "tidy",
            Self::Generated => "generated",
            Self::Unit => "unit",
            Self::Integration => "integration",
            Self::Kubernetes => "kubernetes",
            Self::Containers => "containers",
            Self::Stories => "stories",
            Self::Deploy => "deploy",
        }
    }

    fn needs_servers(self) -> bool {
        matches!(self, Self::Unit | Self::Integration | Self::Kubernetes | Self::Stories)
    }

    fn run(self, wanted: &Wanted, variables: &[(String, String)]) -> Result<Outcome, Failure> {
        let tests = |commands: Vec<Command>| run_tests(commands, &[], wanted, variables);
        match self {
            Self::Fmt => Ok(checks::one("cargo fmt --all", cargo::command(&["fmt", "--all", "--check"]))),
            Self::Clippy => {
                let arguments = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
                Ok(checks::one("cargo clippy", cargo::command(&arguments)))
            }
            Self::Tidy => tidy::check(),
            Self::Generated => schemas::check(),
            Self::Unit => tests(vec![
                cargo::command(&["test", "--workspace", "--lib", "--bins", "--no-fail-fast"]),
                cargo::command(&["test", "--workspace", "--doc", "--no-fail-fast"]),
            ]),
            Self::Integration | Self::Kubernetes => tests(vec![programs_of(self)?]),
            Self::Containers => {
                if let Some(excuse) = containers::excuse(wanted.only.contains(&self)) {
                    return Ok(excuse);
                }
                containers::fetch()?;
                let mut command = programs_of(self)?;
                containers::beside_cluster(&mut command)?;
                tests(vec![command])
            }
            Self::Stories => {
                // The stories start the binary itself.
                aloud(&mut cargo::command(&["build", "--workspace", "--bins"]))?;
                // Each story runs a whole installation: two at once would measure each other's patience.
                run_tests(vec![programs_of(self)?], &["--test-threads=1"], wanted, variables)
            }
            Self::Deploy => deploy::check(),
        }
    }
}

/// The test programs of a tier. Always chosen out of the whole workspace: a choice of packages would give the
/// dependencies other features, and everything would be built twice.
fn programs_of(tier: Tier) -> Result<Command, Failure> {
    let metadata = Metadata::read()?;
    let mut command = cargo::command(&["test", "--workspace", "--no-fail-fast"]);
    for package in &metadata.packages {
        for test in metadata.targets(&package.name, "test").filter(|test| tier_of(&package.name, test) == tier) {
            command.args(["--test", test]);
        }
    }
    Ok(command)
}

fn tier_of(package: &str, test: &str) -> Tier {
    match (package, test) {
        ("minispod-provisioner", "kubernetes") => Tier::Kubernetes,
        ("minispod-provisioner", "containers") => Tier::Containers,
        ("minispod-e2e", _) => Tier::Stories,
        _ => Tier::Integration,
    }
}

/// `harness`: arguments for the test programs themselves.
fn run_tests(
    commands: Vec<Command>,
    harness: &[&str],
    wanted: &Wanted,
    variables: &[(String, String)],
) -> Result<Outcome, Failure> {
    let mut total = Outcome::default();
    for mut command in commands {
        command.envs(variables.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        if wanted.long {
            command.env("MINISPOD_LONG", "1");
        }
        command.arg("--").args(harness).args(&wanted.filter);
        let outcome = read_tests(command)?;
        total.passed += outcome.passed;
        total.failures.extend(outcome.failures);
        total.skipped.extend(outcome.skipped);
    }
    Ok(total)
}

/// Shows what the tests print and counts it. Both streams share one pipe, so their order is kept.
fn read_tests(mut command: Command) -> Result<Outcome, Failure> {
    let (reader, writer) = pipe().map_err(|error| format!("cannot make a pipe: {error}"))?;
    let second = writer.try_clone().map_err(|error| format!("cannot share a pipe: {error}"))?;
    command.stdout(writer).stderr(second);
    let mut child = command.spawn().map_err(|error| format!("cannot run cargo: {error}"))?;
    // Our own ends of the pipe live in `command`; while they are open the reader would never see the end.
    drop(command);
    let mut counting = Reader::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line.map_err(|error| format!("cannot read the tests' output: {error}"))?;
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        counting.line(&line);
    }
    let status = child.wait().map_err(|error| format!("cannot wait for cargo: {error}"))?;
    Ok(counting.finish(status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_are_counted_and_the_end_is_seen() {
        let mut command = Command::new("/bin/sh");
        let script = "echo '     Running tests/a.rs (target/debug/deps/a-00)' >&2; echo 'test x ... ok'; \
                      echo 'SKIP y: no server' >&2; echo 'test y ... ok'; echo 'test result: ok. 2 passed'";
        command.args(["-c", script]);
        let outcome = read_tests(command).expect("the shell runs");
        assert_eq!((outcome.passed, outcome.skipped), (1, vec!["y: no server".to_owned()]));
        assert!(outcome.failures.is_empty());
    }

    #[test]
    fn a_tier_gets_the_tools_that_its_tests_require() {
        assert_eq!(tools_of(Tier::value_variants()), tools::Wanted::ALL);
        assert_eq!(tools_of(&[Tier::Unit]), tools::Wanted::default());
        assert!(tools_of(&[Tier::Integration]).pdf && tools_of(&[Tier::Stories]).cluster);
    }

    #[test]
    fn every_test_program_belongs_to_one_tier() {
        assert_eq!(tier_of("minispod-provisioner", "kubernetes"), Tier::Kubernetes);
        assert_eq!(tier_of("minispod-provisioner", "containers"), Tier::Containers);
        assert_eq!(tier_of("minispod-e2e", "stories"), Tier::Stories);
        assert_eq!(tier_of("minispod-store", "store"), Tier::Integration);
    }
}
