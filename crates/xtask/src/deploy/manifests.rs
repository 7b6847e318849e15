//! What the rendered Kubernetes manifests promise: restricted pods, probes, one identity per role, references that exist.

use std::collections::BTreeSet;

use serde_yaml_ng::Value;

/// Made by the operator with `deploy/k8s/secrets.sh`.
const SECRETS_FROM_OUTSIDE: &[&str] = &[
    "minispod-api",
    "minispod-relay",
    "minispod-projector",
    "minispod-provisioner",
    "minispod-billing",
    "minispod-mailer",
    "minispod-operator",
    "minispod-owner",
    "minispod-nats",
];
/// The identities that may hold a token.
const KNOWN_TO_CLUSTER: &[&str] = &["minispod-api", "minispod-provisioner"];

/// Everything that is not as promised.
pub fn complaints(folder: &str, documents: &[Value]) -> Vec<String> {
    let mut found: Vec<String> =
        documents.iter().filter_map(pods).flat_map(|pods| pods.complaints(documents)).collect();
    for kind in ["NetworkPolicy", "PodDisruptionBudget", "ClusterRole", "Service", "ConfigMap"] {
        if !documents.iter().any(|document| text(document, &["kind"]) == kind) {
            found.push(format!("no {kind}"));
        }
    }
    if documents.iter().any(|document| text(document, &["kind"]) == "Secret") {
        found.push("a Secret is committed".to_owned());
    }
    found.extend(broad_rules(documents));
    found.into_iter().map(|complaint| format!("deploy/k8s/{folder}: {complaint}")).collect()
}

/// A workload and the pods it makes.
struct Pods<'a> {
    kind: &'a str,
    name: &'a str,
    spec: &'a Value,
}

fn pods(document: &Value) -> Option<Pods<'_>> {
    let kind = text(document, &["kind"]);
    let path: &[&str] = match kind {
        "Deployment" | "StatefulSet" | "Job" => &["spec", "template", "spec"],
        "CronJob" => &["spec", "jobTemplate", "spec", "template", "spec"],
        _ => return None,
    };
    Some(Pods { kind, name: text(document, &["metadata", "name"]), spec: at(document, path)? })
}

impl Pods<'_> {
    fn complaints(&self, documents: &[Value]) -> Vec<String> {
        let mut found = Vec::new();
        let mut demand = |holds: bool, what: &str| {
            if !holds {
                found.push(format!("{} {}: {what}", self.kind, self.name));
            }
        };
        let security = |path: &[&str]| at(self.spec, &[&["securityContext"], path].concat()).cloned();
        demand(security(&["runAsNonRoot"]) == Some(true.into()), "may run as root");
        demand(security(&["seccompProfile", "type"]).is_some(), "has no seccomp profile");
        let account = text(self.spec, &["serviceAccountName"]);
        demand(exists(documents, "ServiceAccount", account), "runs as an identity that is not here");
        let has_token = at(self.spec, &["automountServiceAccountToken"]) != Some(&false.into());
        demand(
            has_token == KNOWN_TO_CLUSTER.contains(&account),
            "holds a token it needs not, or lacks the one it needs",
        );
        let class = text(self.spec, &["priorityClassName"]);
        demand(exists(documents, "PriorityClass", class), "has no priority, or one that is not here");
        for container in at(self.spec, &["containers"]).and_then(Value::as_sequence).into_iter().flatten() {
            let closed = |path: &[&str], value: bool| at(container, path) == Some(&value.into());
            demand(closed(&["securityContext", "allowPrivilegeEscalation"], false), "may gain privileges");
            demand(closed(&["securityContext", "readOnlyRootFilesystem"], true), "may write to its image");
            demand(at(container, &["securityContext", "capabilities", "drop"]).is_some(), "keeps capabilities");
            demand(at(container, &["resources", "limits", "memory"]).is_some(), "has no memory limit");
            let serves = matches!(self.kind, "Deployment" | "StatefulSet");
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                demand(!serves || container.get(probe).is_some(), &format!("has no {probe}"));
            }
            for reference in references(container) {
                demand(reference.is_there(documents), &format!("refers to {reference:?}, which is not here"));
            }
        }
        found
    }
}

/// A name that a container's environment refers to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    Settings(String),
    Secret(String),
}

