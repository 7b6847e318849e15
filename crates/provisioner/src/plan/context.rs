//! The words that templates may use.

use std::{collections::BTreeMap, net::SocketAddr};

use base64::{Engine, engine::general_purpose::STANDARD};
use minispod_domain::image::has_sound_digest;
use minispod_events::InstanceSpec;
use serde_json::{Map, Value, json};

use super::{Places, PlanError, Wish, render};
use crate::{
    catalog::{Catalog, Companion, Offering, PodSecurity, Protocol, RunAs},
    credentials::Credentials,
    names,
    options::{BOUNDS, PlanOptions, STORAGE, Tls},
};

const ACCESS_MODES: [&str; 4] = ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"];
/// Without a sold volume data lives as long as the pod; bounded so that it cannot fill the node.
const SCRATCH_LIMIT: &str = "1Gi";

/// The whole context of one plan.
pub(super) fn build(
    spec: &InstanceSpec,
    wish: Wish,
    options: &PlanOptions,
    offering: &Offering,
    places: &Places,
    credentials: &Credentials,
) -> Result<Value, PlanError> {
    let access_mode = match spec.access_mode.as_str() {
        "" => "ReadWriteOnce",
        mode if ACCESS_MODES.contains(&mode) => mode,
        other => return Err(PlanError::Unusable { what: "the volume's access mode", value: other.to_owned() }),
    };
    let mount = spec.volume_mount_path.as_deref().unwrap_or(&offering.volume.mount);
    let image = if spec.docker_image.is_empty() { &offering.image } else { &spec.docker_image };
    if image.is_empty() || image.contains(char::is_whitespace) || !has_sound_digest(image) {
        return Err(PlanError::Unusable { what: "the image", value: image.clone() });
    }
    let mut context = json!({
        "name": places.workload,
        "namespace": places.namespace,
        "customer": spec.user_id,
        "instance": spec.instance_id,
        "host": places.host,
        "scheme": places.scheme,
        "url": places.external_url,
        "protocol": offering.protocol.word(),
        "security": offering.security.word(),
        "port": spec.container_port,
        "image": image,
        "replicas": wish.replicas,
        "mount": mount,
        "tls": options.tls != Tls::Off,
        "doors": places.doors,
        "backend": places.workload,
        "options": option_words(options, spec),
        "resources": resources(
            [&spec.cpu_request, &spec.cpu_limit],
            [&spec.mem_request, &spec.mem_limit],
        ),
        "selector": names::selector(spec, names::APP),
        "pod_labels": pod_labels(spec, names::APP, offering.protocol == Protocol::Tcp),
        "pod_annotations": { names::GENERATION: wish.generation.to_string() },
        "pod_security": pod_security(offering.run_as, offering),
        "container_security": container_security(offering.security, offering.read_only_root),
        "data_volume": data_volume(places.volume_claim.as_deref()),
        "volume": {
            "claim": places.volume_claim,
            "size": spec.volume_size,
            "storage_class": spec.storage_class,
            "access_mode": access_mode,
        },
        "secret_data": secret_data(spec, offering, credentials)?,
    });
    let env = environment(spec, offering, &options.catalog, &context, &places.workload)?;
    context["env"] = env;
    if let Some(companion) = &offering.companion {
        context["companion"] = companion_words(spec, offering, companion, places);
    }
    Ok(context)
}

/// The words of an instance's doors alone: they lead to the Service `backend`, and that to `page`.
pub(super) fn of_doors(
    spec: &InstanceSpec,
    options: &PlanOptions,
    places: &Places,
    backend: &str,
    page: SocketAddr,
) -> Value {
    json!({
        "name": places.workload,
        "tls": options.tls != Tls::Off,
        "doors": places.doors,
        "backend": backend,
        "options": option_words(options, spec),
        "page": {
            "address": page.ip().to_string(),
            "port": page.port(),
            "family": if page.is_ipv4() { "IPv4" } else { "IPv6" },
        },
    })
}

