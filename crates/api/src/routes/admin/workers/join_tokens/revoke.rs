//! `DELETE /admin/workers/join-tokens/:id`: takes a token back that nobody has used.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::{AnyCommand, JoinTokenCommand};
use serde_json::json;

use super::SHOWN_BY;
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::path::existing_id,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, id: web::Path<String>) -> Result {
    caller.may(Action::ManageNodes)?;
    let id = existing_id(&id, "Join token")?;
    let context = call.command(caller.actor(), &caller.user.id, &[]);
    let done = state.dispatcher.dispatch_as(id, AnyCommand::JoinToken(JoinTokenCommand::Revoke), context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    Ok(Answer::ok("Join token revoked successfully", json!({ "id": id })).replayed(done.replayed).shown(shown))
}