impl Reference {
    /// The Secret's name, when it is one.
    pub fn secret(self) -> Option<String> {
        match self {
            Self::Settings(_) => None,
            Self::Secret(name) => Some(name),
        }
    }

    fn is_there(&self, documents: &[Value]) -> bool {
        match self {
            Self::Settings(name) => exists(documents, "ConfigMap", name),
            Self::Secret(name) => SECRETS_FROM_OUTSIDE.contains(&name.as_str()),
        }
    }
}

/// Everything that a container's environment refers to.
pub fn references(container: &Value) -> BTreeSet<Reference> {
    let listed = |key: &str| container.get(key).and_then(Value::as_sequence).into_iter().flatten();
    let whole = listed("envFrom").filter_map(|source| {
        let settings = at(source, &["configMapRef", "name"]).and_then(Value::as_str);
        let secret = at(source, &["secretRef", "name"]).and_then(Value::as_str);
        settings
            .map(|name| Reference::Settings(name.to_owned()))
            .or(secret.map(|name| Reference::Secret(name.to_owned())))
    });
    let single = listed("env").filter_map(|variable| {
        let name = at(variable, &["valueFrom", "secretKeyRef", "name"])?.as_str()?;
        Some(Reference::Secret(name.to_owned()))
    });
    whole.chain(single).collect()
}

/// Rights to everything, or the right to read every secret by any verb.
fn broad_rules(documents: &[Value]) -> Vec<String> {
    let roles = documents.iter().filter(|document| text(document, &["kind"]).ends_with("Role"));
    let rules = roles.flat_map(|role| role.get("rules").and_then(Value::as_sequence).into_iter().flatten());
    let is_broad = |rule: &&Value| ["apiGroups", "resources", "verbs"].iter().any(|key| list(rule, key).contains(&"*"));
    rules.filter(is_broad).map(|rule| format!("a rule with `*`: {rule:?}")).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    value.get(key).and_then(Value::as_sequence).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn exists(documents: &[Value], kind: &str, name: &str) -> bool {
    documents.iter().any(|each| text(each, &["kind"]) == kind && text(each, &["metadata", "name"]) == name)
}

/// What lies under these keys.
pub fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |place, key| place.get(key))
}

/// The text under these keys; empty when there is none.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pod_spec: &str) -> Vec<String> {
        let named = |kind: &str, name: &str| {
            serde_yaml_ng::from_str(&format!("{{kind: {kind}, metadata: {{name: {name}}}}}")).expect("YAML")
        };
        let workload = format!("{{kind: Job, metadata: {{name: j}}, spec: {{template: {{spec: {pod_spec}}}}}}}");
        let workload = serde_yaml_ng::from_str(&workload).expect("YAML");
        let all = [named("ServiceAccount", "minispod-mailer"), named("PriorityClass", "platform"), workload];
        pods(&all[2]).expect("pods").complaints(&all)
    }

    const GOOD: &str = "{serviceAccountName: minispod-mailer, priorityClassName: platform, automountServiceAccountToken: false, \
        securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, \
        containers: [{securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, \
        capabilities: {drop: [ALL]}}, resources: {limits: {memory: 1Mi}}}]}";

    #[test]
    fn a_restricted_pod_passes() {
        assert_eq!(judged(GOOD), Vec::<String>::new());
    }

    #[test]
    fn a_token_root_and_a_dangling_reference_are_found() {
        assert_eq!(judged(&GOOD.replace("priorityClassName: platform", "priorityClassName: nobody")).len(), 1);
        assert_eq!(judged(&GOOD.replace("automountServiceAccountToken: false, ", "")).len(), 1);
        assert_eq!(judged(&GOOD.replace("runAsNonRoot: true, ", "")).len(), 1);
        let dangling = GOOD.replace("resources:", "envFrom: [{secretRef: {name: nobody}}], resources:");
        assert_eq!(judged(&dangling).len(), 1);
    }

    #[test]
    fn a_rule_with_a_star_is_found() {
        let role =
            serde_yaml_ng::from_str("{kind: ClusterRole, rules: [{apiGroups: [''], resources: ['*'], verbs: [get]}]}");
        assert_eq!(broad_rules(&[role.expect("YAML")]).len(), 1);
    }
}
