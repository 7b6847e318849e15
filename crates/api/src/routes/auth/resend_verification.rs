//! `POST /auth/resend-verification`: mails another link that verifies the caller's address.

use actix_web::web;
use minispod_domain::{AccessCommand, AnyCommand, UserCommand};
use serde_json::Value;

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call) -> Result {
    caller.session()?;
    state.limits.links.check(&caller.user.id)?;
    let command = AnyCommand::User(UserCommand::Access(AccessCommand::RequestEmailVerification));
    let asked = state.dispatcher.dispatch_as(&caller.user.id, command, call.plain(caller.actor())).await?;
    let message = if asked.events.is_empty() { "Email is verified already" } else { "Verification email sent" };
    Ok(Answer::ok(message, Value::Null))
}
