//! Generated files: who writes them, and whether the committed ones are what would be written now.

use crate::{
    cargo::{self, Metadata},
    deploy,
    report::Outcome,
    shell::{Failure, aloud, because, quietly, say},
};

/// A program that writes generated files, and with `--check` compares instead.
struct Generator {
    what: &'static str,
    package: &'static str,
    example: &'static str,
}

const GENERATORS: &[Generator] = &[
    Generator { what: "event schemas", package: "minispod-events", example: "schemas" },
    Generator { what: "OpenAPI document", package: "minispod-api", example: "openapi" },
];

/// Writes all of them.
pub fn write() -> Result<(), Failure> {
    let metadata = Metadata::read()?;
    for Generator { what, package, example } in present(&metadata) {
        say(&format!("writing: {what}"));
        aloud(&mut cargo::command(&["run", "--quiet", "--package", package, "--example", example]))?;
    }
    say("writing: copy of nats/accounts.conf for kustomize");
    deploy::write_copies()
}

/// Compares all of them.
pub fn check() -> Result<Outcome, Failure> {
    let metadata = Metadata::read()?;
    let mut outcome = Outcome::default();
    for Generator { what, package, example } in present(&metadata) {
        let arguments = ["run", "--quiet", "--package", package, "--example", example, "--", "--check"];
        match quietly(&mut cargo::command(&arguments)) {
            Ok(_) => outcome.passed += 1,
            Err(Failure::Because(reason)) => {
                outcome.failures.push(format!("{what}: {reason}\nwrite them again with: cargo xtask schemas"));
            }
            Err(Failure::Reported) => outcome.failures.push(what.to_string()),
        }
    }
    if outcome.passed == 0 && outcome.failures.is_empty() {
        return because("no generator of schemas was found");
    }
    Ok(outcome)
}

fn present(metadata: &Metadata) -> impl Iterator<Item = &'static Generator> + '_ {
    GENERATORS.iter().filter(|generator| metadata.has(generator.package, "example", generator.example))
}
