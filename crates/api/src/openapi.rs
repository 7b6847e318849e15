//! The OpenAPI 3.1 description of every route: beside the routes in code, and checked against them.

pub mod operation;
pub mod operations;
pub mod schema;

use minispod_kernel::Rupiah;
use serde_json::{Value, json};

use operation::{Access, Operation};

/// Refusals by status, and what each means.
const REFUSALS: [(u16, &str); 14] = [
    (400, "The request broke a rule; `errors` names each field"),
    (401, "No valid access token, or the account is not active"),
    (402, "The wallet does not cover it"),
    (403, "Not allowed for this role"),
    (404, "There is no such thing, or it is somebody else's"),
    (405, "This method is not allowed here"),
    (409, "The state of things forbids it"),
    (412, "It has changed since it was read (`If-Match`)"),
    (413, "The body is too large"),
    (415, "The body is of another type"),
    (422, "The `Idempotency-Key` was used for another request"),
    (408, "The request body did not arrive in time"),
    (429, "Too many requests; `Retry-After` says when to come back, `RateLimit` what is left of which limit"),
    (503, "Something is not there for now; `Retry-After` says when to come back"),
];

/// The whole document for an installation of `version`.
pub fn document(version: &str) -> Value {
    let mut paths = json!({});
    let mut tags = Vec::new();
    for (tag, description, operations) in operations::all() {
        tags.push(json!({ "name": tag, "description": description }));
        for operation in operations {
            paths[operation.full_path()][operation.method] = with_headers(&operation, tag);
        }
    }
    let responses: serde_json::Map<_, _> =
        REFUSALS.iter().map(|(status, meaning)| (status.to_string(), refusal(meaning))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Minispod",
            "version": version,
            "description": "Runs other people's apps and charges for them fairly. Amounts are whole rupiah; instants \
                            are ISO 8601 in UTC. Ask with `Accept: application/problem+json` for RFC 9457 refusals.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schema::named(),
            "responses": responses,
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer",
                    "description": "The access token of a sign-in; a role is named where not everybody's will do",
                },
                "apiToken": {
                    "type": "http", "scheme": "bearer",
                    "description": "An API token of `/auth/api-tokens`, with all the scopes that are named",
                },
            },
        },
    })
}

/// The least and most that one top-up may be, for the document.
pub(crate) fn amounts(least: Rupiah, most: Rupiah) -> Value {
    schema::range(least.amount(), most.amount())
}

fn with_headers(operation: &Operation, tag: &str) -> Value {
    let mut described = operation.document(tag);
    if operation.method != "get" {
        let key = header("Idempotency-Key", "The same key and body again is answered without doing it again");
        let version = header("If-Match", "The `ETag` of the version that the change is meant for");
        let wait = header("Prefer", "`wait=N` (seconds, at most 10) until reads show the change, or `respond-async`");
        let why = header("X-Reason", "Why an administrator does it, kept sealed with the event");
        let why = (operation.access == Access::Administrator).then_some(why);
        add(&mut described, [key, version, wait].into_iter().chain(why));
    } else if operation.full_path().starts_with("/api/") {
        add(&mut described, [header("If-None-Match", "An `ETag` of an earlier answer: 304 while it holds")]);
        described["responses"]["304"] = json!({ "description": "What `If-None-Match` names still holds" });
    }
    described
}

fn header(name: &str, description: &str) -> Value {
    json!({ "name": name, "in": "header", "schema": { "type": "string" }, "description": description })
}

fn add(described: &mut Value, headers: impl IntoIterator<Item = Value>) {
    if let Some(parameters) = described["parameters"].as_array_mut() {
        parameters.extend(headers);
    }
}

fn refusal(meaning: &str) -> Value {
    json!({
        "description": meaning,
        "content": {
            "application/json": { "schema": schema::of("Error") },
            "application/problem+json": { "schema": schema::of("Problem") },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// Every `resource("path")` with its methods, as the sources of the routes have them.
    fn registered() -> BTreeSet<(String, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes");
        let mut files = vec![folder.with_extension("rs")];
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("the folder of the routes").map(|entry| entry.expect("an entry"))
            {
                if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
            }
        }
        let mut found = BTreeSet::new();
        for file in files {
            let source = fs::read_to_string(&file).expect("a source");
            for resource in source.split("resource(\"").skip(1) {
                let (path, rest) = resource.split_once('"').expect("a path");
                let whole = if path.starts_with("/health") || path == "/metrics" {
                    path.to_owned()
                } else {
                    format!("/api/v1{path}")
                };
                for route in rest.split("resource(").next().unwrap_or_default().split(".route(").skip(1) {
                    let method = route.trim_start().split('(').next().unwrap_or_default();
                    let route = (method.trim_start_matches("web::").to_owned(), whole.clone());
                    assert!(found.insert(route.clone()), "{route:?} stands there twice");
                }
            }
        }
        found
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let described: BTreeSet<_> = operations::all()
            .into_iter()
            .flat_map(|(_, _, operations)| operations)
            .map(|operation| (operation.method.to_owned(), operation.full_path()))
            .collect();
        let registered = registered();
        let missing: Vec<_> = registered.difference(&described).collect();
        let invented: Vec<_> = described.difference(&registered).collect();
        assert!(missing.is_empty() && invented.is_empty(), "not described: {missing:#?}\nnot there: {invented:#?}");
    }

    #[test]
    fn an_empty_parameter_of_the_query_string_is_never_a_breach() {
        let described = operations::all().into_iter().flat_map(|(tag, _, operations)| {
            operations.into_iter().map(move |operation| operation.document(tag)["parameters"].clone())
        });
        let parameters: Vec<_> = described.flat_map(|all| all.as_array().cloned().unwrap_or_default()).collect();
        let in_query: Vec<_> = parameters.iter().filter(|one| one["in"] == "query").collect();
        assert!(in_query.len() > 10, "{} parameters", in_query.len());
        for parameter in in_query {
            let schema = &parameter["schema"];
            let words = schema["enum"].as_array();
            assert!(
                schema["minLength"].is_null() && words.is_none_or(|words| words.contains(&json!(""))),
                "{parameter}"
            );
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_id_is_its_own() {
        let document = document("1.2.3");
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
        let ids: Vec<_> = text.split("\"operationId\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}
