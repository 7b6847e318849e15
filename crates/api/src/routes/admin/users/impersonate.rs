//! `POST /admin/users/:id/impersonate`: a token with which an administrator sees, for a short while, what a customer sees.

use actix_web::web;
use minispod_auth::{Action, lifetime_in_words};
use minispod_domain::{AnyCommand, UserCommand, user::IMPERSONATION_LIFE};
use minispod_kernel::Sensitive;
use serde_json::{Value, json};

use super::{Account, SHOWN_BY, refusal};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, reason::read_reason},
    state::AppState,
    views,
};

/// Shortest reason, in characters: a dot is none.
pub const REASON_MIN: usize = 10;

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::Impersonate)?;
    // The token ends with this session; a program's API token has none.
    let session_id = caller.session()?;
    call.refuse_key()?;
    let reason = read(&body.form().await?.value, call.reason().unwrap_or_default())?;
    let account = Account::existing(&state, &id).await?;
    let expires_at = state.clock.now().plus(IMPERSONATION_LIFE);
    let command = AnyCommand::User(UserCommand::Impersonate {
        administrator_id: caller.user.id.clone(),
        session_id: session_id.to_owned(),
        reason: Sensitive::Open(reason),
        expires_at,
    });
    let context = call.command(caller.actor(), &caller.user.id, &[]);
    let done = state.dispatcher.dispatch_as(&id, command, context).await.map_err(refusal)?;
    let row = &account.row;
    let token = state.tokens.issue_acting(&id, row.role.as_str(), &caller.user.id, session_id, IMPERSONATION_LIFE);
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let data = json!({
        "accessToken": token.map_err(ApiError::internal)?,
        "expiresIn": lifetime_in_words(IMPERSONATION_LIFE),
        "expiresAt": expires_at.to_contract(),
        "readOnly": true,
        "user": views::people::mini(row),
    });
    Ok(Answer::created("You see what the customer sees, for reading only", data).at_version(done.version).shown(shown))
}

/// The reason, which must be one: of the form, else of the header.
fn read(body: &Value, header: &str) -> std::result::Result<String, ApiError> {
    let mut fields = Fields::of(body)?;
    let reason = read_reason(&mut fields, header);
    if reason.chars().count() < REASON_MIN && !fields.is_faulty("reason") {
        fields.fault("reason", format!("Reason must have at least {REASON_MIN} characters"));
    }
    fields.finish(Unknown::Refused)?;
    Ok(reason)
}
