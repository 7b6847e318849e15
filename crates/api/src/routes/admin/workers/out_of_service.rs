//! `POST /admin/workers/:nodeId/out-of-service`: says that a lost node's machine is off for certain, so that what it ran
//! runs elsewhere with its volumes.
//!
//! Never done by itself: a machine that is only cut off may still write to a volume, and two writers destroy it.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::{AnyCommand, NodeCommand};
use minispod_store::CommandError;

use super::{node_name, not_found, view};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    fleet::{fleet, fleet_failed},
    input::{Fields, RequestBody, Unknown},
    state::AppState,
};

const UNCONFIRMED: &str = "machineIsOff must be true: make sure that the machine is off (power, hypervisor), else two machines may write to one volume";

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageNodes)?;
    let body = body.form().await?;
    let mut fields = Fields::of(&body.value)?;
    if fields.optional_flag("machineIsOff", "machineIsOff") != Some(true) {
        fields.fault("machineIsOff", UNCONFIRMED);
    }
    fields.finish(Unknown::Ignored)?;
    let name = node_name(&id)?;
    let node = fleet(&state)?.take_out_of_service(name).await.map_err(fleet_failed)?.ok_or_else(not_found)?;
    let command = AnyCommand::Node(NodeCommand::RecordOutOfService);
    match state.dispatcher.dispatch_as(name, command, call.plain(caller.actor())).await {
        // A node that no fact knows yet is taken out all the same.
        Ok(_) | Err(CommandError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    tracing::warn!(administrator = caller.user.id, node = name, "a node was taken out of service");
    Ok(Answer::ok("Worker node taken out of service", view(&state, &node)))
}
