//! `POST /admin/workers/:nodeId/drain`: closes a node and moves its pods away, keeping disruption budgets.

use std::time::Duration;

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::{
    AnyCommand, NodeCommand,
    ports::fleet::{DrainWish, Eviction},
};
use minispod_store::CommandError;
use serde_json::{Value, json};

use super::{node_name, not_found, view};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    fleet::{fleet, fleet_failed},
    input::{Fields, RequestBody, Unknown},
    state::AppState,
};

/// Seconds that a pod may take to stop.
const GRACE: i64 = 30;
/// The most.
pub const GRACE_MAX: i64 = 600;
/// Seconds that all of it may take.
const TIMEOUT: i64 = 300;
/// The most: a request is no place to wait for longer.
pub const TIMEOUT_MAX: i64 = 600;

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageNodes)?;
    let body = body.form().await?;
    let wish = read(&body.value)?;
    let name = node_name(&id)?;
    let fleet = fleet(&state)?;
    let drained = fleet.drain(name, &wish).await.map_err(fleet_failed)?.ok_or_else(not_found)?;
    let failed = drained.evictions.iter().filter(|one| one.fault.is_some()).count();
    let evicted = drained.evictions.len() - failed;
    record(&state, &caller, &call, name, evicted, failed).await?;
    tracing::info!(administrator = caller.user.id, node = name, evicted, failed, "a node was drained");
    let data = json!({
        "node": view(&state, &drained.node),
        "podsEvicted": evicted,
        "podsFailed": failed,
        "evictionResults": drained.evictions.iter().map(result).collect::<Vec<_>>(),
        "simulated": fleet.is_simulated(),
    });
    let message = if failed == 0 { "Worker node drained successfully" } else { "Worker node drained in part" };
    Ok(Answer::ok(message, data))
}

/// A node that no fact knows yet is drained all the same.
async fn record(
    state: &AppState,
    caller: &Caller,
    call: &Call,
    name: &str,
    evicted: usize,
    failed: usize,
) -> std::result::Result<(), ApiError> {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let command = NodeCommand::RecordDrained { evicted: count(evicted), failed: count(failed) };
    match state.dispatcher.dispatch_as(name, AnyCommand::Node(command), call.plain(caller.actor())).await {
        Ok(_) | Err(CommandError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn read(body: &Value) -> std::result::Result<DrainWish, ApiError> {
    let mut fields = Fields::of(body)?;
    let grace = bounded(&mut fields, "gracePeriodSeconds", 0, GRACE_MAX).unwrap_or(GRACE);
    let timeout = bounded(&mut fields, "timeout", 1, TIMEOUT_MAX).unwrap_or(TIMEOUT);
    let force = fields.optional_flag("force", "Force").unwrap_or(false);
    let delete_local_data = fields.optional_flag("deleteLocalData", "deleteLocalData").unwrap_or(false);
    fields.finish(Unknown::Ignored)?;
    let seconds = |number: i64| Duration::from_secs(number.unsigned_abs());
    Ok(DrainWish { grace: seconds(grace), timeout: seconds(timeout), force, delete_local_data })
}

fn bounded(fields: &mut Fields<'_>, name: &'static str, min: i64, max: i64) -> Option<i64> {
    let number = fields.optional_whole_number(name, name)?;
    if !(min..=max).contains(&number) {
        fields.fault(name, format!("{name} must be a whole number from {min} to {max}"));
    }
    Some(number)
}

fn result(eviction: &Eviction) -> Value {
    let mut out = json!({ "name": eviction.name, "namespace": eviction.namespace, "status": "evicted" });
    if let Some(fault) = &eviction.fault {
        out["status"] = "failed".into();
        out["error"] = fault.clone().into();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w67_every_wish_of_a_drain_is_read_and_bounded() {
        let wish = |grace, timeout, force, delete_local_data| DrainWish {
            grace: Duration::from_secs(grace),
            timeout: Duration::from_secs(timeout),
            force,
            delete_local_data,
        };
        assert_eq!(read(&json!({})).expect("reads"), wish(30, 300, false, false));
        let all = json!({"gracePeriodSeconds": 0, "timeout": "600", "force": true, "deleteLocalData": true});
        assert_eq!(read(&all).expect("reads"), wish(0, 600, true, true));
        for bad in [
            json!({"gracePeriodSeconds": -1}),
            json!({"gracePeriodSeconds": 601}),
            json!({"timeout": 0}),
            json!({"timeout": 601}),
            json!({"timeout": 1.5}),
            json!({"force": "perhaps"}),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}
