//! `POST /auth/reset-password`: sets a new password for who holds the mailed link; every session ends.

use actix_web::web;
use minispod_domain::{AccessCommand, AnyCommand, UserCommand, ports::LinkKind};
use minispod_kernel::Actor;
use minispod_store::{CommandError, VaultWrite};
use serde_json::Value;

use super::{PASSWORD, check_new_password, dead_link, end_of_link, link_owner, link_token, password_owner};
use crate::{
    answer::{Answer, Result},
    call::Call,
    error::{ApiError, RETRY_AFTER},
    input::{Fields, RequestBody, Unknown},
    session,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    let wish = Wish::read(&body.form().await?.value)?;
    let user_id = link_owner(&state, LinkKind::ResetPassword, &wish.token).await?;
    let hash = state.passwords.hash(wish.password).await?;
    let secret =
        VaultWrite::Put { owner: password_owner(&user_id), name: PASSWORD.to_owned(), value: hash.into_bytes() };
    let actor = Actor::Customer { id: user_id.clone() };
    let context = call.with_secrets(actor, vec![secret, end_of_link(LinkKind::ResetPassword, &user_id)]);
    let command = AnyCommand::User(UserCommand::Access(AccessCommand::ResetPassword));
    let reset = state.dispatcher.dispatch_as(&user_id, command, context).await.map_err(|error| match error {
        CommandError::Refused(_) => dead_link(),
        other => other.into(),
    })?;
    let user = state.accounts.find(&user_id).await?.ok_or_else(|| ApiError::busy(RETRY_AFTER))?;
    session::revoke_all(
        &state,
        &call,
        &session::actor(&user.id, user.role),
        &user,
        None,
        "the password was reset",
        reset.ins_seq,
    )
    .await?;
    state.accounts.forget(&user_id).await;
    Ok(Answer::ok("Password reset successfully", Value::Null))
}

struct Wish {
    token: String,
    password: String,
}

impl Wish {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let token = link_token(&mut fields);
        let password = fields.text("newPassword", "New password");
        let repeated = fields.text("confirmNewPassword", "Password confirmation");
        check_new_password(&mut fields, ("newPassword", password), ("confirmNewPassword", repeated));
        fields.finish(Unknown::Refused)?;
        Ok(Self { token: token.to_owned(), password: password.unwrap_or_default().to_owned() })
    }
}
