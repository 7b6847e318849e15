//! The rules that were found broken, and how often everything happened.

use std::collections::BTreeMap;

use minispod_kernel::Timestamp;

/// What is wrong, in words.
#[derive(Debug, Default)]
pub struct Findings(Vec<String>);

impl Findings {
    /// Says `what` unless it holds.
    pub fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }

    /// Ends the test when anything is wrong.
    pub fn stop_if_any(&self, seed: u64, now: Timestamp) {
        assert!(
            self.0.is_empty(),
            "seed {seed} (replay with MINISPOD_SIM_SEED={seed}), {now}: {} broken:\n{}",
            self.0.len(),
            self.0.join("\n")
        );
    }
}

/// How often everything happened: events by name, and situations by theirs.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Once more.
    pub fn count(&mut self, what: &str) {
        if let Some(count) = self.0.get_mut(what) {
            *count += 1;
        } else {
            self.0.insert(what.to_owned(), 1);
        }
    }

    /// How often.
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// Ends the test unless everything happened at least so often.
    pub fn expect(&self, least: &[(&str, u64)]) {
        let missing: Vec<String> = least
            .iter()
            .filter(|(what, least)| self.of(what) < *least)
            .map(|(what, least)| format!("{what}: {} of {least}", self.of(what)))
            .collect();
        assert!(missing.is_empty(), "too little happened, the simulation proves nothing about it: {missing:?}\n{self}");
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(what, count)| writeln!(f, "{count:>8}  {what}"))
    }
}
