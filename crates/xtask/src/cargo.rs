//! Asking cargo: commands at the workspace's root, and what its metadata says about packages.

use std::{path::PathBuf, process::Command};

use serde::Deserialize;

use crate::shell::{Failure, quietly, root, variable};

/// `cargo` with these arguments, to be run at the workspace's root.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    command.args(arguments).current_dir(root());
    command
}

/// What `cargo metadata` says of this workspace.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The workspace's own packages.
    pub packages: Vec<Package>,
    /// Where programs are built.
    pub target_directory: PathBuf,
}

/// A package of the workspace.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Such as `minispod-kernel`.
    pub name: String,
    /// What it uses.
    pub dependencies: Vec<Dependency>,
    /// Its libraries, programs, tests and examples.
    pub targets: Vec<Target>,
}

/// One package's use of another.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The other's name.
    pub name: String,
    /// `dev`, `build`, or nothing.
    pub kind: Option<String>,
    /// Set when the other is in this workspace.
    pub path: Option<PathBuf>,
}

/// Something cargo can build.
#[derive(Debug, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// `lib`, `bin`, `test`, `example` …
    pub kind: Vec<String>,
}

impl Metadata {
    /// Asks cargo.
    pub fn read() -> Result<Self, Failure> {
        let text = quietly(&mut command(&["metadata", "--format-version=1", "--no-deps"]))?;
        serde_json::from_str(&text).map_err(|error| format!("cannot read cargo's metadata: {error}").into())
    }

    /// Whether `package` has a target of this kind and name.
    pub fn has(&self, package: &str, kind: &str, target: &str) -> bool {
        self.targets(package, kind).any(|found| found == target)
    }

    /// The names of `package`'s targets of one kind.
    pub fn targets<'a>(&'a self, package: &'a str, kind: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        let of_package = self.packages.iter().filter(move |candidate| candidate.name == package);
        let targets = of_package.flat_map(|found| &found.targets);
        targets.filter(move |target| target.kind.iter().any(|k| k == kind)).map(|target| target.name.as_str())
    }

    /// The path of a program built in debug mode.
    pub fn debug_program(&self, name: &str) -> PathBuf {
        self.target_directory.join("debug").join(name)
    }
}
