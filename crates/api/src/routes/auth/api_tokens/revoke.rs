//! `DELETE /auth/api-tokens/:id`: ends one of the caller's API tokens.

use actix_web::web;
use minispod_domain::{AccessCommand, AnyCommand, UserCommand};
use minispod_kernel::RefusalKind;
use minispod_store::{CommandError, VaultWrite};
use serde_json::Value;

use crate::{
    answer::{Answer, Result},
    api_tokens::{API_TOKEN_HASH, owner},
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
    let id = existing_id(&id, "API token")?;
    let command = AnyCommand::User(UserCommand::Access(AccessCommand::RevokeApiToken { token_id: id.to_owned() }));
    let hash = VaultWrite::Remove { owner: owner(id), name: API_TOKEN_HASH.to_owned() };
    let context = call.with_secrets(caller.actor(), vec![hash]);
    let revoked =
        state.dispatcher.dispatch_as(&caller.user.id, command, context).await.map_err(|error| match error {
            CommandError::Refused(no) if no.kind == RefusalKind::NotFound => {
                ApiError::not_found("API token").sought(&[Kind::ApiToken], id)
            }
            other => other.into(),
        })?;
    state.api_tokens.forget(id).await;
    let shown = call.shown(&state, session::SHOWN_BY, revoked.ins_seq).await;
    Ok(Answer::ok("API token revoked successfully", Value::Null).shown(shown))
}
