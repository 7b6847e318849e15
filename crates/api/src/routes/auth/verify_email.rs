//! `POST /auth/verify-email`: who holds the mailed link reads the address's mails.

use actix_web::web;
use minispod_domain::{AccessCommand, AnyCommand, UserCommand, ports::LinkKind};
use minispod_kernel::Actor;
use minispod_store::CommandError;
use serde_json::Value;

use super::{dead_link, end_of_link, link_owner, link_token};
use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    let token = read(&body.form().await?.value)?;
    let user_id = link_owner(&state, LinkKind::VerifyEmail, &token).await?;
    let actor = Actor::Customer { id: user_id.clone() };
    let context = call.with_secrets(actor, vec![end_of_link(LinkKind::VerifyEmail, &user_id)]);
    let command = AnyCommand::User(UserCommand::Access(AccessCommand::VerifyEmail));
    let verified = state.dispatcher.dispatch_as(&user_id, command, context).await.map_err(|error| match error {
        CommandError::Refused(_) => dead_link(),
        other => other.into(),
    })?;
    let shown = call.shown(&state, &["users"], verified.ins_seq).await;
    state.accounts.forget(&user_id).await;
    Ok(Answer::ok("Email verified successfully", Value::Null).shown(shown))
}

fn read(body: &Value) -> std::result::Result<String, ApiError> {
    let mut fields = Fields::of(body)?;
    let token = link_token(&mut fields);
    fields.finish(Unknown::Refused)?;
    Ok(token.to_owned())
}
