//! `POST /auth/forgot-password`: mails a link to set a new password. Tells nobody whether there is such an account.

use std::time::Duration;

use actix_web::web;
use minispod_auth::credential_rules::email_fault;
use minispod_domain::{AccessCommand, AnyCommand, UserCommand};
use minispod_kernel::Actor;
use minispod_store::CommandError;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    state::AppState,
};

/// How long an answer takes, with and without an account: far longer than the work.
const SAME_TIME: Duration = Duration::from_millis(300);

pub async fn handle(state: web::Data<AppState>, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    let email = read(&body.form().await?.value)?;
    let answered_at = Instant::now() + SAME_TIME;
    let address = state.store.email_claim(&email);
    // Beyond the limit nothing is sent, and the answer is the same.
    if state.limits.links.check(&address).is_ok() {
        ask(&state, &call, &address).await?;
    }
    sleep_until(answered_at).await;
    Ok(Answer::ok("If there is an account with this email, a link to set a new password is on its way", Value::Null))
}

async fn ask(state: &AppState, call: &Call, address: &str) -> std::result::Result<(), ApiError> {
    let Some(user_id) = state.store.claim_holder(&format!("email/{address}")).await? else { return Ok(()) };
    let command = AnyCommand::User(UserCommand::Access(AccessCommand::RequestPasswordReset));
    match state.dispatcher.dispatch_as(&user_id, command, call.plain(Actor::Anonymous)).await {
        // A deactivated account gets none; nobody is told.
        Ok(_) | Err(CommandError::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn read(body: &Value) -> std::result::Result<String, ApiError> {
    let mut fields = Fields::of(body)?;
    let email = fields.text("email", "Email").map(str::trim);
    if let Some(fault) = email.and_then(email_fault) {
        fields.fault("email", fault);
    }
    fields.finish(Unknown::Refused)?;
    Ok(email.unwrap_or_default().to_owned())
}
