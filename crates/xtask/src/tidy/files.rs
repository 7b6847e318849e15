//! Rules about single files: how long, how they begin, what they are called, and what may lie at the top.

use std::{collections::BTreeSet, path::Path};

use crate::rust_text::{bare, functions};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;

/// The decided top level; files that begin with a dot and lock files may be there too.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "crates",
    "deploy",
    "events",
    "migrations",
    "nats",
    "projections",
    "rust-toolchain.toml",
    "tests",
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "misc", "mod", "stuff", "util", "utils"];

/// A rule looks at one file and gives its complaints.
pub type Rule = fn(path: &str, text: &str) -> Vec<String>;

/// The rules for every source file.
pub const RULES: &[Rule] = &[length, function_length, first_line, name, no_ignored_test];

/// Rust and SQL are held to the rules.
pub fn is_source(path: &str) -> bool {
    is_rust(path) || has_ending(path, "sql")
}

fn is_rust(path: &str) -> bool {
    has_ending(path, "rs")
}

fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == ending)
}

/// Exactly the decided entries: none more, none missing.
pub fn top_level(listed: &[String]) -> Vec<String> {
    let present: BTreeSet<&str> = listed.iter().filter_map(|path| path.split('/').next()).collect();
    let is_free = |entry: &str| entry.starts_with('.') || has_ending(entry, "lock") || TOP_LEVEL.contains(&entry);
    let extra =
        present.iter().filter(|entry| !is_free(entry)).map(|entry| format!("{entry}: not a room of the top level"));
    let missing = TOP_LEVEL.iter().filter(|entry| !present.contains(*entry)).map(|entry| format!("{entry}: missing"));
    extra.chain(missing).collect()
}

fn length(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    if lines <= MAX_FILE_LINES { vec![] } else { vec![format!("{path}: {lines} lines, at most {MAX_FILE_LINES}")] }
}

fn function_length(path: &str, text: &str) -> Vec<String> {
    if !is_rust(path) {
        return vec![];
    }
    let too_long = functions(&bare(text)).into_iter().filter(|function| function.length > MAX_FUNCTION_LINES);
    too_long
        .map(|f| format!("{path}:{}: fn {} has {} lines, at most {MAX_FUNCTION_LINES}", f.line, f.name, f.length))
        .collect()
}

fn first_line(path: &str, text: &str) -> Vec<String> {
    let begins_well = !is_rust(path) || text.lines().next().is_some_and(|line| line.starts_with("//! "));
    if begins_well { vec![] } else { vec![format!("{path}: the first line must be `//!` and say what is here")] }
}

fn name(path: &str, _: &str) -> Vec<String> {
    let stem = path.rsplit('/').next().and_then(|file| file.split('.').next()).unwrap_or_default();
    let folder = path.rsplit('/').nth(1).unwrap_or_default();
    let empty = [stem, folder].into_iter().find(|name| EMPTY_NAMES.contains(name));
    empty.map(|name| format!("{path}: `{name}` does not say what is inside")).into_iter().collect()
}

fn no_ignored_test(path: &str, text: &str) -> Vec<String> {
    if !is_rust(path) {
        return vec![];
    }
    let bare = bare(text);
    let lines = bare.lines().enumerate().filter(|(_, line)| line.contains("#[ignore"));
    lines.map(|(at, _)| format!("{path}:{}: an ignored test; skip with a reason instead", at + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_and_a_long_function_are_found() {
        let long = format!("//! Words.\nfn f() {{\n{}}}\n", "    g();\n".repeat(71));
        assert_eq!(function_length("a.rs", &long), ["a.rs:2: fn f has 71 lines, at most 70"]);
        assert!(length("a.rs", &long).is_empty());
        assert_eq!(length("a.sql", &"x\n".repeat(601)).len(), 1);
    }

    #[test]
    fn the_first_line_must_speak() {
        assert!(first_line("a.rs", "//! Says it.\n").is_empty());
        assert_eq!(first_line("a.rs", "use std::fs;\n").len(), 1);
        assert_eq!(first_line("a.rs", "").len(), 1);
        assert!(first_line("a.sql", "SELECT 1").is_empty());
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        assert_eq!(name("crates/x/src/utils.rs", "").len(), 1);
        assert_eq!(name("crates/x/src/a/mod.rs", "").len(), 1);
        assert_eq!(name("crates/x/helpers/a.rs", "").len(), 1);
        assert!(name("crates/x/src/wallet.rs", "").is_empty());
    }

    #[test]
    fn an_ignored_test_is_found_but_not_in_words() {
        assert_eq!(no_ignored_test("a.rs", "#[test]\n#[ignore]\nfn t() {}").len(), 1);
        assert!(no_ignored_test("a.rs", "// #[ignore]\nlet a = \"#[ignore]\";").is_empty());
    }

    #[test]
    fn the_top_level_is_exactly_as_decided() {
        let mut listed: Vec<String> = TOP_LEVEL.iter().map(|entry| format!("{entry}/x")).collect();
        listed.extend([".gitignore".to_owned(), "Cargo.lock".to_owned()]);
        assert!(top_level(&listed).is_empty());
        listed.push("scripts/a.sh".to_owned());
        listed.retain(|path| !path.starts_with("nats"));
        assert_eq!(top_level(&listed), ["scripts: not a room of the top level", "nats: missing"]);
    }
}
