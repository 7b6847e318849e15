//! Bad input: right status, the envelope, every field named, nothing written, no internal text.

mod bodies;
mod foreign;
mod tokens;

use std::{collections::BTreeMap, time::Duration};

use minispod_e2e::{Door, World, door::Answer};
use reqwest::Method;
use serde_json::{Value, json};

const SETTLE: Duration = Duration::from_mins(1);

/// Words of ours that no client has any business with, in small letters.
const INTERNAL: [&str; 22] = [
    "sqlx",
    "panicked",
    "src/",
    ".rs:",
    "::",
    "postgres",
    "nats",
    "jetstream",
    "serde",
    "actix",
    "tokio",
    "jsonwebtoken",
    "hs256",
    "hs512",
    "line 1",
    "column",
    "relation",
    "constraint",
    "select ",
    "insert ",
    "log.events",
    "backtrace",
];

/// One request and what must come back.
struct Case {
    name: String,
    method: Method,
    path: String,
    body: Vec<u8>,
    headers: Vec<(&'static str, String)>,
    status: u16,
    /// The code of the envelope.
    code: &'static str,
    /// Fields that must be named in `errors[].field`, and no others.
    fields: Vec<String>,
}

impl Case {
    fn new(name: impl Into<String>, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            method,
            path: path.to_owned(),
            body: body.into(),
            headers: Vec::new(),
            status: 400,
            code: "VALIDATION_ERROR",
            fields: Vec::new(),
        }
    }

    /// A POST of JSON whose failing fields are named.
    fn post(name: &str, path: &str, body: &Value, fields: &[&str]) -> Self {
        Self::new(name, Method::POST, path, body.to_string()).naming(fields)
    }

    /// A GET whose failing parameters are named.
    fn get(name: &str, path: &str, fields: &[&str]) -> Self {
        Self::new(name, Method::GET, path, Vec::new()).naming(fields)
    }

    fn naming(self, fields: &[&str]) -> Self {
        Self { fields: fields.iter().map(|field| (*field).to_owned()).collect(), ..self }
    }

    fn answered(self, status: u16, code: &'static str) -> Self {
        Self { status, code, ..self }
    }

    fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    /// What is wrong with the answer.
    async fn check(&self, door: &Door) -> Vec<String> {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = (!self.body.is_empty()).then(|| self.body.clone());
        match door.try_send(self.method.clone(), &self.path, body, &headers).await {
            Ok(answer) => self.faults(&answer).into_iter().map(|fault| format!("{}: {fault}", self.name)).collect(),
            Err(error) => vec![format!("{}: no answer: {error}", self.name)],
        }
    }

    fn faults(&self, answer: &Answer) -> Vec<String> {
        let mut faults = refusal_faults(answer, self.status, self.code);
        let named = answer.body["errors"].as_array().into_iter().flatten();
        let mut named: Vec<&str> = named.filter_map(|error| error["field"].as_str()).collect();
        named.dedup();
        if named != self.fields {
            faults.push(format!("names {named:?} instead of {:?}", self.fields));
        }
        faults
    }
}

/// What is wrong with a refusal whatever it is about: status, envelope, and what it gives away.
fn refusal_faults(answer: &Answer, status: u16, code: &str) -> Vec<String> {
    let (mut faults, body) = (Vec::new(), &answer.body);
    let mut expect = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    expect(answer.status == status, format!("status {} instead of {status}: {body}", answer.status));
    expect(body["success"] == json!(false), format!("no envelope of a refusal: {body}"));
    expect(body["message"].as_str().is_some_and(|message| !message.is_empty()), format!("no message: {body}"));
    expect(body["code"] == json!(code), format!("code {} instead of {code}", body["code"]));
    expect(body["statusCode"] == json!(answer.status), format!("statusCode {}", body["statusCode"]));
    expect(body["timestamp"].is_string(), "no timestamp".to_owned());
    let known = ["success", "message", "code", "details", "timestamp", "statusCode", "errors"];
    let members = body.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let strange: Vec<&str> = members.filter(|name| !known.contains(name)).collect();
    expect(strange.is_empty(), format!("strange members {strange:?}"));
    let text = String::from_utf8_lossy(&answer.bytes).to_lowercase();
    for word in INTERNAL {
        expect(!text.contains(word), format!("shows {word:?}: {text}"));
    }
    faults
}

/// Everything a request can leave behind, by kind: events of every type, claims, secrets, raw notifications, intended
/// effects, timers and receipts. Taken of a system that has come to rest, but for the watch of instances and the polls of
/// the gateway: they look by themselves, and what they say twice leaves a receipt that is nobody's request. Their events are
/// counted.
async fn everything_written(world: &World) -> BTreeMap<String, i64> {
    let sql = world.sql().await;
    world.settle(&sql, SETTLE).await;
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "SELECT aggregate_type || '/' || event_type, count(*) FROM log.events GROUP BY 1
         UNION ALL SELECT 'claims', count(*) FROM log.claims
         UNION ALL SELECT 'secrets', count(*) FROM vault.secrets
         UNION ALL SELECT 'notifications', count(*) FROM ops.inbox
         UNION ALL SELECT 'effects', count(*) FROM ops.effects
         UNION ALL SELECT 'timers', count(*) FROM ops.timers
         UNION ALL SELECT 'receipts/' || aggregate_type || '/' || outcome || coalesce('/' || code, ''), count(*)
             FROM ops.receipts WHERE key NOT LIKE 'watch.%' AND key NOT LIKE '%.gateway-poll.%'
             GROUP BY 1",
    )
    .fetch_all(&sql)
    .await
    .expect("the database can be counted");
    rows.into_iter().collect()
}
