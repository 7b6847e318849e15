//! One operation of the document: what it takes, what it gives, and every way it refuses.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Who is signed in; only his own things are found.
    Customer,
    /// Who is signed in: customers find their own things, administrators anybody's.
    Anybodys,
    /// Administrators.
    Administrator,
}

/// An operation being described.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: &'static str,
    /// Under `/api/v1` unless it begins there by itself.
    pub path: &'static str,
    pub access: Access,
    /// Whether only a sign-in will do, and no API token.
    signed_in: bool,
    summary: &'static str,
    query: Vec<(&'static str, Value)>,
    body: Option<Value>,
    body_is_required: bool,
    body_type: &'static str,
    status: u16,
    data: Data,
    refusals: BTreeSet<u16>,
    /// Whether the answer can be had as a table too.
    csv: bool,
    /// What its words mean.
    about: &'static str,
}

#[derive(Debug, Clone)]
enum Data {
    /// In the envelope.
    Json(Value),
    /// Something that is no JSON, by media type.
    Bytes(&'static str),
    /// JSON without the envelope.
    Bare(Value),
}

/// `GET`.
pub fn get(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("get", path, summary)
}

/// `POST`.
pub fn post(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("post", path, summary)
}

/// `PUT`.
pub fn put(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("put", path, summary)
}

/// `PATCH`.
pub fn patch(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("patch", path, summary)
}

/// `DELETE`.
pub fn delete(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("delete", path, summary)
}

impl Operation {
    fn new(method: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            access: Access::Customer,
            signed_in: false,
            summary,
            query: Vec::new(),
            body: None,
            body_is_required: true,
            body_type: "application/json",
            status: 200,
            data: Data::Json(json!({})),
            refusals: BTreeSet::new(),
            csv: false,
            about: "",
        }
    }

    /// No token needed.
    pub fn public(self) -> Self {
        Self { access: Access::Public, ..self }
    }

    /// Administrators only.
    pub fn admin(self) -> Self {
        Self { access: Access::Administrator, ..self }
    }

    /// One's own for customers, anybody's for administrators.
    pub fn of_anybody(self) -> Self {
        Self { access: Access::Anybodys, ..self }
    }

    /// Not with an API token: it decides over the account itself.
    pub fn signed_in(self) -> Self {
        Self { signed_in: true, ..self }
    }

