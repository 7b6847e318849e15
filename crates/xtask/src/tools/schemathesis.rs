//! Schemathesis in a Python environment of its own: nothing of it meets the machine's Python, and every file has a hash.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command, time::Instant};

use serde::Deserialize;

use super::{cache, make_directory, python_package, system_package, version_of};
use crate::shell::{Failure, because, on_path, quietly, root, say};

/// Which one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    version: String,
}

const PACKAGES: &str = include_str!("../../schemathesis.txt");

impl Pin {
    /// Whether the list of packages is of this version and has a hash for each.
    pub fn check(&self) -> Result<(), Failure> {
        let packages: Vec<&str> = PACKAGES.lines().filter(|line| !line.starts_with(['#', ' '])).collect();
        let wanted = format!("schemathesis=={} ", self.version);
        if !packages.iter().any(|line| line.starts_with(&wanted)) {
            return because(format!("schemathesis.txt does not name {wanted}"));
        }
        // A package's hashes follow on the next lines.
        let bare: Vec<_> = packages.iter().filter(|line| !line.ends_with('\\')).collect();
        if bare.is_empty() { Ok(()) } else { because(format!("no hash: {bare:?}")) }
    }
}

/// Installs it beside the other tools, unless this very version is there.
pub fn fetch(pin: &Pin) -> Result<(), Failure> {
    let program = cache().join("bin/schemathesis");
    if version_of(&program).as_ref() == Some(&pin.version) {
        say(&format!("have  Schemathesis {} ({})", pin.version, program.display()));
        return Ok(());
    }
    pin.check()?;
    if on_path("python3").is_none() {
        return because("Schemathesis, which calls the api by its description, needs Python 3");
    }
    let started = Instant::now();
    say(&format!("get   Schemathesis {} (20 MB)", pin.version));
    let directory = cache().join(format!("schemathesis-{}", pin.version));
    make_directory(&cache().join("bin"))?;
    environment(&directory)?;
    let mut pip = Command::new(directory.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    pip.args(["--no-deps", "--require-hashes", "--requirement"]).arg(root().join("crates/xtask/schemathesis.txt"));
    quietly(&mut pip)?;
    // The link is made last: an environment that is not whole is never found.
    let _ = fs::remove_file(&program);
    symlink(directory.join("bin/schemathesis"), &program)
        .map_err(|error| format!("cannot link {}: {error}", program.display()))?;
    say(&format!("got   Schemathesis {} in {} s", pin.version, started.elapsed().as_secs()));
    Ok(())
}

/// An empty environment in `directory`.
fn environment(directory: &Path) -> Result<(), Failure> {
    let make = || quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(directory)).map(|_| ());
    make().or_else(|_| {
        system_package("Python's venv, which keeps Schemathesis apart,", &python_package("python3-venv"))?;
        make()
    })
}
