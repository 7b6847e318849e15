//! The rules that every offering keeps, checked on the objects it really gives: a folder that breaks one is not taken.

use std::collections::BTreeMap;

use minispod_domain::image;
use minispod_events::InstanceSpec;
use minispod_kernel::Causes;
use serde_json::Value;

use super::{Catalog, CatalogError, Offering, PodSecurity};
use crate::{
    credentials::Credentials,
    names,
    options::PlanOptions,
    plan::{self, Wish},
};

/// What an offering may bring besides the pieces that all have. Rights, cluster-wide objects and bare pods are none of it.
const KINDS: [&str; 4] = ["Deployment", "Service", "PersistentVolumeClaim", "NetworkPolicy"];
/// What is wrong with an image.
const NOT_PINNED: &str = "its image is not pinned by a version";
const WRONG_DIGEST: &str = "its image's digest is not sha256: and 64 of 0-9 and a-f";
const PROBES: [&str; 3] = ["startupProbe", "readinessProbe", "livenessProbe"];
const OF_THE_NODE: [&str; 4] = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"];

/// Names every fault of the offering.
pub(super) fn check(catalog: &Catalog, name: &str) -> Result<(), CatalogError> {
    let Some(offering) = catalog.find(name) else { return Ok(()) };
    let mut faults = words(name, offering);
    let mut options = PlanOptions::new("customer-", "example.com", "nginx", None);
    options.catalog = std::sync::Arc::new(catalog.clone());
    match sample(name, offering, &options) {
        Ok(objects) => {
            for object in &objects {
                faults.extend(of_object(offering, object));
            }
        }
        Err(error) => faults.push(Causes(&error).to_string()),
    }
    if faults.is_empty() { Ok(()) } else { Err(CatalogError::Rules { folder: name.to_owned(), faults }) }
}

fn words(name: &str, offering: &Offering) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rule = |holds: bool, fault: &str| {
        if !holds {
            faults.push(fault.to_owned());
        }
    };
    rule(offering.name == name, "its name is not its folder's");
    rule(names::is_dns_label(name) && name.len() <= 30, "its name is not a DNS label of at most 30 characters");
    rule(offering.version() != "latest", NOT_PINNED);
    rule(image::has_sound_digest(&offering.image), WRONG_DIGEST);
    rule(offering.port > 0, "it has no port");
    rule(!offering.update_notes.trim().is_empty(), "it has no update notes");
    rule(offering.overrides.iter().all(|key| names::is_variable(key)), "an override is no variable's name");
    rule(!offering.overrides.iter().any(|key| offering.manages(key)), "customers may override what it manages");
    rule(
        offering.secrets.iter().all(|secret| (16..=128).contains(&secret.length)),
        "a secret has not 16 to 128 characters",
    );
    faults
}

/// The objects of a made-up sale.
fn sample(name: &str, offering: &Offering, options: &PlanOptions) -> Result<Vec<Value>, plan::PlanError> {
    let id = "c0sample00000000000000000";
    let spec = InstanceSpec {
        instance_id: id.into(),
        subscription_id: id.into(),
        user_id: id.into(),
        offering: name.into(),
        variant: "sample".into(),
        display_name: "Sample".into(),
        docker_image: String::new(),
        container_port: offering.port,
        environment: BTreeMap::new(),
        overrides: Vec::new(),
        cpu_request: "100m".into(),
        cpu_limit: "1".into(),
        mem_request: "128Mi".into(),
        mem_limit: "1Gi".into(),
        volume_size: Some("1Gi".into()),
        volume_mount_path: None,
        storage_class: "local-path".into(),
        access_mode: "ReadWriteOnce".into(),
        subdomain: "sample".into(),
        hosts: Vec::new(),
        public_host: None,
        hosts_edition: 0,
    };
    let drawn = offering.secrets.iter().map(|secret| (secret.name.clone(), "sample".to_owned()));
    let wish = Wish { generation: 1, position: 1, replicas: 1 };
    let plan = plan::plan(&spec, wish, options, &Credentials::from_values(drawn))?;
    let own = plan.objects.into_iter().filter(|object| !object["metadata"]["labels"][names::INSTANCE].is_null());
    // Each instance has one Secret and at most one Ingress, which are ours; another one would be the offering's.
    let mut ours = vec!["Secret", "Ingress"];
    Ok(own
        .filter(|object| match ours.iter().position(|kind| object["kind"] == *kind) {
            Some(place) => {
                ours.remove(place);
                false
            }
            None => true,
        })
        .collect())
}

