//! Which variables the manifests set: each must be one the binary reads, and what an operator must decide is offered.

use std::{collections::BTreeSet, path::Path};

use serde_yaml_ng::Value;

use super::read;
use crate::shell::{Failure, root};

/// Decided per installation, so every way to deploy passes them on.
const OFFERED: &[&str] =
    &["K8S_STORAGE_CLASS", "K8S_INGRESS_CLASS", "K8S_TLS_ISSUER", "MINISPOD_TRUSTED_PROXIES", "MINISPOD_METRICS_TOKEN"];
/// Comes with the api's Secret in a cluster.
const SECRET: &str = "MINISPOD_METRICS_TOKEN";
/// The image of our roles, in the compose file.
const OUR_IMAGE: &str = "minispod:";

/// What compose file, example settings and image get wrong.
pub fn complaints(deploy: &Path, compose: &Value) -> Result<Vec<String>, Failure> {
    let known = known()?;
    let mut found = Vec::new();
    let services = compose.get("services").and_then(Value::as_mapping).into_iter().flatten();
    let ours = services.filter(|(_, service)| {
        service.get("image").and_then(Value::as_str).is_some_and(|image| image.starts_with(OUR_IMAGE))
    });
    for (name, service) in ours {
        let set = keys(service.get("environment"));
        found.extend(judge(&format!("compose.yaml: {}", name.as_str().unwrap_or_default()), &set, &known, OFFERED));
    }
    let example = read(&deploy.join("env.example"))?;
    let lines = example.lines().filter(|line| !line.starts_with('#'));
    let set: BTreeSet<String> =
        lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned()).collect();
    let ours = set.iter().filter(|name| name.starts_with("MINISPOD_") || name.starts_with("K8S_")).cloned().collect();
    found.extend(judge("env.example", &ours, &known, OFFERED));
    Ok(found)
}

/// What the settings of rendered manifests get wrong.
pub fn complaints_of_settings(folder: &str, documents: &[Value]) -> Result<Vec<String>, Failure> {
    let known = known()?;
    let named = |document: &&Value| {
        let name = document.get("metadata").and_then(|meta| meta.get("name")).and_then(Value::as_str);
        name.is_some_and(|name| name.starts_with("minispod-settings"))
            && document.get("kind").and_then(Value::as_str) == Some("ConfigMap")
    };
    let offered: Vec<&str> = OFFERED.iter().copied().filter(|name| *name != SECRET).collect();
    let judged = documents.iter().filter(named).flat_map(|document| {
        judge(&format!("deploy/k8s/{folder}: minispod-settings"), &keys(document.get("data")), &known, &offered)
    });
    Ok(judged.collect())
}

fn judge(place: &str, set: &BTreeSet<String>, known: &BTreeSet<String>, offered: &[&str]) -> Vec<String> {
    let unknown = set.difference(known).map(|name| format!("{place} sets {name}, which nothing reads"));
    let missing = offered.iter().filter(|name| !set.contains(**name));
    unknown.chain(missing.map(|name| format!("{place} does not pass {name} on"))).collect()
}

fn keys(mapping: Option<&Value>) -> BTreeSet<String> {
    let entries = mapping.and_then(Value::as_mapping).into_iter().flatten();
    entries.filter_map(|(name, _)| name.as_str().map(str::to_owned)).collect()
}

/// The quoted names in the file that reads the environment.
fn known() -> Result<BTreeSet<String>, Failure> {
    let text = read(&root().join("crates/minispod/src/config/environment.rs"))?;
    let is_name =
        |word: &&str| word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    Ok(code.split('"').filter(is_name).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_and_one_that_is_not_passed_on_are_found() {
        let known = known().expect("the file is there");
        assert!(known.contains("MINISPOD_MODE") && known.contains("K8S_STORAGE_CLASS"), "{known:?}");
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(judge("x", &set(OFFERED), &known, OFFERED), Vec::<String>::new());
        let found = judge("x", &set(&["MINISPOD_TRUSTED_PROXY"]), &known, OFFERED);
        assert_eq!(found.len(), 1 + OFFERED.len(), "{found:?}");
    }
}
