//! `cargo xtask tidy`: what the compiler does not hold — arrows between rooms, sizes, names, the top level.

mod files;
mod levels;

use crate::{
    cargo::Metadata,
    report::Outcome,
    shell::{Failure, because, quietly, root},
};

/// Prints every complaint and fails if there is one.
pub fn run() -> Result<(), Failure> {
    let outcome = check()?;
    if outcome.failures.is_empty() {
        println!("tidy: {} rules hold", outcome.passed);
        return Ok(());
    }
    because(format!("{} complaints:\n{}", outcome.failures.len(), outcome.failures.join("\n")))
}

/// All rules.
pub fn check() -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    outcome.record(levels::complaints(&Metadata::read()?.packages));
    let listed = tracked_files()?;
    outcome.record(files::top_level(&listed));
    let mut of_files: Vec<Vec<String>> = vec![Vec::new(); files::RULES.len()];
    for path in listed.iter().filter(|path| files::is_source(path)) {
        let Ok(text) = std::fs::read_to_string(root().join(path)) else { continue };
        for (rule, found) in files::RULES.iter().zip(&mut of_files) {
            found.extend(rule(path, &text));
        }
    }
    for found in of_files {
        outcome.record(found);
    }
    Ok(outcome)
}

/// What git knows, and new files it would not ignore: a complaint should come before the commit.
fn tracked_files() -> Result<Vec<String>, Failure> {
    let mut git = std::process::Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let mut listed: Vec<String> = quietly(&mut git)?.lines().map(str::to_owned).collect();
    listed.retain(|path| root().join(path).exists());
    Ok(listed)
}
