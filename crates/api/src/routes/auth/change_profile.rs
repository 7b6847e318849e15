//! `PUT /auth/profile`: another name; another address for who knows the password.

use std::sync::Arc;

use actix_web::web;
use minispod_auth::credential_rules::email_fault;
use minispod_domain::{AnyCommand, UserCommand, ports::LinkKind};
use minispod_events::{Event, UserEvent};
use minispod_kernel::Sensitive;
use minispod_projections::users::UserRow;
use minispod_store::CommandError;
use serde_json::Value;

use super::{check_current_password, check_name, confirm_password, end_of_link};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    caller.session()?;
    let body = body.form().await?;
    let wish = Wish::read(&body.value)?;
    let email = wish.email.filter(|email| *email != caller.user.email);
    if email.is_some() {
        let given = wish.current_password.ok_or_else(password_is_missing)?;
        confirm_password(&state, &caller, &call, given).await?;
    }
    let command = AnyCommand::User(UserCommand::ChangeProfile {
        name: wish.name.filter(|name| *name != caller.user.name).map(Sensitive::Open),
        email_claim: email.as_deref().map(|email| state.store.email_claim(email)),
        email: email.clone().map(Sensitive::Open),
    });
    let mut context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    if email.is_some() {
        // Links to the former address prove nothing of the new one.
        context.vault =
            [LinkKind::VerifyEmail, LinkKind::ResetPassword].map(|kind| end_of_link(kind, &caller.user.id)).into();
    }
    let changed = state.dispatcher.dispatch_as(&caller.user.id, command, context).await;
    let changed = changed.map_err(|error| match error {
        CommandError::ClaimTaken { .. } => ApiError::conflict("A user with this email already exists"),
        other => other.into(),
    })?;
    let shown = call.shown(&state, &["users"], changed.ins_seq).await;
    state.accounts.forget(&caller.user.id).await;
    let user = after(&caller.user, &changed.events);
    Ok(Answer::ok("Profile updated successfully", views::people::signed_in(&user))
        .at_version(changed.version)
        .replayed(changed.replayed)
        .shown(shown))
}

/// The account as it is now, whether or not the read model has seen it.
fn after(user: &Arc<UserRow>, events: &[(String, Event)]) -> UserRow {
    let mut user = UserRow::clone(user);
    for (_, event) in events {
        if let Event::User(UserEvent::UserProfileChanged { name, email, occurred_at, .. }) = event {
            if let Some(name) = name {
                name.text().clone_into(&mut user.name);
            }
            if let Some(email) = email {
                email.text().clone_into(&mut user.email);
            }
            user.updated_at = *occurred_at;
        }
    }
    user
}

struct Wish {
    name: Option<String>,
    email: Option<String>,
    current_password: Option<String>,
}

/// Whoever sits at a forgotten screen could else have the account's mail sent elsewhere, and then its password.
fn password_is_missing() -> ApiError {
    ApiError::invalid_field("currentPassword", "Current password is required to change the address")
}

impl Wish {
    /// Nothing in it is fine: nothing changes then.
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let name = fields.optional_text("name", "Name").map(str::trim);
        let email = fields.optional_text("email", "Email").map(str::trim);
        if let Some(name) = name {
            check_name(&mut fields, name);
        }
        if let Some(fault) = email.and_then(email_fault) {
            fields.fault("email", fault);
        }
        let current = fields.optional_text("currentPassword", "Current password");
        check_current_password(&mut fields, current);
        fields.finish(Unknown::Refused)?;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self { name: owned(name), email: owned(email), current_password: owned(current) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_asked_for_is_fine_and_bad_fields_are_named() {
        let nothing = Wish::read(&json!({})).expect("reads");
        assert!(nothing.name.is_none() && nothing.email.is_none());
        for (body, field) in [
            (json!({"name": "A"}), "name"),
            (json!({"name": "A\u{0}b"}), "name"),
            (json!({"email": "ani"}), "email"),
            (json!({"role": "ADMINISTRATOR"}), "role"),
            (json!({"isActive": true}), "isActive"),
        ] {
            let refusal = Wish::read(&body).err().expect("refused");
            assert_eq!(refusal.errors()[0].field, field, "{body}");
        }
    }
}