fn option_words(options: &PlanOptions, spec: &InstanceSpec) -> Value {
    let mut annotations = options.ingress.annotations.clone();
    if let Tls::Issuer(issuer) = &options.tls {
        annotations.insert("cert-manager.io/cluster-issuer".to_owned(), issuer.clone());
        // With our labels the certificate's secret goes with the instance.
        let labels = json!({ "labels": names::instance_labels(spec) });
        annotations.insert("cert-manager.io/secret-template".to_owned(), labels.to_string());
    }
    json!({
        "quota": options.quota,
        "bounds": bound_words(&options.bounds),
        "pod_security_version": options.pod_security_version,
        "private_ranges_v4": options.private_ranges_v4,
        "private_ranges_v6": options.private_ranges_v6,
        "egress_ports": options.egress_ports,
        "ingress": {
            "class": options.ingress.class,
            "namespace": options.ingress.namespace,
            "pod_labels": options.ingress.pod_labels,
            "annotations": annotations,
        },
    })
}

/// What the customer's LimitRange says: the most, and what a container has that asks for nothing.
fn bound_words(bounds: &BTreeMap<String, String>) -> Value {
    let (volume, program): (BTreeMap<_, _>, BTreeMap<_, _>) = bounds.iter().partition(|(name, _)| *name == STORAGE);
    let default = BOUNDS.iter().filter(|bound| bound.name != STORAGE).map(|bound| (bound.name, bound.least));
    json!({ "program": program, "volume": volume, "default": default.collect::<BTreeMap<_, _>>() })
}

fn resources(cpu: [&String; 2], memory: [&String; 2]) -> Value {
    json!({
        "requests": { "cpu": cpu[0], "memory": memory[0] },
        "limits": { "cpu": cpu[1], "memory": memory[1] },
    })
}

fn pod_labels(spec: &InstanceSpec, component: &str, shared: bool) -> BTreeMap<String, String> {
    let mut labels = names::instance_labels(spec);
    labels.insert(names::COMPONENT.to_owned(), component.to_owned());
    if shared {
        labels.insert(names::SHARED.to_owned(), "true".to_owned());
    }
    labels
}

/// The pod's part of the Pod Security level.
fn pod_security(run_as: Option<RunAs>, offering: &Offering) -> Value {
    let mut words = Map::new();
    words.insert("seccompProfile".into(), json!({ "type": "RuntimeDefault" }));
    if let Some(RunAs { user, group }) = run_as {
        words.insert("runAsNonRoot".into(), json!(user != 0));
        words.insert("runAsUser".into(), json!(user));
        words.insert("runAsGroup".into(), json!(group));
        words.insert("fsGroup".into(), json!(group));
        words.insert("fsGroupChangePolicy".into(), json!("OnRootMismatch"));
    }
    if !offering.sysctls.is_empty() {
        let sysctls: Vec<_> =
            offering.sysctls.iter().map(|sysctl| json!({ "name": sysctl.name, "value": sysctl.value })).collect();
        words.insert("sysctls".into(), json!(sysctls));
    }
    Value::Object(words)
}

/// The container's part.
fn container_security(security: PodSecurity, read_only_root: bool) -> Value {
    let mut capabilities = json!({ "drop": ["ALL"] });
    if security == PodSecurity::Baseline {
        // Images that start as root hand their files to a user and become it; that much, and no more.
        capabilities["add"] = json!(["CHOWN", "DAC_OVERRIDE", "FOWNER", "NET_BIND_SERVICE", "SETGID", "SETUID"]);
    }
    json!({
        "allowPrivilegeEscalation": false,
        "privileged": false,
        "readOnlyRootFilesystem": read_only_root,
        "capabilities": capabilities,
    })
}

fn data_volume(claim: Option<&str>) -> Value {
    match claim {
        Some(claim) => json!({ "name": "data", "persistentVolumeClaim": { "claimName": claim } }),
        None => json!({ "name": "data", "emptyDir": { "sizeLimit": SCRATCH_LIMIT } }),
    }
}