    /// An optional parameter of the query string. An empty one counts as not given: the empty text is a word of every
    /// list, and none has a least length.
    pub fn query(mut self, name: &'static str, mut schema: Value) -> Self {
        if let Some(rules) = schema.as_object_mut() {
            rules.remove("minLength");
        }
        if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            words.push("".into());
        }
        if let Some(rule) = schema["pattern"].as_str().map(|rule| format!("^$|{rule}")) {
            schema["pattern"] = rule.into();
        }
        self.query.push((name, schema));
        self
    }

    /// `page` and `limit`.
    pub fn paged(self) -> Self {
        let number = |max: u32| json!({ "type": "integer", "minimum": 1, "maximum": max });
        self.query("page", number(minispod_projections::page::MAX_PAGE))
            .query("limit", number(minispod_projections::page::MAX_LIMIT))
    }

    /// [`Operation::paged`], or by `cursor`.
    pub fn walked(self) -> Self {
        let cursor = json!({
            "type": "string", "maxLength": crate::input::cursor::CURSOR_MAX,
            "description": "Instead of `page`: empty for the newest, then the `nextCursor` of the answer before, which \
                            is null after the last row",
        });
        self.paged().query("cursor", cursor)
    }

    /// A JSON body that must be sent.
    pub fn takes(self, schema: Value) -> Self {
        Self { body: Some(schema), ..self }
    }

    /// A JSON body that may be left out.
    pub fn may_take(self, schema: Value) -> Self {
        Self { body: Some(schema), body_is_required: false, ..self }
    }

    /// A form with a file, `multipart/form-data`.
    pub fn takes_upload(self, schema: Value) -> Self {
        Self { body: Some(schema), body_type: "multipart/form-data", ..self }
    }

    /// `data` of the answer.
    pub fn gives(self, data: Value) -> Self {
        Self { data: Data::Json(data), ..self }
    }

    /// An answer that is no JSON.
    pub fn gives_bytes(self, media_type: &'static str) -> Self {
        Self { data: Data::Bytes(media_type), ..self }
    }

    /// JSON that stands alone.
    pub fn gives_bare(self, schema: Value) -> Self {
        Self { data: Data::Bare(schema), ..self }
    }

    /// Also as CSV, for `Accept: text/csv` or `format=csv`.
    pub fn or_csv(self) -> Self {
        let format = super::schema::words(&["json", "csv"]);
        Self { csv: true, ..self }.query("format", format)
    }

    /// What the words of its answer mean.
    pub fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// 201 instead of 200.
    pub fn creates(self) -> Self {
        Self { status: 201, ..self }
    }

    /// Statuses beyond those that follow from the form of the request.
    pub fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    /// The whole path.
    pub fn full_path(&self) -> String {
        let is_elsewhere = self.path.starts_with("/health") || self.path == "/metrics";
        if is_elsewhere { self.path.to_owned() } else { format!("/api/v1{}", self.path) }
    }

    /// The operation object, filed under `tag`.
    pub fn document(&self, tag: &str) -> Value {
        let mut operation = json!({
            "tags": [tag],
            "summary": self.summary,
            "operationId": self.operation_id(),
            "parameters": self.parameters(),
            "responses": self.responses(),
            "security": self.security(),
        });
        if self.access == Access::Administrator {
            operation["description"] = "For administrators.".into();
        }
        if self.access == Access::Anybodys {
            operation["description"] = "Of one's own; administrators may name anybody's.".into();
            operation["x-administrators-see"] = "everything".into();
        }
        if !self.about.is_empty() {
            let who = operation["description"].as_str().unwrap_or_default();
            operation["description"] = format!("{who} {}", self.about).trim_start().into();
        }
        if let Some(schema) = &self.body {
            operation["requestBody"] =
                json!({ "required": self.body_is_required, "content": { self.body_type: { "schema": schema } } });
        }
        operation
    }

    /// Each way in: a sign-in, with the role that it needs, or an API token, with its scopes. The access test calls every
    /// route by this word.
    fn security(&self) -> Value {
        let deed = if self.method == "get" { "read" } else { "write" };
        let ways = match self.access {
            Access::Public => return json!([]),
            Access::Customer | Access::Anybodys => [json!({ "bearer": [] }), json!({ "apiToken": [deed] })],
            Access::Administrator => [json!({ "bearer": ["ADMINISTRATOR"] }), json!({ "apiToken": [deed, "admin"] })],
        };
        ways.into_iter().take(if self.signed_in { 1 } else { 2 }).collect()
    }

    /// `get-subscriptions-id`.
    fn operation_id(&self) -> String {
        let words = self.path.split(['/', '{', '}']).filter(|word| !word.is_empty());
        words.fold(self.method.to_owned(), |name, word| format!("{name}-{word}"))
    }

    fn path_names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    fn parameters(&self) -> Value {
        let in_path = self.path_names().map(|name| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
        });
        let in_query = self.query.iter().map(|(name, schema)| json!({ "name": name, "in": "query", "schema": schema }));
        in_path.chain(in_query).collect()
    }

    fn responses(&self) -> Value {
        let success = match &self.data {
            Data::Bytes(media_type) => json!({ "description": "Done", "content": { *media_type: {} } }),
            Data::Bare(schema) => {
                json!({ "description": "Done", "content": { "application/json": { "schema": schema } } })
            }
            Data::Json(data) => {
                let envelope = super::schema::object(&[
                    ("success", json!({ "const": true })),
                    ("message", super::schema::text()),
                    ("data", data.clone()),
                    ("timestamp", super::schema::date()),
                    ("statusCode", json!({ "const": self.status })),
                ]);
                json!({ "description": "Done", "content": { "application/json": { "schema": envelope } } })
            }
        };
        let mut success = success;
        if self.csv {
            success["content"]["text/csv"] = json!({});
        }
        let mut responses = json!({ self.status.to_string(): success });
        for status in self.every_refusal() {
            responses[status.to_string()] = json!({ "$ref": format!("#/components/responses/{status}") });
        }
        responses
    }

    /// The statuses that follow from the form of the request, and the operation's own.
    fn every_refusal(&self) -> BTreeSet<u16> {
        let mut statuses = self.refusals.clone();
        statuses.extend([400, 429, 503]);
        if self.access != Access::Public {
            // The scopes of an API token may leave any deed out.
            statuses.extend([401, 403]);
        }
        if self.path_names().next().is_some() {
            statuses.insert(404);
        }
        if self.method != "get" {
            // Beside its own: a form too long or of another type, a key used for another request, an `If-Match` that fails.
            statuses.extend([409, 412, 413, 415, 422]);
        }
        statuses
    }
}
