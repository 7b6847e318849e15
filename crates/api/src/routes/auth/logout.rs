//! `POST /auth/logout`: ends the session whose token is shown.

use actix_web::web;
use serde_json::Value;

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    session,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call) -> Result {
    let ended = session::revoke(&state, &call, caller.actor(), caller.session()?, "signed out").await?;
    let shown = call.shown(&state, session::SHOWN_BY, ended).await;
    Ok(Answer::ok("Logout successful", Value::Null).shown(shown))
}