fn secret_data(
    spec: &InstanceSpec,
    offering: &Offering,
    credentials: &Credentials,
) -> Result<BTreeMap<String, String>, PlanError> {
    let missing = |name: &str| PlanError::MissingSecret(name.to_owned());
    let generated = offering.secrets.iter().map(|secret| {
        let value = credentials.get(&secret.name).ok_or_else(|| missing(&secret.name))?;
        Ok((secret.name.clone(), STANDARD.encode(value)))
    });
    let overrides = effective_overrides(spec, offering).map(|variable| {
        let value = credentials.overridden(variable).ok_or_else(|| missing(variable))?;
        Ok((override_key(variable), STANDARD.encode(value)))
    });
    generated.chain(overrides).collect()
}

/// The customer's variables without those that follow from where the instance lives or are drawn for it.
fn effective_overrides<'a>(spec: &'a InstanceSpec, offering: &'a Offering) -> impl Iterator<Item = &'a String> {
    let is_drawn = |name: &str| offering.secrets.iter().any(|secret| secret.variable.as_deref() == Some(name));
    spec.overrides.iter().filter(move |name| !offering.managed.contains_key(*name) && !is_drawn(name))
}

/// The key of a customer's value in the instance's Secret.
fn override_key(variable: &str) -> String {
    format!("override.{variable}")
}

/// Defaults, then the plan, then what nobody may change, then references to the Secret (what is drawn, and what the
/// customer set: it may be a password); each key once, in order.
fn environment(
    spec: &InstanceSpec,
    offering: &Offering,
    catalog: &Catalog,
    context: &Value,
    secret: &str,
) -> Result<Value, PlanError> {
    let mut plain = offering.environment.clone();
    plain.extend(spec.environment.clone());
    for (key, template) in &offering.managed {
        plain.insert(key.clone(), render::text(catalog, key, template, context)?);
    }
    let drawn = offering.secrets.iter().filter_map(|item| Some((item.variable.clone()?, item.name.clone())));
    let set = effective_overrides(spec, offering).map(|variable| (variable.clone(), override_key(variable)));
    Ok(variables(plain, drawn.chain(set).collect(), secret))
}

fn variables(plain: BTreeMap<String, String>, referenced: BTreeMap<String, String>, secret: &str) -> Value {
    let own = plain.iter().filter(|(key, _)| !referenced.contains_key(*key));
    let own = own.map(|(key, value)| json!({ "name": key, "value": value }));
    let secrets = referenced.iter().map(
        |(variable, key)| json!({ "name": variable, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } }),
    );
    Value::Array(own.chain(secrets).collect())
}

fn companion_words(spec: &InstanceSpec, offering: &Offering, companion: &Companion, places: &Places) -> Value {
    let name = format!("{}-db", places.workload);
    let claim = places.volume_claim.as_ref().map(|_| format!("{name}-data"));
    let referenced =
        offering.secrets.iter().filter_map(|item| Some((item.companion_variable.clone()?, item.name.clone())));
    let mut pod = pod_security(Some(companion.run_as), offering);
    if let Some(pod) = pod.as_object_mut() {
        pod.remove("sysctls");
    }
    json!({
        "name": name,
        "image": companion.image,
        "port": companion.port,
        "mount": companion.volume.mount,
        "selector": names::selector(spec, names::DATABASE),
        "pod_labels": pod_labels(spec, names::DATABASE, false),
        "pod_security": pod,
        "container_security": container_security(offering.security, companion.read_only_root),
        "resources": resources([&companion.cpu[0], &companion.cpu[1]], [&companion.memory[0], &companion.memory[1]]),
        "env": variables(companion.environment.clone(), referenced.collect(), &places.workload),
        "data_volume": data_volume(claim.as_deref()),
        "volume": { "claim": claim, "size": companion.volume.size },
    })
}
