//! `DELETE /auth/sessions`: ends every session of the caller but this one.

use actix_web::web;
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    session,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call) -> Result {
    let now = state.store.log().newest_ins_seq().await?;
    let keep = Some(caller.session()?);
    let reason = "ended from another session";
    let revoked = session::revoke_all(&state, &call, &caller.actor(), &caller.user, keep, reason, now).await?;
    Ok(Answer::ok("Other sessions revoked successfully", json!({ "revoked": revoked })))
}
