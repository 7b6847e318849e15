//! Templates to objects. Every value in a `.yaml` template is written as JSON, so no value can become structure.

use std::{collections::BTreeMap, sync::LazyLock};

use minijinja::{Environment, UndefinedBehavior};
use serde::Deserialize;
use serde_json::{Value, json};

use super::PlanError;
use crate::catalog::{self, Offering};

static TEMPLATES: LazyLock<Result<Environment<'static>, (String, minijinja::Error)>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    let offerings = catalog::all().into_iter().flat_map(BTreeMap::values);
    let templates = catalog::pieces()
        .iter()
        .map(|(name, text)| ((*name).to_owned(), *text))
        .chain(offerings.map(|offering| (manifests(offering), offering.manifests)));
    for (name, text) in templates {
        environment.add_template_owned(name.clone(), text).map_err(|source| (name, source))?;
    }
    Ok(environment)
});

/// The template of an offering.
pub(super) fn manifests(offering: &Offering) -> String {
    format!("{}/manifests.yaml", offering.name)
}

/// The objects a template gives.
pub(super) fn objects(name: &str, context: &Value) -> Result<Vec<Value>, PlanError> {
    let failed = |source| PlanError::Template { template: name.to_owned(), source };
    let text = environment()?
        .get_template(name)
        .and_then(|template| template.render(minijinja::value::Serde(context)))
        .map_err(failed)?;
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(Value::deserialize)
        .filter(|object| !matches!(object, Ok(Value::Null)))
        .collect::<Result<_, _>>()
        .map_err(|source| PlanError::Objects { template: name.to_owned(), source })
}

/// A short text, written as it is.
pub(super) fn text(name: &str, template: &str, context: &Value) -> Result<String, PlanError> {
    environment()?
        .render_named_str(name, template, minijinja::value::Serde(context))
        .map_err(|source| PlanError::Template { template: name.to_owned(), source })
}

fn environment() -> Result<&'static Environment<'static>, PlanError> {
    TEMPLATES.as_ref().map_err(|(template, source)| PlanError::Template {
        template: template.clone(),
        // The library's error cannot be cloned; its words can.
        source: minijinja::Error::new(source.kind(), source.to_string()),
    })
}

/// Puts an object into its place: namespace, labels, annotations.
pub(super) fn stamp(
    object: &mut Value,
    namespace: &str,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) {
    let cluster_wide = object["kind"] == "Namespace";
    let metadata = &mut object["metadata"];
    if !cluster_wide {
        metadata["namespace"] = json!(namespace);
    }
    for (field, words) in [("labels", labels), ("annotations", annotations)] {
        for (key, value) in words {
            metadata[field][key] = json!(value);
        }
    }
    // An empty map would be a field that we own and say nothing with.
    if metadata["annotations"].as_object().is_none_or(serde_json::Map::is_empty)
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.remove("annotations");
    }
}

/// Bounds before what they bound, the program after all it needs.
pub(super) fn rank(object: &Value, workload: &str) -> u8 {
    match object["kind"].as_str().unwrap_or_default() {
        "Namespace" => 0,
        "ResourceQuota" => 1,
        "LimitRange" => 2,
        "NetworkPolicy" => 3,
        "ServiceAccount" => 4,
        "Secret" => 5,
        "PersistentVolumeClaim" => 6,
        "Service" => 7,
        "Ingress" => 8,
        _ if object["metadata"]["name"] == workload => 10,
        _ => 9,
    }
}
