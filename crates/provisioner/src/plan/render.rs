//! Templates to objects. Every value in a `.yaml` template is written as JSON, so no value can become structure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::PlanError;
use crate::{catalog::Catalog, options::PlanOptions};

/// The objects a template gives.
pub(super) fn objects(catalog: &Catalog, name: &str, context: &Value) -> Result<Vec<Value>, PlanError> {
    let failed = |source| PlanError::Template { template: name.to_owned(), source };
    let text = catalog
        .templates()
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
pub(super) fn text(catalog: &Catalog, name: &str, template: &str, context: &Value) -> Result<String, PlanError> {
    catalog
        .templates()
        .render_named_str(name, template, minijinja::value::Serde(context))
        .map_err(|source| PlanError::Template { template: name.to_owned(), source })
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

/// What the operator decided for every pod stands in each of them, whoever wrote its template.
pub(super) fn rule_pods(object: &mut Value, options: &PlanOptions) {
    let Some(pod) = object.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut) else { return };
    if let Some(class) = &options.priority_class {
        pod.insert("priorityClassName".to_owned(), json!(class));
    }
    if options.user_namespaces {
        pod.insert("hostUsers".to_owned(), json!(false));
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
        "Service" | "EndpointSlice" => 7,
        "Ingress" => 8,
        _ if object["metadata"]["name"] == workload => 10,
        _ => 9,
    }
}
