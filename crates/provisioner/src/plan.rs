//! From a specification to cluster objects: pure, so the same words always give the same objects.

mod context;
mod render;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::SocketAddr};

use minispod_events::InstanceSpec;
use minispod_kernel::ids::derived_id;
use serde::Serialize;
use serde_json::Value;

use crate::{
    catalog::{Offering, PodSecurity, Protocol, template_of},
    credentials::Credentials,
    names, numbers,
    options::{PlanOptions, Tls},
    quantity::{Quantity, QuantityError},
};

/// Objects of one instance, and what the domain records about them.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub namespace: String,
    /// Name of the Deployment, the Service, the Ingress and the Secret.
    pub workload: String,
    /// From inside the cluster.
    pub internal_url: String,
    /// From outside; for programs without HTTP the inside address, as there is no other.
    pub external_url: String,
    pub volume_claim: Option<String>,
    /// Of everything but secrets and the event that asked; another build, catalogue or option gives another.
    pub mark: String,
    /// The same without what leads to the instance from outside.
    pub program: String,
    /// In the order to apply them; the program's Deployment comes last, so its presence means that all were taken.
    pub objects: Vec<Value>,
}

/// What changes from one reconciliation to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Grows with every request; a new one restarts the program.
    pub generation: u32,
    /// Log position of the event that asked.
    pub position: i64,
    pub replicas: u32,
}

/// Why a specification cannot become objects. Never passes by itself.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("nothing is known about {0}")]
    UnknownOffering(String),
    #[error("{what} is not usable: {value:?}")]
    Unusable { what: &'static str, value: String },
    #[error("{what} is not usable: {source}")]
    Amount {
        what: &'static str,
        #[source]
        source: QuantityError,
    },
    /// Its data is in the other namespace of the customer; moving it is an operator's work.
    #[error("the offering asks for another level of rights than the instance in {lives_in} was made with")]
    Elsewhere { lives_in: String },
    #[error("{what}: the request is larger than the limit")]
    RequestAboveLimit { what: &'static str },
    #[error("the secret value {0} is missing")]
    MissingSecret(String),
    #[error("the template {template} cannot be rendered")]
    Template {
        template: String,
        #[source]
        source: minijinja::Error,
    },
    #[error("the template {template} does not give objects")]
    Objects {
        template: String,
        #[source]
        source: serde_yaml_ng::Error,
    },
}

/// The offering that runs this specification.
pub fn offering_of<'a>(spec: &InstanceSpec, options: &'a PlanOptions) -> Result<&'a Offering, PlanError> {
    options.catalog.find_or_generic(&spec.offering).ok_or_else(|| PlanError::UnknownOffering(spec.offering.clone()))
}

/// The namespace this specification lives in.
pub fn namespace_of(spec: &InstanceSpec, options: &PlanOptions) -> Result<String, PlanError> {
    Ok(names::namespace(options, &spec.user_id, offering_of(spec, options)?.security))
}

/// The namespaces that an instance of the customer can live in, the more guarded one first.
pub fn namespaces_of(spec: &InstanceSpec, options: &PlanOptions) -> [String; 2] {
    [PodSecurity::Restricted, PodSecurity::Baseline].map(|level| names::namespace(options, &spec.user_id, level))
}

/// Every object of the instance and of its customer's namespace.
pub fn plan(
    spec: &InstanceSpec,
    wish: Wish,
    options: &PlanOptions,
    credentials: &Credentials,
) -> Result<Plan, PlanError> {
    check(spec)?;
    let offering = offering_of(spec, options)?;
    let places = Places::of(spec, offering, options)?;
    let context = context::build(spec, wish, options, offering, &places, credentials)?;
    let customer = names::customer_labels(&spec.user_id);
    let instance = names::instance_labels(spec);
    let annotations = BTreeMap::from([
        (names::GENERATION.to_owned(), wish.generation.to_string()),
        (names::POSITION.to_owned(), wish.position.to_string()),
        (names::ADDRESS.to_owned(), places.external_url.clone()),
    ]);
    let mut objects = render::objects(&options.catalog, "customer.yaml", &context)?;
    for object in &mut objects {
        render::stamp(object, &places.namespace, &customer, &BTreeMap::new());
    }
    let of_program = program_annotations(&annotations, offering);
    let of_instance = render::objects(&options.catalog, "instance.yaml", &context)?;
    let of_offering = render::objects(&options.catalog, &template_of(&offering.name), &context)?;
    let doors = doors_of(offering, options, &context)?;
    for mut object in [of_instance, of_offering, doors].into_iter().flatten() {
        let is_program = object["kind"] == "Deployment" && object["metadata"]["name"] == places.workload.as_str();
        let annotations = if is_program { &of_program } else { &annotations };
        render::stamp(&mut object, &places.namespace, &instance, annotations);
        render::rule_pods(&mut object, options);
        objects.push(object);
    }
    objects.sort_by_key(|object| render::rank(object, &places.workload));
    let [mark, program] = marks_of(&mut objects, &places.workload);
    Ok(Plan {
        mark,
        program,
        namespace: places.namespace,
        workload: places.workload,
        internal_url: places.internal_url,
        external_url: places.external_url,
        volume_claim: places.volume_claim,
        objects,
    })
}

