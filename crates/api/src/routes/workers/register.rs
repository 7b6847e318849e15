//! `POST /workers/register`: a node joins with a token that works once, and gets the key for its signs of life.

use std::{collections::BTreeMap, net::IpAddr};

use actix_web::{HttpRequest, http::StatusCode, web};
use minispod_auth::MachineToken;
use minispod_domain::{AnyCommand, JoinTokenCommand, node::HEARTBEAT};
use minispod_events::{NodeFacts, NodeTaint};
use minispod_kernel::Actor;
use minispod_projections::nodes;
use minispod_store::{CommandError, NodeHeartbeat};
use serde_json::{Value, json};

use super::{SHOWN_BY, shown, unknown};
use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    refusals::read_failed,
    routes::admin::workers::is_node_name,
    state::AppState,
};

const LABELS_MAX: usize = 64;
const TAINTS_MAX: usize = 32;
const WORD_MAX: usize = 128;

pub async fn handle(state: web::Data<AppState>, call: Call, request: HttpRequest, body: RequestBody) -> Result {
    let (token_id, token) = MachineToken::read_join(&shown(&request)?).ok_or_else(unknown)?;
    call.refuse_key()?;
    let body = body.form().await?;
    let (name, facts) = read(&body.value)?;
    let known = nodes::find(state.pool(), &name).await.map_err(read_failed)?.is_some();
    let key = MachineToken::node(state.ids.as_ref());
    let command =
        JoinTokenCommand::Use { hash: token.hash(), node: name.clone(), facts: Box::new(facts), key_hash: key.hash() };
    let actor = Actor::system("join-token");
    let used = state.dispatcher.dispatch_as(&token_id, AnyCommand::JoinToken(command), call.plain(actor.clone())).await;
    let used = used.map_err(|error| match error {
        CommandError::Refused(no) => {
            tracing::warn!(request_id = call.request_id, node = name, code = no.code, "a node was not let in");
            unknown()
        }
        other => other.into(),
    })?;
    let driven = state.dispatcher.drive(used, &call.cause(actor)).await?;
    tracing::info!(request_id = call.request_id, node = name, "a node has joined");
    let beat = NodeHeartbeat {
        name: name.clone(),
        at: state.clock.now(),
        ready: true,
        allocated_cpu_millis: None,
        allocated_memory_mb: None,
        allocated_storage_gb: None,
        current_pods: None,
    };
    state.store.telemetry().record_heartbeat(&beat).await.map_err(read_failed)?;
    let seen = call.shown(&state, SHOWN_BY, driven.ins_seq).await;
    let data = json!({
        "id": name,
        "name": name,
        "status": "ACTIVE",
        "isReady": true,
        "isSchedulable": true,
        "heartbeatToken": key.text(),
        "heartbeatIntervalSeconds": HEARTBEAT.as_secs(),
    });
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    Ok(Answer::ok("Worker node registered successfully", data).with_status(status).shown(seen))
}

/// The node's name and what it says of itself. Scripts that leave the name out are called by their host's name.
fn read(body: &Value) -> std::result::Result<(String, NodeFacts), ApiError> {
    let mut fields = Fields::of(body)?;
    let hostname = fields.text("hostname", "hostname").unwrap_or_default().to_owned();
    if !fields.is_faulty("hostname") && !(1..=255).contains(&hostname.chars().count()) {
        fields.fault("hostname", "hostname must be 1 to 255 characters");
    }
    let name = fields.optional_text("name", "name").unwrap_or(&hostname).to_ascii_lowercase();
    if !is_node_name(&name) || !(2..=100).contains(&name.len()) {
        fields.fault("name", "name must be 2 to 100 of the characters a-z, 0-9, dot and hyphen");
    }
    let ip_address = fields.text("ipAddress", "ipAddress").unwrap_or_default().to_owned();
    if !fields.is_faulty("ipAddress") && ip_address.parse::<IpAddr>().is_err() {
        fields.fault("ipAddress", "ipAddress must be an IP address");
    }
    let cpu_cores = bounded(&mut fields, "cpuCores", 1, 128, None);
    let max_pods = bounded(&mut fields, "maxPods", 1, 250, Some(110));
    let architecture = fields.optional_text("architecture", "architecture").unwrap_or("amd64").to_owned();
    if !["amd64", "arm64"].contains(&architecture.as_str()) {
        fields.fault("architecture", "architecture must be amd64 or arm64");
    }
    let facts = NodeFacts {
        hostname,
        ip_address,
        architecture,
        operating_system: word(&mut fields, "operatingSystem").unwrap_or_else(|| "linux".to_owned()),
        cpu_cores,
        cpu_architecture: needed(&mut fields, "cpuArchitecture"),
        total_memory: amount(&mut fields, "totalMemory"),
        total_storage: amount(&mut fields, "totalStorage"),
        max_pods,
        kubelet_version: word(&mut fields, "kubeletVersion"),
        container_runtime: word(&mut fields, "containerRuntime"),
        kernel_version: word(&mut fields, "kernelVersion"),
        os_image: word(&mut fields, "osImage"),
        labels: labels(&mut fields),
        taints: taints(&mut fields, body),
    };
    fields.finish(Unknown::Ignored)?;
    Ok((name, facts))
}

