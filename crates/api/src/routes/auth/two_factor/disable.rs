//! `POST /auth/2fa/disable`: switches two-factor sign-in off, for who has a code.

use actix_web::web;
use minispod_domain::AccessCommand;
use minispod_store::VaultWrite;
use serde_json::Value;

use super::wrong_code;
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    session::user_owner,
    sign_in::{CODE_SECRET, RECOVERY_HASHES, Shown, spend},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    caller.session()?;
    let shown = read(&body.form().await?.value)?;
    let owner = user_owner(&caller.user.id);
    if state.store.vault().find(&owner, CODE_SECRET).await?.is_none() {
        return Err(ApiError::conflict("Two-factor sign-in is not switched on"));
    }
    let removed =
        [CODE_SECRET, RECOVERY_HASHES].map(|name| VaultWrite::Remove { owner: owner.clone(), name: name.to_owned() });
    let command = |factor| AccessCommand::DisableTwoFactor { factor };
    let disabled = spend(&state, &call, &caller.user, &shown, command, removed.into()).await;
    let disabled = disabled.map_err(|error| error.unwrap_or_else(wrong_code))?;
    let shown = call.shown(&state, &["users"], disabled.ins_seq).await;
    state.accounts.forget(&caller.user.id).await;
    Ok(Answer::ok("Two-factor sign-in is off", Value::Null).shown(shown))
}

fn read(body: &Value) -> std::result::Result<Shown, ApiError> {
    let mut fields = Fields::of(body)?;
    let shown = Shown::read(&mut fields);
    if shown.is_missing() {
        fields.fault("otp", "A one-time code or a recovery code is required");
    }
    fields.finish(Unknown::Refused)?;
    Ok(shown)
}
