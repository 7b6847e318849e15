//! Who is given which secret: the table in `deploy/k8s/secrets.sh` and what the manifests mount.

use std::{collections::BTreeMap, path::Path};

use serde_yaml_ng::Value;

use super::{
    manifests::{Reference, at, references, text},
    read,
};
use crate::shell::Failure;

/// The only ones that may have it, besides NATS' own passwords.
const OWNERS: &[(&str, &[&str])] = &[
    ("JWT_SECRET", &["api"]),
    ("MINISPOD_METRICS_TOKEN", &["api"]),
    ("MIDTRANS_SERVER_KEY", &["api", "billing"]),
    ("SMTP_URL", &["mailer"]),
    ("MINISPOD_MASTER_KEY", &["api", "projector", "provisioner", "billing", "mailer", "operator"]),
];
/// The server itself knows every user.
const SERVER: &str = "nats";
/// A person's user at NATS has another name than the Secret.
const OPERATOR: (&str, &str) = ("operator", "analyst");

/// The table of the script: secret → variables.
pub type Table = BTreeMap<String, Vec<String>>;

/// Reads the script's table.
pub fn table(deploy: &Path) -> Result<Table, Failure> {
    let script = read(&deploy.join("k8s/secrets.sh"))?;
    let lines = script.split("table='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap_or_default();
    let rows = lines.lines().filter_map(|line| {
        let mut words = line.split_whitespace().map(|word| word.trim_end_matches('?').to_owned());
        Some((words.next()?, words.collect()))
    });
    Ok(rows.collect())
}

/// Secrets in the wrong hands.
pub fn complaints(table: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (secret, variables) in table.iter().filter(|(secret, _)| *secret != SERVER) {
        let user = if secret == OPERATOR.0 { OPERATOR.1 } else { secret };
        let own = format!("MINISPOD_NATS_{}_PASSWORD", user.to_uppercase());
        if !variables.contains(&own) {
            found.push(format!("secrets.sh: {secret} lacks {own}"));
        }
        for variable in variables.iter().filter(|variable| **variable != own) {
            let may = OWNERS.iter().find(|(name, _)| name == variable).map(|(_, owners)| owners.contains(&&**secret));
            let is_anothers_password = variable.starts_with("MINISPOD_NATS_");
            if may == Some(false) || is_anothers_password {
                found.push(format!("secrets.sh: {secret} is given {variable}, which it does not need"));
            }
        }
    }
    found
}

/// Deployments that mount another Secret than their own; what takes no settings either needs none.
pub fn complaints_of_mounts(folder: &str, documents: &[Value]) -> Vec<String> {
    let deployments = documents.iter().filter(|document| text(document, &["kind"]) == "Deployment");
    let judged = deployments.filter_map(|deployment| {
        let name = text(deployment, &["metadata", "name"]);
        let containers = at(deployment, &["spec", "template", "spec", "containers"]).and_then(Value::as_sequence);
        let taken: Vec<Reference> = containers.into_iter().flatten().flat_map(references).collect();
        let takes_any = !taken.is_empty();
        let secrets: Vec<String> = taken.into_iter().filter_map(Reference::secret).collect();
        (takes_any && secrets != [format!("minispod-{name}")]).then(|| {
            format!("deploy/k8s/{folder}: Deployment {name} mounts {secrets:?} instead of its own Secret alone")
        })
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::root;

    #[test]
    fn the_scripts_table_is_read_and_a_secret_in_the_wrong_hands_is_found() {
        let mut table = table(&root().join("deploy")).expect("the script is there");
        assert_eq!(table.len(), 8);
        assert_eq!(complaints(&table), Vec::<String>::new());
        for (secret, variable) in [("mailer", "JWT_SECRET"), ("billing", "MINISPOD_NATS_ADMIN_PASSWORD")] {
            table.get_mut(secret).expect("a role").push(variable.to_owned());
        }
        assert_eq!(complaints(&table).len(), 2);
    }

    #[test]
    fn one_secret_for_all_is_found() {
        let deployment = "{kind: Deployment, metadata: {name: api}, spec: {template: {spec: {containers: [\
                          {envFrom: [{secretRef: {name: minispod-api}}]}]}}}}";
        let judged = |text: &str| complaints_of_mounts("x", &[serde_yaml_ng::from_str(text).expect("YAML")]);
        assert_eq!(judged(deployment), Vec::<String>::new());
        assert_eq!(judged(&deployment.replace("minispod-api", "minispod-secrets")).len(), 1);
    }
}
