//! Small outcomes: a check that is one command, and a check that cannot run here.

use std::process::Command;

use crate::{
    report::Outcome,
    shell::{self, Failure},
};

/// Runs `command` aloud as a single check.
pub fn one(name: &str, mut command: Command) -> Outcome {
    match shell::aloud(&mut command) {
        Ok(()) => Outcome { passed: 1, ..Outcome::default() },
        Err(Failure::Because(reason)) => Outcome { failures: vec![reason], ..Outcome::default() },
        Err(Failure::Reported) => Outcome { failures: vec![name.to_owned()], ..Outcome::default() },
    }
}

/// A check that cannot run here.
pub fn skipped(name: &str, reason: &str) -> Outcome {
    Outcome { skipped: vec![format!("{name}: {reason}")], ..Outcome::default() }
}

impl Outcome {
    /// Adds another's counts to this one's.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
        self.skipped.extend(other.skipped);
    }

    /// Counts a check by whether it found anything wrong.
    pub fn record(&mut self, complaints: Vec<String>) {
        if complaints.is_empty() {
            self.passed += 1;
        } else {
            self.failures.extend(complaints);
        }
    }
}
