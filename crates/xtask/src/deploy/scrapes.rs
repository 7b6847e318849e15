//! Where metrics are read: every role at its metrics port by Prometheus, and by nobody through an Ingress.

use std::{collections::BTreeSet, path::Path};

use serde_yaml_ng::Value;

use super::{
    documents,
    manifests::{at, text},
    read,
};
use crate::shell::Failure;

const METRICS_PORT: &str = "9464";
const PATH: &str = "/metrics";
/// The binary's subcommands that run for ever.
const ROLES: &[&str] = &["api", "relay", "projector", "provisioner", "billing", "mailer"];

/// Roles that the shipped Prometheus does not find.
pub fn complaints(deploy: &Path) -> Result<Vec<String>, Failure> {
    let config = documents(&read(&deploy.join("prometheus/prometheus.yml"))?)?.remove(0);
    let jobs = config.get("scrape_configs").and_then(Value::as_sequence).into_iter().flatten();
    let groups = jobs.filter_map(|job| job.get("static_configs")?.as_sequence()).flatten();
    let targets: BTreeSet<&str> =
        groups.filter_map(|group| group.get("targets")?.as_sequence()).flatten().filter_map(Value::as_str).collect();
    let wanted: Vec<String> = ROLES.iter().map(|role| format!("{role}:{METRICS_PORT}")).collect();
    let missing = wanted.iter().filter(|target| !targets.contains(target.as_str()));
    Ok(missing.map(|target| format!("prometheus.yml does not scrape {target}")).collect())
}

/// Deployments that are scraped at another port, and Ingresses that lead to metrics.
pub fn complaints_of_manifests(folder: &str, documents: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for document in documents {
        let name = text(document, &["metadata", "name"]);
        match text(document, &["kind"]) {
            "Deployment" => {
                let annotated = text(document, &["spec", "template", "metadata", "annotations", "prometheus.io/port"]);
                if annotated != METRICS_PORT {
                    found.push(format!("deploy/k8s/{folder}: Deployment {name} is scraped at port {annotated:?}"));
                }
            }
            "Ingress" if routes_metrics(document) => {
                found.push(format!("deploy/k8s/{folder}: Ingress {name} leads to {PATH}"));
            }
            _ => {}
        }
    }
    found
}

fn routes_metrics(ingress: &Value) -> bool {
    let rules = at(ingress, &["spec", "rules"]).and_then(Value::as_sequence).into_iter().flatten();
    let mut paths = rules.filter_map(|rule| at(rule, &["http", "paths"])?.as_sequence()).flatten();
    let by_path = paths.any(|path| {
        let prefix = text(path, &["path"]).trim_end_matches('/');
        match text(path, &["pathType"]) {
            "Exact" => prefix == PATH,
            _ => prefix.is_empty() || prefix == PATH,
        }
    });
    by_path || at(ingress, &["spec", "defaultBackend"]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ingress_for_everything_leads_to_metrics() {
        let ingress = |path: &str, kind: &str| {
            let text = format!(
                "{{kind: Ingress, metadata: {{name: i}}, spec: {{rules: [{{http: {{paths: [{{path: {path}, pathType: {kind}}}]}}}}]}}}}"
            );
            complaints_of_manifests("x", &[serde_yaml_ng::from_str(&text).expect("YAML")]).len()
        };
        assert_eq!((ingress("/", "Prefix"), ingress("/metrics", "Exact")), (1, 1));
        assert_eq!((ingress("/api/", "Prefix"), ingress("/", "Exact")), (0, 0));
    }
}
