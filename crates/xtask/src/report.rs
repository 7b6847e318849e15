//! What a tier did: counted from the test programs' own lines, and told in a table at the end.

use std::{collections::BTreeSet, time::Duration};

/// The count of one tier.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Checks that ran and held.
    pub passed: usize,
    /// One line per check that did not hold; details may follow on further lines.
    pub failures: Vec<String>,
    /// `<test>: <reason>` for each check that could not run here.
    pub skipped: Vec<String>,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// The tier's name.
    pub tier: &'static str,
    /// Its count.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// Reads the lines that `cargo test` and its programs print.
#[derive(Debug, Default)]
pub struct Reader {
    passed: usize,
    failed: Vec<String>,
    ignored: Vec<String>,
    skipped: BTreeSet<(String, String)>,
    program: String,
    results: usize,
    programs: usize,
}

impl Reader {
    /// Takes one line of either stream.
    pub fn line(&mut self, line: &str) {
        let line = line.trim_end();
        let trimmed = line.trim_start();
        if let Some(rest) = trimmed.strip_prefix("Running ").or_else(|| trimmed.strip_prefix("Doc-tests ")) {
            let name = rest.rsplit_once('/').map_or(rest, |(_, last)| last).trim_end_matches(')');
            name.rsplit_once('-').map_or(name, |(stem, _)| stem).clone_into(&mut self.program);
            self.programs += 1;
        } else if let Some(at) = line.find("SKIP ") {
            // The harness may have begun a line of its own before the test wrote to the same terminal.
            self.skipped.insert((self.program.clone(), line[at + "SKIP ".len()..].to_owned()));
            self.passed += usize::from(line.starts_with("test "));
        } else if trimmed.starts_with("test result: ") {
            self.results += 1;
        } else if let Some(rest) = line.strip_prefix("test ") {
            self.test(rest);
        }
    }

    fn test(&mut self, rest: &str) {
        let Some((name, verdict)) = rest.rsplit_once(" ... ") else { return };
        let name = name.split(" ... ").next().unwrap_or(name);
        match verdict {
            "ok" => self.passed += 1,
            "FAILED" => self.failed.push(format!("{}::{name}", self.program)),
            other if other.starts_with("ignored") => self.ignored.push(format!("{name}: marked as ignored")),
            _ => {}
        }
    }

    /// The count, once `cargo test` has ended.
    pub fn finish(self, exit_was_success: bool) -> Outcome {
        let mut failures = self.failed;
        if !exit_was_success && failures.is_empty() {
            failures.push(format!("cargo test failed (last program: {})", self.program));
        } else if self.results < self.programs && exit_was_success {
            failures.push("a test program ended without a result".to_owned());
        }
        // A test that skips returns early, so the harness counts it as passed.
        let passed = self.passed.saturating_sub(self.skipped.len());
        let skipped = self.skipped.into_iter().map(|(_, line)| line).chain(self.ignored).collect();
        Outcome { passed, failures, skipped }
    }
}

/// The table, the reasons, and as its last line `N passed, N failed, N skipped`.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![format!("{:<12} {:>7} {:>7} {:>8} {:>7}", "tier", "passed", "failed", "skipped", "time")];
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for Row { tier, outcome, took } in rows {
        let (p, f, s) = (outcome.passed, outcome.failures.len(), outcome.skipped.len());
        (passed, failed, skipped) = (passed + p, failed + f, skipped + s);
        lines.push(format!("{tier:<12} {p:>7} {f:>7} {s:>8} {:>5} s", took.as_secs()));
    }
    for (heading, of) in [("skipped", skipped_of as fn(&Outcome) -> &[String]), ("failed", failures_of)] {
        let told = rows.iter().flat_map(|row| of(&row.outcome).iter().map(|reason| (row.tier, reason)));
        let told: Vec<String> =
            told.map(|(tier, reason)| format!("  {tier}: {}", reason.replace('\n', "\n    "))).collect();
        if !told.is_empty() {
            lines.push(format!("\n{heading}:"));
            lines.extend(told);
        }
    }
    lines.push(format!("\n{passed} passed, {failed} failed, {skipped} skipped"));
    lines.join("\n")
}

fn skipped_of(outcome: &Outcome) -> &[String] {
    &outcome.skipped
}

fn failures_of(outcome: &Outcome) -> &[String] {
    &outcome.failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, success: bool) -> Outcome {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line));
        reader.finish(success)
    }

    #[test]
    fn a_skipped_test_is_not_counted_as_passed() {
        let text = "     Running tests/servers.rs (target/debug/deps/servers-0a1b2c)\ntest a ... ok\n\
                    test b ... SKIP b: no Postgres\ntest c ... ok\ntest d ... ok\ntest result: ok. 4 passed";
        let outcome = read(text, true);
        assert_eq!((outcome.passed, outcome.skipped), (3, vec!["b: no Postgres".to_owned()]));
    }

    #[test]
    fn a_failed_test_names_its_program() {
        let text = "     Running unittests src/lib.rs (target/debug/deps/minispod_kernel-0a1b2c)\n\
                    test money::adds ... FAILED\ntest result: FAILED. 0 passed; 1 failed";
        assert_eq!(read(text, false).failures, ["minispod_kernel::money::adds"]);
    }

    #[test]
    fn a_failure_to_build_and_a_crash_count_as_failures() {
        assert_eq!(read("error[E0308]: mismatched types", false).failures.len(), 1);
        assert_eq!(read("     Running tests/a.rs (target/debug/deps/a-0)\ntest x ... ok", true).failures.len(), 1);
    }

    #[test]
    fn the_last_line_adds_the_tiers_up() {
        let row = |tier, passed, failed: usize| Row {
            tier,
            outcome: Outcome { passed, failures: vec!["x".into(); failed], skipped: vec![] },
            took: Duration::ZERO,
        };
        let text = table(&[row("fmt", 1, 0), row("unit", 40, 2)]);
        assert_eq!(text.lines().last(), Some("41 passed, 2 failed, 0 skipped"));
        assert!(text.contains("  unit: x"));
    }
}
