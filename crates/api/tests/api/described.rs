//! The operations that the api describes of itself, as tests call them: a new route is tested without a word here.

use std::collections::BTreeSet;

use actix_web::{Error, body::MessageBody, dev::Service, dev::ServiceResponse, test::TestRequest};
use serde_json::{Map, Value, json};

use crate::world::{Answered, World, request};

/// As well formed as any id, of nothing.
pub const NOBODY: &str = "c000000000000000000000000";
/// Stands in paths for a host that somebody brought, which is no id.
const BROUGHT: &str = "{host}";
/// A host that somebody may bring.
pub const HOST: &str = "shop.example.com";

/// Who may call, as `security` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Public,
    SignedIn,
    Administrator,
}

/// One operation of the document.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: String,
    /// The whole path, with its `{names}`.
    pub path: String,
    pub access: Access,
    /// The scopes with which an API token will do; `None`: none will.
    pub scopes: Option<BTreeSet<String>>,
    /// A body of the described form, with nothing that may be left out.
    pub body: Option<Value>,
    /// Whether administrators may use it on what is somebody else's.
    pub of_anybody: bool,
    /// Every status that is described.
    pub statuses: BTreeSet<u16>,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Operation {
    /// How many ids its path takes.
    pub fn ids(&self) -> usize {
        self.path.matches('{').count() - self.path.matches(BROUGHT).count()
    }

    /// Whether it can be answered with more than a refusal.
    pub fn is_built(&self) -> bool {
        self.statuses.iter().any(|status| *status < 300)
    }

    /// Whether it only looks.
    pub fn is_safe(&self) -> bool {
        self.method == "GET"
    }

    /// Calls it with `ids` in its path, in order.
    pub async fn call<S, B>(&self, world: &World<S>, ids: &[&str], token: Option<&str>) -> Answered
    where
        S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
        B: MessageBody,
    {
        world.send(self.request(ids, token)).await
    }

    fn request(&self, ids: &[&str], token: Option<&str>) -> TestRequest {
        let mut ids = ids.iter();
        let parts = self.path.split('/');
        let filled = parts.map(|part| match part {
            BROUGHT => HOST,
            part if part.starts_with('{') => ids.next().expect("an id for each name"),
            part => part,
        });
        let parts: Vec<&str> = filled.collect();
        request(&self.method, "", token, self.body.as_ref()).uri(&parts.join("/"))
    }

    fn read(method: &str, path: &str, described: &Value, document: &Value) -> Self {
        let ways = described["security"].as_array().expect("every operation says who may call");
        let words = |way: &str| ways.iter().find_map(|one| one[way].as_array()).map(|words| texts(words));
        let access = match words("bearer") {
            None => Access::Public,
            Some(roles) if roles.is_empty() => Access::SignedIn,
            Some(_) => Access::Administrator,
        };
        let body = &described["requestBody"]["content"]["application/json"]["schema"];
        Self {
            method: method.to_uppercase(),
            path: path.to_owned(),
            access,
            scopes: words("apiToken"),
            body: (!body.is_null()).then(|| sample(body, document)),
            of_anybody: described["x-administrators-see"] == "everything",
            statuses: members(&described["responses"]).filter_map(|(status, _)| status.parse().ok()).collect(),
        }
    }
}

/// Every operation of the document that the api gives out.
pub async fn operations<S, B>(world: &World<S>) -> Vec<Operation>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let document = world.send(request("GET", "/openapi.json", None, None)).await.body;
    let paths = members(&document["paths"]);
    let found: Vec<_> = paths
        .flat_map(|(path, methods)| members(methods).map(move |(method, described)| (method, path, described)))
        .map(|(method, path, described)| Operation::read(method, path, described, &document))
        .collect();
    assert!(found.len() > 50, "the document describes {} operations", found.len());
    found
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn texts(values: &[Value]) -> BTreeSet<String> {
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The least that fits a schema.
fn sample(schema: &Value, document: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return sample(document.pointer(reference.trim_start_matches('#')).expect("a reference leads on"), document);
    }
    if let Some(only) = schema.get("const").or_else(|| schema["enum"].get(0)).or_else(|| schema["examples"].get(0)) {
        return only.clone();
    }
    if let Some(first) = schema["anyOf"].get(0) {
        return sample(first, document);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let least = schema["minProperties"].as_u64().unwrap_or(0) as usize;
            let any = members(&schema["properties"]).map(|(name, _)| name.as_str()).take(least);
            let named =
                required.chain(any).map(|name| (name.to_owned(), sample(&schema["properties"][name], document)));
            named.collect::<Map<_, _>>().into()
        }
        Some("array") => json!([sample(&schema["items"], document)]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("string") => text(schema),
        _ => json!({}),
    }
}

fn text(schema: &Value) -> Value {
    if schema["format"] == "email" {
        return json!("somebody@example.com");
    }
    if schema["format"] == "hostname" {
        return json!(HOST);
    }
    let least = schema["minLength"].as_u64().unwrap_or(1).max(1);
    if schema["pattern"].is_null() { json!("a".repeat(least as usize)) } else { json!(NOBODY) }
}
