//! Metric names in dashboards and alert rules: each must be emitted somewhere in the code.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{documents, files_below, read};
use crate::shell::{Failure, root};

/// The previous backend's dashboard asked for these; they are kept.
const OLD_NAMES: &[&str] =
    &["http_request_duration_ms", "http_requests_total", "active_users_total", "worker_nodes_total"];
/// What Prometheus adds to a histogram's name.
const SUFFIXES: &[&str] = &["_bucket", "_sum", "_count"];

/// Names that nothing emits, and old names that no panel shows.
pub fn complaints(deploy: &Path) -> Result<Vec<String>, Failure> {
    let mut expressions = Vec::new();
    for path in files_below(&deploy.join("grafana/dashboards")) {
        let dashboard: Value = serde_json::from_str(&read(&path)?)
            .map_err(|error| Failure::Because(format!("{}: {error}", path.display())))?;
        collect("expr", &dashboard, &mut expressions);
    }
    let on_dashboards = names(&expressions);
    let mut recorded = Vec::new();
    for document in documents(&read(&deploy.join("prometheus/rules.yml"))?)? {
        let rules = serde_json::to_value(document).map_err(|error| Failure::Because(error.to_string()))?;
        collect("expr", &rules, &mut expressions);
        collect("record", &rules, &mut recorded);
    }
    let code = all_code();
    let is_silent = |name: &String| !recorded.contains(name) && !code.contains(&format!("\"{name}\""));
    let silent = names(&expressions).into_iter().filter(is_silent);
    let mut found: Vec<String> = silent.map(|name| format!("deploy: no code emits the metric {name}")).collect();
    let unseen = OLD_NAMES.iter().filter(|name| !on_dashboards.contains(**name));
    found.extend(unseen.map(|name| format!("deploy/grafana: no panel shows {name}")));
    Ok(found)
}

/// The texts under `wanted`, at any depth.
fn collect(wanted: &str, value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(text) if key == wanted => into.push(text.clone()),
                    other => collect(wanted, other, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(wanted, item, into)),
        _ => {}
    }
}

/// The metrics that expressions ask for: ours by prefix, the old ones by name.
fn names(expressions: &[String]) -> BTreeSet<String> {
    let words = expressions.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let plain = words.map(|word| SUFFIXES.iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word));
    plain.filter(|word| word.starts_with("minispod_") || OLD_NAMES.contains(word)).map(str::to_owned).collect()
}

fn all_code() -> String {
    let folders = ["crates", "projections"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| files_below(folder));
    // This file names metrics without emitting them.
    let sources = files.filter(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with(file!()));
    sources.filter_map(|path| fs::read_to_string(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_out_of_expressions() {
        let text = "histogram_quantile(0.95, sum by (le) (rate(minispod_a_seconds_bucket[5m]))) > active_users_total";
        let found = names(&[text.to_owned()]);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["active_users_total", "minispod_a_seconds"]);
    }

    #[test]
    fn expressions_are_found_at_any_depth() {
        let mut found = Vec::new();
        collect("expr", &serde_json::json!({"panels": [{"targets": [{"expr": "a"}]}], "expr": "b"}), &mut found);
        found.sort();
        assert_eq!(found, ["a", "b"]);
    }
}
