//! `POST /auth/2fa/setup`: a secret for an authenticator app. Nothing is asked for at sign-in before it is confirmed.

use actix_web::web;
use minispod_auth::CodeSecret;
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    session::user_owner,
    sign_in::{CODE_SECRET, CODE_SECRET_PENDING},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call) -> Result {
    call.refuse_key()?;
    caller.session()?;
    let owner = user_owner(&caller.user.id);
    if state.store.vault().find(&owner, CODE_SECRET).await?.is_some() {
        return Err(ApiError::conflict("Two-factor sign-in is switched on already"));
    }
    let secret = CodeSecret::generate(state.ids.as_ref());
    let url = secret.url(&state.config.brand, &caller.user.email).map_err(ApiError::internal)?;
    state.store.vault().replace(&owner, CODE_SECRET_PENDING, secret.bytes()).await?;
    let data = json!({ "secret": secret.base32(), "otpauthUrl": url });
    Ok(Answer::ok("Scan the code and confirm with a one-time code", data))
}
