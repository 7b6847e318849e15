//! `DELETE /auth/account`: deactivates the caller's account and ends its sessions. Subscriptions run on to their end.

use actix_web::web;
use minispod_domain::{AnyCommand, UserCommand};
use serde_json::Value;

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    session,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call) -> Result {
    caller.session()?;
    let command = AnyCommand::User(UserCommand::Deactivate { reason: "closed by its owner".to_owned() });
    let context = call.command(caller.actor(), &caller.user.id, &[]);
    let closed = state.dispatcher.dispatch_as(&caller.user.id, command, context).await?;
    let shown = call.shown(&state, &["users"], closed.ins_seq).await;
    state.accounts.forget(&caller.user.id).await;
    session::revoke_all(&state, &call, &caller.actor(), &caller.user, None, "the account was closed", closed.ins_seq)
        .await?;
    Ok(Answer::ok("Account deactivated successfully", Value::Null)
        .at_version(closed.version)
        .replayed(closed.replayed)
        .shown(shown))
}
