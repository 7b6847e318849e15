//! `POST /auth/change-password`: a new password for who knows the old one; every other session ends.

use actix_web::{http::StatusCode, web};
use minispod_auth::credential_rules::PASSWORD_MAX;
use minispod_domain::{AnyCommand, UserCommand, ports::LinkKind};
use minispod_store::VaultWrite;
use serde_json::Value;

use super::{PASSWORD, check_new_password, end_of_link, password_owner};
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
    // A stolen access token must not serve to guess the password.
    let tries = format!("{} {}", caller.user.id, call.sender);
    state.limits.sign_ins.check(&tries)?;
    let owner = password_owner(&caller.user.id);
    let kept = state.store.vault().find(&owner, PASSWORD).await?;
    let kept = kept.and_then(|hash| String::from_utf8(hash).ok());
    if !state.passwords.matches(given.current, kept).await? {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_PASSWORD", "Current password is incorrect"));
    }
    state.limits.sign_ins.forgive(&tries);
    let hash = state.passwords.hash(given.new).await?;
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
        match current {
            Some("") => fields.fault("currentPassword", "Current password is required"),
            Some(long) if long.chars().count() > PASSWORD_MAX => {
                fields.fault("currentPassword", format!("Password must be at most {PASSWORD_MAX} characters long"));
            }
            _ => {}
        }
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
