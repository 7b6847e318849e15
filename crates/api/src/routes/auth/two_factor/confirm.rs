//! `POST /auth/2fa/confirm`: a first one-time code switches two-factor sign-in on; the recovery codes are shown once.

use actix_web::web;
use minispod_auth::{CodeSecret, RecoveryCodes};
use minispod_domain::{AccessCommand, AnyCommand, UserCommand, user::RECOVERY_CODES};
use minispod_store::VaultWrite;
use serde_json::{Value, json};

use super::wrong_code;
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    session::user_owner,
    sign_in::{CODE_SECRET, CODE_SECRET_PENDING, RECOVERY_HASHES},
    state::AppState,
};

/// Longest code that is looked at, in bytes.
const CODE_MAX: usize = 64;

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    caller.session()?;
    let code = read(&body.form().await?.value)?;
    let (user_id, owner) = (&caller.user.id, user_owner(&caller.user.id));
    let Some(secret) = state.store.vault().find(&owner, CODE_SECRET_PENDING).await? else {
        return Err(ApiError::conflict("Two-factor sign-in is not being set up"));
    };
    state.limits.second_factors.check(user_id)?;
    let step = CodeSecret::of_bytes(secret.clone()).step_of(&code, state.clock.now()).map_err(ApiError::internal)?;
    let step = step.ok_or_else(wrong_code)?;
    state.limits.second_factors.forgive(user_id);
    let codes = RecoveryCodes::generate(RECOVERY_CODES, state.ids.as_ref());
    let put = |name: &str, value: Vec<u8>| VaultWrite::Put { owner: owner.clone(), name: name.to_owned(), value };
    let secrets = vec![
        put(CODE_SECRET, secret),
        put(RECOVERY_HASHES, codes.kept),
        VaultWrite::Remove { owner: owner.clone(), name: CODE_SECRET_PENDING.to_owned() },
    ];
    let command = AnyCommand::User(UserCommand::Access(AccessCommand::EnableTwoFactor { step }));
    let enabled = state.dispatcher.dispatch_as(user_id, command, call.with_secrets(caller.actor(), secrets)).await?;
    let shown = call.shown(&state, &["users"], enabled.ins_seq).await;
    state.accounts.forget(user_id).await;
    let data = json!({ "recoveryCodes": codes.texts });
    Ok(Answer::ok("Two-factor sign-in is on. Keep the recovery codes: they are shown once", data).shown(shown))
}

fn read(body: &Value) -> std::result::Result<String, ApiError> {
    let mut fields = Fields::of(body)?;
    let code = fields.text("otp", "One-time code").unwrap_or_default();
    if code.len() > CODE_MAX {
        fields.fault("otp", "One-time code is too long");
    }
    fields.finish(Unknown::Refused)?;
    Ok(code.to_owned())
}