/// What leads visitors of a resting instance to the page at `page`: the objects of a plan's doors, with another end. None
/// for programs without HTTP. `namespace` is where the instance is.
pub fn resting(
    spec: &InstanceSpec,
    wish: Wish,
    options: &PlanOptions,
    namespace: &str,
    page: SocketAddr,
) -> Result<Vec<Value>, PlanError> {
    check(spec)?;
    let offering = offering_of(spec, options)?;
    let places = Places::of(spec, offering, options)?;
    let context = context::of_doors(spec, options, &places, names::RESTING, page);
    let doors = doors_of(offering, options, &context)?;
    if doors.is_empty() {
        return Ok(Vec::new());
    }
    let mut objects = render::objects(&options.catalog, "resting.yaml", &context)?;
    for object in &mut objects {
        render::stamp(object, namespace, &names::customer_labels(&spec.user_id), &BTreeMap::new());
    }
    let annotations = BTreeMap::from([
        (names::GENERATION.to_owned(), wish.generation.to_string()),
        (names::POSITION.to_owned(), wish.position.to_string()),
    ]);
    for mut door in doors {
        render::stamp(&mut door, namespace, &names::instance_labels(spec), &annotations);
        objects.push(door);
    }
    Ok(objects)
}

fn doors_of(offering: &Offering, options: &PlanOptions, context: &Value) -> Result<Vec<Value>, PlanError> {
    match offering.protocol {
        Protocol::Http => render::objects(&options.catalog, "doors.yaml", context),
        Protocol::Tcp => Ok(Vec::new()),
    }
}

/// Marks the program's workload with a mark of all objects, and one of all but its doors, so that whoever looks later knows
/// by which plan they were made.
fn marks_of(objects: &mut [Value], workload: &str) -> [String; 2] {
    let mark = |leaves_out: &[&str]| {
        let open = objects.iter().filter(|object| !leaves_out.iter().any(|kind| object["kind"] == *kind));
        let words = open.map(|object| {
            let mut object = object.clone();
            if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
                annotations.remove(names::POSITION);
            }
            object.to_string()
        });
        format!("{:016x}", numbers::of(&words.collect::<Vec<_>>()))
    };
    let [all, program] = [mark(&["Secret"]), mark(&["Secret", "Ingress"])];
    for object in objects {
        if object["kind"] == "Deployment" && object["metadata"]["name"] == workload {
            object["metadata"]["annotations"][names::PLAN] = all.clone().into();
            object["metadata"]["annotations"][names::PROGRAM] = program.clone().into();
        }
    }
    [all, program]
}

/// The program's workload also says what must run beside it, so that whoever looks later need not know the offering.
fn program_annotations(common: &BTreeMap<String, String>, offering: &Offering) -> BTreeMap<String, String> {
    let companion = offering.companion.as_ref().map(|_| (names::COMPANIONS.to_owned(), names::DATABASE.to_owned()));
    common.clone().into_iter().chain(companion).collect()
}

/// A host, and the secret with its certificate where it has one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Door {
    pub host: String,
    pub tls_secret: Option<String>,
}

/// Names and addresses of one instance.
pub(crate) struct Places {
    pub namespace: String,
    pub workload: String,
    /// The one of the public address.
    pub host: String,
    /// All that it answers to, the platform's own first.
    pub doors: Vec<Door>,
    pub scheme: String,
    pub internal_url: String,
    pub external_url: String,
    pub volume_claim: Option<String>,
}

