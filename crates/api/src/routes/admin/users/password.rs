//! `PATCH /admin/users/:id/password`: sets another password for somebody.

use actix_web::web;
use minispod_auth::{Action, credential_rules::password_faults};
use minispod_domain::{AnyCommand, UserCommand};
use minispod_store::{CommandContext, VaultWrite};
use serde_json::Value;

use super::{Account, SHOWN_BY, refusal};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, reason::read_reason},
    routes::auth::{PASSWORD, password_owner},
    session,
    state::AppState,
    views,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageUsers)?;
    // What a request would be known by is made of its body, and this one is a password.
    call.refuse_key()?;
    let (password, reason) = read(&body.form().await?.value)?;
    call.because(&reason);
    Account::existing(&state, &id).await?;
    let hash = state.passwords.hash(password).await?;
    let secret = VaultWrite::Put { owner: password_owner(&id), name: PASSWORD.to_owned(), value: hash.into_bytes() };
    let context = call.command(caller.actor(), &caller.user.id, &[]);
    let context = CommandContext { vault: vec![secret], ..context };
    let command = AnyCommand::User(UserCommand::ChangePassword);
    let done = state.dispatcher.dispatch_as(&id, command, context).await.map_err(refusal)?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let account = Account::load(&state, &id).await?;
    let reason = "an administrator set another password";
    session::revoke_all(&state, &call, &caller.actor(), &account.row, None, reason, done.ins_seq).await?;
    Ok(Answer::ok("Password updated successfully", views::people::changed(&account.row))
        .at_version(done.version)
        .shown(shown))
}

fn read(body: &Value) -> std::result::Result<(String, String), ApiError> {
    let mut fields = Fields::of(body)?;
    let password = fields.text("newPassword", "New password");
    for fault in password.map(password_faults).unwrap_or_default() {
        fields.fault("newPassword", fault);
    }
    let reason = read_reason(&mut fields, "");
    fields.finish(Unknown::Refused)?;
    Ok((password.unwrap_or_default().to_owned(), reason))
}
