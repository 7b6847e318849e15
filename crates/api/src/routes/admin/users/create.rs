//! `POST /admin/users`: an account for somebody, made by an administrator.

use actix_web::{http::StatusCode, web};
use minispod_auth::{
    Action,
    credential_rules::{email_fault, password_faults},
};
use minispod_domain::{AnyCommand, UserCommand};
use minispod_events::Role;
use minispod_kernel::Sensitive;
use minispod_store::{CommandContext, CommandError, VaultWrite};
use serde_json::Value;

use super::{Account, judge_name, read_role, refusal};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, reason::read_reason},
    routes::auth::{PASSWORD, password_owner},
    state::AppState,
    views,
};

/// The account with its wallet.
const SHOWN_BY: &[&str] = &["users", "billing"];

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    caller.may(Action::ManageUsers)?;
    let body = body.form().await?;
    let new = NewUser::read(&body.value)?;
    let hash = state.passwords.hash(new.password).await?;
    // What is kept of a request to know it again must not be made of a password.
    let context = call.command(caller.actor(), &caller.user.id, &without_password(body.value));
    let id = call.new_id(&state, "user", &caller.user.id);
    let secret = VaultWrite::Put { owner: password_owner(&id), name: PASSWORD.to_owned(), value: hash.into_bytes() };
    let command = AnyCommand::User(UserCommand::Create {
        name: Sensitive::Open(new.name),
        email_claim: state.store.email_claim(&new.email),
        email: Sensitive::Open(new.email),
        role: new.role,
        active: new.active,
        reason: new.reason,
    });
    let context = CommandContext { vault: vec![secret], ..context };
    let done = state.dispatcher.dispatch_as(&id, command, context).await.map_err(|error| match error {
        CommandError::ClaimTaken { .. } => {
            ApiError::new(StatusCode::CONFLICT, "USER_EXISTS", "A user with this email already exists")
        }
        other => refusal(other),
    })?;
    let (id, version, replayed) = (done.aggregate_id.clone(), done.version, done.replayed);
    let driven = state.dispatcher.drive(done, &call.cause(caller.actor())).await?;
    let shown = call.shown(&state, SHOWN_BY, driven.ins_seq).await;
    let account = Account::load(&state, &id).await?;
    Ok(Answer::created("User created successfully", views::people::signed_in(&account.row))
        .at_version(version)
        .replayed(replayed)
        .shown(shown))
}

fn without_password(mut body: Value) -> Vec<u8> {
    if let Some(fields) = body.as_object_mut() {
        fields.remove("password");
    }
    body.to_string().into_bytes()
}

struct NewUser {
    name: String,
    email: String,
    password: String,
    role: Role,
    active: bool,
    reason: String,
}

impl NewUser {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let name = fields.text("name", "Name").map(str::trim);
        let email = fields.text("email", "Email").map(str::trim);
        let password = fields.text("password", "Password");
        let role = read_role(&mut fields).unwrap_or_default();
        let active = fields.optional_flag("isActive", "isActive").unwrap_or(true);
        let reason = read_reason(&mut fields, "Created deactivated by an administrator");
        if let Some(name) = name {
            judge_name(&mut fields, name);
        }
        if let Some(fault) = email.and_then(email_fault) {
            fields.fault("email", fault);
        }
        for fault in password.map(password_faults).unwrap_or_default() {
            fields.fault("password", fault);
        }
        fields.finish(Unknown::Refused)?;
        Ok(Self {
            name: name.unwrap_or_default().to_owned(),
            email: email.unwrap_or_default().to_owned(),
            password: password.unwrap_or_default().to_owned(),
            role,
            active,
            reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_bad_field_is_named() {
        let faults = |body: Value| -> Vec<String> {
            let refusal = NewUser::read(&body).err().expect("refused");
            let mut named: Vec<_> = refusal.errors().iter().map(|fault| fault.field.clone()).collect();
            named.dedup();
            named
        };
        assert_eq!(faults(json!({})), ["name", "email", "password"]);
        let bad = json!({"name": "A", "email": "x", "password": "weak", "role": "GOD", "isActive": 1, "extra": 1});
        assert_eq!(faults(bad), ["role", "isActive", "name", "email", "password", "extra"]);
    }

    #[test]
    fn nothing_of_a_password_is_left_in_what_a_request_is_known_by() {
        let body = json!({"email": "ani@example.com", "password": "Rahasia!1"});
        assert_eq!(without_password(body), json!({"email": "ani@example.com"}).to_string().into_bytes());
    }
}
