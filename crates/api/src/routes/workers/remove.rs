//! `DELETE /workers/:name`: forgets a node that is not coming back; its key is worth nothing from then on.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::{AnyCommand, NodeCommand};
use minispod_projections::nodes;
use serde_json::json;

use super::SHOWN_BY;
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    refusals::read_failed,
    routes::admin::workers::{node_name, not_found},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, name: web::Path<String>) -> Result {
    caller.may(Action::ManageNodes)?;
    let name = node_name(&name)?;
    let context = call.command(caller.actor(), &caller.user.id, &[]);
    if !call.is_repeat(&state, &context).await? {
        nodes::find(state.pool(), name).await.map_err(read_failed)?.ok_or_else(not_found)?;
    }
    let done = state.dispatcher.dispatch_as(name, AnyCommand::Node(NodeCommand::Remove), context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    Ok(Answer::ok("Worker node removed successfully", json!({ "name": name })).replayed(done.replayed).shown(shown))
}
