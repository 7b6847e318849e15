//! `POST /auth/change-password`: a new password for who knows the old one; every other session ends.

use actix_web::web;
use minispod_domain::{AnyCommand, UserCommand, ports::LinkKind};
use minispod_store::VaultWrite;
use serde_json::Value;

use super::{PASSWORD, check_current_password, check_new_password, confirm_password, end_of_link, password_owner};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    session,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    caller.session()?;
    let given = Passwords::read(&body.form().await?.value)?;
    confirm_password(&state, &caller, &call, given.current).await?;
    let hash = state.passwords.hash(given.new).await?;
    let owner = password_owner(&caller.user.id);
    let secret = VaultWrite::Put { owner, name: PASSWORD.to_owned(), value: hash.into_bytes() };
    let context =
        call.with_secrets(caller.actor(), vec![secret, end_of_link(LinkKind::ResetPassword, &caller.user.id)]);
    let command = AnyCommand::User(UserCommand::ChangePassword);
    let changed = state.dispatcher.dispatch_as(&caller.user.id, command, context).await?;
    let keep = Some(caller.session()?);
    session::revoke_all(
        &state,
        &call,
        &caller.actor(),
        &caller.user,
        keep,
        "the password was changed",
        changed.ins_seq,
    )
    .await?;
    Ok(Answer::ok("Password changed successfully", Value::Null).at_version(changed.version))
}

struct Passwords {
    current: String,
    new: String,
}

impl Passwords {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let current = fields.text("currentPassword", "Current password");
        let new = fields.text("newPassword", "New password");
        let repeated = fields.text("confirmNewPassword", "Password confirmation");
        check_current_password(&mut fields, current);
        check_new_password(&mut fields, ("newPassword", new), ("confirmNewPassword", repeated));
        fields.finish(Unknown::Refused)?;
        Ok(Self { current: current.unwrap_or_default().to_owned(), new: new.unwrap_or_default().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_bad_field_is_named() {
        for (body, expected) in [
            (json!({}), vec!["currentPassword", "newPassword", "confirmNewPassword"]),
            (
                json!({"currentPassword": "", "newPassword": "Rahasia!2", "confirmNewPassword": "Rahasia!3"}),
                vec!["currentPassword", "confirmNewPassword"],
            ),
            (
                json!({"currentPassword": "x", "newPassword": "rahasia!2", "confirmNewPassword": "rahasia!2"}),
                vec!["newPassword"],
            ),
        ] {
            let refusal = Passwords::read(&body).err().expect("refused");
            let fields: Vec<_> = refusal.errors().iter().map(|fault| fault.field.as_str()).collect();
            assert_eq!(fields, expected, "{body}");
        }
    }
}