fn bounded(fields: &mut Fields<'_>, name: &'static str, min: i64, max: i64, usual: Option<u32>) -> u32 {
    let number = match usual {
        Some(_) => fields.optional_whole_number(name, name),
        None => fields.whole_number(name, name),
    };
    let Some(number) = number else { return usual.unwrap_or_default() };
    if !(min..=max).contains(&number) {
        fields.fault(name, format!("{name} must be a whole number from {min} to {max}"));
    }
    u32::try_from(number).unwrap_or_default()
}

fn word(fields: &mut Fields<'_>, name: &'static str) -> Option<String> {
    let text = fields.optional_text(name, name)?.trim().to_owned();
    if text.is_empty() {
        return None;
    }
    if text.chars().count() > WORD_MAX || text.contains(char::is_control) {
        fields.fault(name, format!("{name} must be at most {WORD_MAX} characters of one line"));
    }
    Some(text)
}

fn needed(fields: &mut Fields<'_>, name: &'static str) -> String {
    fields.text(name, name);
    if fields.is_faulty(name) { String::new() } else { word(fields, name).unwrap_or_default() }
}

/// In the cluster's own quantities (`16Gi`, `16384Ki`).
fn amount(fields: &mut Fields<'_>, name: &'static str) -> String {
    let text = needed(fields, name);
    if !fields.is_faulty(name) && !is_amount(&text) {
        fields.fault(name, format!("{name} must be an amount as in 16Gi"));
    }
    text
}

/// Digits, perhaps a fraction, and one of the cluster's suffixes.
fn is_amount(text: &str) -> bool {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let suffix = &text[number.len()..];
    let known = ["", "k", "Ki", "M", "Mi", "G", "Gi", "T", "Ti", "P", "Pi"].contains(&suffix);
    known
        && text.len() <= 32
        && number.starts_with(|digit: char| digit.is_ascii_digit())
        && number.parse::<f64>().is_ok()
}

fn labels(fields: &mut Fields<'_>) -> BTreeMap<String, String> {
    let labels = fields.optional_texts("labels", "labels").unwrap_or_default();
    let short = |text: &String| text.chars().count() <= 316 && !text.contains(char::is_control);
    if labels.len() > LABELS_MAX || !labels.iter().all(|(key, value)| short(key) && short(value)) {
        fields.fault("labels", format!("labels may be at most {LABELS_MAX}, each at most 316 characters"));
        return BTreeMap::new();
    }
    labels
}

fn taints(fields: &mut Fields<'_>, body: &Value) -> Vec<NodeTaint> {
    let Some(list) = body.get("taints").filter(|taints| !taints.is_null()) else { return Vec::new() };
    let taint = |one: &Value| {
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let taint = NodeTaint { key: text("key"), value: text("value"), effect: text("effect") };
        let effect = ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&taint.effect.as_str());
        let short = |text: &String| text.chars().count() <= 316 && !text.contains(char::is_control);
        (effect && !taint.key.is_empty() && short(&taint.key) && short(&taint.value)).then_some(taint)
    };
    let read = list.as_array().filter(|list| list.len() <= TAINTS_MAX);
    let read = read.and_then(|list| list.iter().map(taint).collect::<Option<Vec<_>>>());
    read.unwrap_or_else(|| {
        let rule = "with key, value and an effect of NoSchedule, PreferNoSchedule or NoExecute";
        fields.fault("taints", format!("taints must be a list of at most {TAINTS_MAX}, each {rule}"));
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Value {
        json!({
            "name": "Worker-1", "hostname": "worker-1.example.com", "ipAddress": "203.0.113.7", "cpuCores": 4,
            "cpuArchitecture": "x86_64", "totalMemory": "16Gi", "totalStorage": "200Gi",
            "labels": { "tier": "paid" }, "taints": [{ "key": "k", "value": "", "effect": "NoSchedule" }],
        })
    }

    #[test]
    fn what_a_node_says_is_read_with_the_contracts_defaults() {
        let (name, facts) = read(&body()).expect("reads");
        assert_eq!(name, "worker-1");
        let words = (facts.architecture.as_str(), facts.operating_system.as_str(), facts.max_pods);
        assert_eq!(words, ("amd64", "linux", 110));
        assert_eq!((facts.labels["tier"].as_str(), facts.taints.len()), ("paid", 1));
        let mut nameless = body();
        nameless.as_object_mut().expect("an object").remove("name");
        assert_eq!(read(&nameless).expect("reads").0, "worker-1.example.com");
    }

    #[test]
    fn every_field_that_does_not_fit_is_named() {
        for (field, bad) in [
            ("name", json!("a b")),
            ("hostname", json!("")),
            ("ipAddress", json!("300.1.1.1")),
            ("cpuCores", json!(0)),
            ("cpuArchitecture", json!(null)),
            ("totalMemory", json!("much")),
            ("totalStorage", json!("1 TB")),
            ("architecture", json!("mips")),
            ("maxPods", json!(251)),
            ("kubeletVersion", json!("v".repeat(129))),
            ("labels", json!({ "a": "x".repeat(317) })),
            ("taints", json!([{ "key": "k", "effect": "Never" }])),
            ("taints", json!("all")),
        ] {
            let mut body = body();
            body[field] = bad.clone();
            assert!(read(&body).is_err(), "{field}: {bad}");
        }
    }
}
