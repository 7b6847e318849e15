//! `PUT /workers/:name/heartbeat`: a node's sign of life under its own key. It is kept as telemetry; only a change of
//! whether it runs is a fact.

use actix_web::{HttpRequest, web};
use minispod_auth::MachineToken;
use minispod_domain::{AnyCommand, NodeCommand};
use minispod_kernel::Actor;
use minispod_projections::nodes;
use minispod_store::NodeHeartbeat;
use serde_json::Value;

use super::{SHOWN_BY, shown, unknown};
use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    refusals::read_failed,
    routes::admin::workers::{node_name, not_found},
    state::AppState,
    views,
};

/// Thousandths of a core, megabytes, gigabytes and pods: far beyond any machine.
const MOST: i64 = 1_000_000_000;

pub async fn handle(
    state: web::Data<AppState>,
    call: Call,
    request: HttpRequest,
    name: web::Path<String>,
    body: RequestBody,
) -> Result {
    let key = MachineToken::read_node(&shown(&request)?).ok_or_else(unknown)?;
    let name = node_name(&name)?;
    let row = nodes::find(state.pool(), name).await.map_err(read_failed)?;
    let row = row.filter(|row| row.key_hash.as_deref().is_some_and(|kept| key.fits(kept))).ok_or_else(unknown)?;
    let body = body.form().await?;
    let beat = read(name, &body.value, state.clock.now())?;
    state.store.telemetry().record_heartbeat(&beat).await.map_err(read_failed)?;
    let mut row = row;
    if beat.ready != row.ready || row.lost {
        let command = AnyCommand::Node(NodeCommand::Beat { ready: beat.ready });
        let actor = Actor::system("node");
        let done = state.dispatcher.dispatch_as(name, command, call.plain(actor)).await?;
        // The next sign of life is compared with what this one changed.
        call.shown(&state, SHOWN_BY, done.ins_seq).await;
        (row.ready, row.lost) = (beat.ready, false);
    }
    let kept = state.store.telemetry().heartbeats(Some(&[name.to_owned()])).await.map_err(read_failed)?;
    let kept = kept.first().ok_or_else(not_found)?;
    Ok(Answer::ok("Heartbeat received", views::joined::heartbeat(&row, kept)))
}

fn read(name: &str, body: &Value, at: minispod_kernel::Timestamp) -> std::result::Result<NodeHeartbeat, ApiError> {
    let mut fields = Fields::of(body)?;
    let allocated_cpu_millis = processors(&mut fields, body);
    let allocated_memory_mb = bounded(&mut fields, "allocatedMemory");
    let allocated_storage_gb = bounded(&mut fields, "allocatedStorage");
    let current_pods = bounded(&mut fields, "currentPods").and_then(|pods| i32::try_from(pods).ok());
    let ready = fields.optional_flag("isReady", "isReady").unwrap_or(true);
    fields.finish(Unknown::Ignored)?;
    Ok(NodeHeartbeat {
        name: name.to_owned(),
        at,
        ready,
        allocated_cpu_millis,
        allocated_memory_mb,
        allocated_storage_gb,
        current_pods,
    })
}

/// Cores, which may have a fraction.
fn processors(fields: &mut Fields<'_>, body: &Value) -> Option<i64> {
    let given = body.get("allocatedCPU").filter(|given| !given.is_null())?;
    let cores = given.as_f64().or_else(|| given.as_str()?.parse().ok());
    let Some(cores) = cores.filter(|cores: &f64| (0.0..=100_000.0).contains(cores)) else {
        fields.fault("allocatedCPU", "allocatedCPU must be a number of cores, not below 0");
        return None;
    };
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    let millis = (cores * 1000.0).round() as i64;
    Some(millis)
}

fn bounded(fields: &mut Fields<'_>, name: &'static str) -> Option<i64> {
    let number = fields.optional_whole_number(name, name)?;
    if !(0..=MOST).contains(&number) {
        fields.fault(name, format!("{name} must be a whole number from 0 to {MOST}"));
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use minispod_kernel::Timestamp;
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_is_optional_and_what_does_not_fit_is_named() {
        let at = Timestamp::from_unix_millis(0);
        let beat =
            read("n", &json!({ "allocatedCPU": "1.25", "currentPods": 4, "status": "ACTIVE" }), at).expect("reads");
        assert_eq!((beat.allocated_cpu_millis, beat.current_pods, beat.ready), (Some(1_250), Some(4), true));
        assert!(!read("n", &json!({ "isReady": false }), at).expect("reads").ready);
        for bad in [
            json!({ "allocatedCPU": -1 }),
            json!({ "allocatedCPU": "many" }),
            json!({ "allocatedMemory": 1.5 }),
            json!({ "allocatedStorage": -1 }),
            json!({ "currentPods": "x" }),
            json!({ "isReady": "perhaps" }),
        ] {
            assert!(read("n", &bad, at).is_err(), "{bad}");
        }
    }
}