fn of_object(offering: &Offering, object: &Value) -> Vec<String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let place = format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or_default());
    if !KINDS.contains(&kind) {
        return vec![format!("{place}: an offering may not bring this kind")];
    }
    let mut faults = Vec::new();
    if kind == "Service" && object["spec"]["type"].as_str().is_some_and(|kind| kind != "ClusterIP") {
        faults.push(format!("{place}: only ClusterIP"));
    }
    if kind != "Deployment" {
        return faults;
    }
    if object["spec"]["strategy"]["type"] != "Recreate" {
        faults.push(format!("{place}: two copies over one volume (strategy is not Recreate)"));
    }
    let pod = &object["spec"]["template"]["spec"];
    if pod["serviceAccountName"] != "app" || pod["automountServiceAccountToken"] != false {
        faults.push(format!("{place}: not the account without a token"));
    }
    if OF_THE_NODE.iter().any(|word| pod[*word] == true) {
        faults.push(format!("{place}: shares something of the node"));
    }
    if !pod["priorityClassName"].is_null() {
        faults.push(format!("{place}: its priority is the operator's setting"));
    }
    let volumes = pod["volumes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let bounded =
        |volume: &Value| !volume["persistentVolumeClaim"].is_null() || volume["emptyDir"]["sizeLimit"].is_string();
    if !volumes.iter().all(bounded) {
        faults.push(format!("{place}: a volume is neither a claim nor a bounded emptyDir"));
    }
    for list in ["containers", "initContainers"] {
        for container in pod[list].as_array().into_iter().flatten() {
            faults.extend(of_container(offering, &place, container, list == "containers"));
        }
    }
    if offering.security == PodSecurity::Restricted && pod["securityContext"]["runAsNonRoot"] != true {
        faults.push(format!("{place}: may be root in a restricted namespace"));
    }
    faults
}

fn of_container(offering: &Offering, place: &str, container: &Value, stays: bool) -> Vec<String> {
    let place = format!("{place}, {}", container["name"].as_str().unwrap_or_default());
    let mut faults = Vec::new();
    let mut rule = |holds: bool, fault: &str| {
        if !holds {
            faults.push(format!("{place}: {fault}"));
        }
    };
    let resources = &container["resources"];
    for (list, what) in [("requests", "cpu"), ("requests", "memory"), ("limits", "cpu"), ("limits", "memory")] {
        rule(resources[list][what].is_string(), &format!("no {what} in its {list}"));
    }
    let security = &container["securityContext"];
    rule(security["allowPrivilegeEscalation"] == false, "may gain rights");
    rule(security["privileged"] != true, "is privileged");
    rule(security["capabilities"]["drop"][0] == "ALL", "keeps capabilities");
    rule(
        offering.security == PodSecurity::Baseline || security["capabilities"]["add"].is_null(),
        "adds capabilities in a restricted namespace",
    );
    let named = container["image"].as_str().unwrap_or_default();
    rule(image::tag(named).is_some_and(|tag| tag != "latest"), NOT_PINNED);
    rule(image::has_sound_digest(named), WRONG_DIGEST);
    for probe in PROBES.iter().filter(|_| stays) {
        rule(container[*probe].is_object(), &format!("no {probe}"));
    }
    let ports = container["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    rule(ports.iter().all(|port| port["hostPort"].is_null()), "takes a port of the node");
    faults
}
