//! `DELETE /auth/sessions/:id`: ends one of the caller's sessions.

use actix_web::web;
use serde_json::Value;

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::path::existing_id,
    refused_access::Kind,
    session,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, id: web::Path<String>) -> Result {
    caller.session()?;
    let id = existing_id(&id, "Session")?;
    let found = state.sessions.find(id).await?.filter(|session| session.user_id == caller.user.id);
    if found.is_none() {
        return Err(ApiError::not_found("Session").sought(&[Kind::Session], id));
    }
    let ended = session::revoke(&state, &call, caller.actor(), id, "ended from another session").await?;
    let shown = call.shown(&state, session::SHOWN_BY, ended).await;
    Ok(Answer::ok("Session revoked successfully", Value::Null).shown(shown))
}