impl Places {
    fn of(spec: &InstanceSpec, offering: &Offering, options: &PlanOptions) -> Result<Self, PlanError> {
        let namespace = names::namespace(options, &spec.user_id, offering.security);
        if !names::is_dns_label(&namespace) {
            return Err(PlanError::Unusable { what: "the namespace's name", value: namespace });
        }
        let workload = names::workload(spec);
        let own = format!("{}.{}.{}", spec.subdomain, spec.offering, options.cluster_domain);
        let doors = doors(&own, spec, &workload, options)?;
        let public = spec.public_host.as_ref().filter(|host| spec.hosts.contains(host));
        let host = public.unwrap_or(&own).clone();
        let inside = format!("{workload}.{namespace}.svc.{}:{}", options.service_domain, spec.container_port);
        let (scheme, internal_url, external_url) = match offering.protocol {
            Protocol::Http => {
                let scheme = if options.tls == Tls::Off { "http" } else { "https" };
                (scheme.to_owned(), format!("http://{inside}"), format!("{scheme}://{host}"))
            }
            Protocol::Tcp => {
                let scheme = offering.scheme.clone().unwrap_or_else(|| "tcp".to_owned());
                let url = format!("{scheme}://{inside}");
                (scheme, url.clone(), url)
            }
        };
        let volume_claim = spec.volume_size.as_ref().map(|_| format!("{workload}-data"));
        Ok(Self { namespace, workload, host, doors, scheme, internal_url, external_url, volume_claim })
    }
}

/// A certificate each: one that cannot be had, because its DNS leads elsewhere, holds up no other.
fn doors(own: &str, spec: &InstanceSpec, workload: &str, options: &PlanOptions) -> Result<Vec<Door>, PlanError> {
    let issued = matches!(options.tls, Tls::Issuer(_));
    let secret = |host: &String| {
        let number: String = derived_id(&["tls-secret", host]).chars().take(13).collect();
        format!("{workload}-tls-{number}")
    };
    let brought = spec.hosts.iter().map(|host| (host.clone(), secret(host)));
    let all = [(own.to_owned(), format!("{workload}-tls"))].into_iter().chain(brought);
    all.map(|(host, secret)| {
        if !host.split('.').all(names::is_dns_label) || host.len() > 253 {
            return Err(PlanError::Unusable { what: "the host name", value: host });
        }
        Ok(Door { host, tls_secret: issued.then_some(secret) })
    })
    .collect()
}

/// Values that reach the cluster from a plan an administrator wrote.
fn check(spec: &InstanceSpec) -> Result<(), PlanError> {
    let unusable = |what, value: &str| Err(PlanError::Unusable { what, value: value.to_owned() });
    for (what, id) in [("the instance's id", &spec.instance_id), ("the subscription's id", &spec.subscription_id)] {
        if id.len() > 30 || !names::is_dns_label(id) {
            return unusable(what, id);
        }
    }
    if !names::is_dns_label(&spec.user_id) {
        return unusable("the customer's id", &spec.user_id);
    }
    if spec.container_port == 0 {
        return unusable("the port", "0");
    }
    amounts("CPU", &spec.cpu_request, &spec.cpu_limit)?;
    amounts("memory", &spec.mem_request, &spec.mem_limit)?;
    if let Some(size) = &spec.volume_size {
        let size = Quantity::parse(size).map_err(|source| PlanError::Amount { what: "the volume's size", source })?;
        if size.is_zero() {
            return unusable("the volume's size", "0");
        }
    }
    if let Some(mount) = &spec.volume_mount_path
        && (!mount.starts_with('/')
            || mount.len() < 2
            || mount.contains(':')
            || mount.split('/').any(|part| part == ".."))
    {
        return unusable("the volume's path", mount);
    }
    if let Some(key) = spec.environment.keys().find(|key| !names::is_variable(key)) {
        return unusable("the environment", key);
    }
    if let Some(key) = spec.overrides.iter().find(|key| !names::is_variable(key)) {
        return unusable("a setting of the customer", key);
    }
    Ok(())
}

fn amounts(what: &'static str, request: &str, limit: &str) -> Result<(), PlanError> {
    let read = |text| Quantity::parse(text).map_err(|source| PlanError::Amount { what, source });
    let (request, limit) = (read(request)?, read(limit)?);
    if limit.is_zero() || request > limit {
        return Err(PlanError::RequestAboveLimit { what });
    }
    Ok(())
}
