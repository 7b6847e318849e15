//! Which variables the manifests set: each must be one the binary reads, and what an operator must decide is offered.

use std::{collections::BTreeSet, path::Path};

use serde_yaml_ng::Value;

use super::read;
use crate::shell::{Failure, root};

/// Decided per installation, so the example names them.
const OFFERED: &[&str] = &[
    "K8S_STORAGE_CLASS",
    "K8S_INGRESS_CLASS",
    "K8S_TLS_ISSUER",
    "MINISPOD_TRUSTED_PROXIES",
    "MINISPOD_METRICS_TOKEN",
    "GOOGLE_SIGN_IN",
    "GOOGLE_CLIENT_ID",
];
/// The rest of what the binary reads every way to deploy passes on to every role, but for these.
const ELSEWHERE: &[&str] = &[
    // Other names of the same keys.
    "NODE_ENV",
    "PORT",
    "RATE_LIMIT_MAX",
    "KUBERNETES_ENABLED",
    "SMTP_HOST",
    "SMTP_PORT",
    "SMTP_SECURE",
    "SMTP_USER",
    "SMTP_PASS",
    // Read by the compose file, the tests and their runner; and how ours begin.
    "MINISPOD_",
    "MINISPOD_TEST_",
    "MINISPOD_VERSION",
    "MINISPOD_REQUIRE",
    "MINISPOD_LONG",
    "MINISPOD_CHAOS_SEED",
    // Set in the image.
    "MINISPOD_LISTEN",
    "MINISPOD_METRICS_LISTEN",
    "MINISPOD_LOG_FORMAT",
    // Only for those who operate, or laid over by them.
    "MINISPOD_NATS_ADMIN_PASSWORD",
    "MINISPOD_NATS_ANALYST_PASSWORD",
    "MINISPOD_NATS_OVERLAY",
    // Where the world is played.
    "MIDTRANS_BASE_URL",
    "GOOGLE_KEYS_URL",
];
/// Each role's Secret brings them in a cluster, and the cluster itself how it is spoken to.
const SECRETS: &[&str] = &[
    "DATABASE_URL",
    "JWT_SECRET",
    "KUBECONFIG_PATH",
    "MIDTRANS_SERVER_KEY",
    "MINISPOD_MASTER_KEY",
    "MINISPOD_METRICS_TOKEN",
    "MINISPOD_NATS_API_PASSWORD",
    "MINISPOD_NATS_BILLING_PASSWORD",
    "MINISPOD_NATS_MAILER_PASSWORD",
    "MINISPOD_NATS_PROJECTOR_PASSWORD",
    "MINISPOD_NATS_PROVISIONER_PASSWORD",
    "MINISPOD_NATS_RELAY_PASSWORD",
    "SMTP_URL",
];
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
        let place = format!("compose.yaml: {}", name.as_str().unwrap_or_default());
        found.extend(judge(&place, &set, &known, &passed_on(&known, &[])));
    }
    let example = read(&deploy.join("env.example"))?;
    let lines = example.lines().filter(|line| !line.starts_with('#'));
    let set: BTreeSet<String> =
        lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned()).collect();
    let is_ours = |name: &&String| ["MINISPOD_", "K8S_", "GOOGLE_"].iter().any(|begin| name.starts_with(begin));
    let ours = set.iter().filter(is_ours).cloned().collect();
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
    let offered = passed_on(&known, SECRETS);
    let judged = documents.iter().filter(named).flat_map(|document| {
        judge(&format!("deploy/k8s/{folder}: minispod-settings"), &keys(document.get("data")), &known, &offered)
    });
    Ok(judged.collect())
}

/// What every way to deploy must pass on, but for `others`.
fn passed_on<'a>(known: &'a BTreeSet<String>, others: &[&str]) -> Vec<&'a str> {
    let is_elsewhere = |name: &str| ELSEWHERE.contains(&name) || others.contains(&name);
    known.iter().map(String::as_str).filter(|name| !is_elsewhere(name)).collect()
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
    let is_name = |word: &&str| {
        word.len() > 3
            && word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
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

    #[test]
    fn whatever_the_binary_reads_is_passed_on_unless_it_is_named() {
        let known = known().expect("the file is there");
        let all = passed_on(&known, &[]);
        for name in ["GOOGLE_CLIENT_ID", "MINISPOD_READS_PER_MINUTE", "JWT_EXPIRES_IN", "DATABASE_URL"] {
            assert!(all.contains(&name), "{name}");
        }
        assert!(!passed_on(&known, SECRETS).contains(&"DATABASE_URL"));
        let named = ELSEWHERE.iter().chain(SECRETS).chain(OFFERED);
        let gone: Vec<_> = named.filter(|name| !known.contains(**name)).collect();
        assert!(gone.is_empty(), "nothing reads {gone:?} any more");
    }
}
