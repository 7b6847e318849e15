//! `POST /auth/register`: a new account, signed in at once.

use actix_web::web;
use minispod_auth::credential_rules::email_fault;
use minispod_domain::{AnyCommand, UserCommand};
use minispod_events::{Event, Role, SignUpMethod, UserEvent};
use minispod_kernel::{Actor, Sensitive};
use minispod_store::{CommandError, VaultWrite};
use serde_json::{Value, json};

use super::{PASSWORD, check_name, check_new_password, password_owner};
use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    session,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    let new = NewAccount::read(&body.form().await?.value)?;
    let hash = state.passwords.hash(new.password).await?;
    let user_id = state.ids.next_id();
    let command = AnyCommand::User(UserCommand::Register {
        name: Sensitive::Open(new.name.clone()),
        email: Sensitive::Open(new.email.clone()),
        email_claim: state.store.email_claim(&new.email),
        role: Role::User,
        method: SignUpMethod::Password,
    });
    let secret =
        VaultWrite::Put { owner: password_owner(&user_id), name: PASSWORD.to_owned(), value: hash.into_bytes() };
    let context = call.with_secrets(Actor::Anonymous, vec![secret]);
    let registered = state.dispatcher.dispatch_as(&user_id, command, context).await.map_err(|error| match error {
        CommandError::ClaimTaken { .. } => ApiError::conflict("A user with this email already exists"),
        other => other.into(),
    })?;
    let created_at = registered
        .events
        .iter()
        .find_map(|(_, event)| match event {
            Event::User(UserEvent::UserRegistered { occurred_at, .. }) => Some(*occurred_at),
            _ => None,
        })
        .unwrap_or_else(|| state.clock.now());
    let version = registered.version;
    let driven = state.dispatcher.drive(registered, &call.cause(Actor::Customer { id: user_id.clone() })).await?;
    let opened = session::open(&state, &call, &user_id, Role::User).await?;
    let shown = state.read_models.show(&["users", "billing", "access"], driven.ins_seq.max(opened.ins_seq)).await;
    let user = json!({
        "id": user_id,
        "name": new.name,
        "email": new.email,
        "role": Role::User.as_str(),
        "isActive": true,
        "createdAt": created_at.to_contract(),
    });
    let data = json!({ "user": user, "tokens": opened.tokens });
    Ok(Answer::created("User registered successfully", data).at_version(version).shown(shown))
}

struct NewAccount {
    name: String,
    email: String,
    password: String,
}

impl NewAccount {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let name = fields.text("name", "Name").map(str::trim);
        let email = fields.text("email", "Email").map(str::trim);
        let password = fields.text("password", "Password");
        let confirmed = fields.text("confirmPassword", "Password confirmation");
        if let Some(name) = name {
            check_name(&mut fields, name);
        }
        if let Some(fault) = email.and_then(email_fault) {
            fields.fault("email", fault);
        }
        check_new_password(&mut fields, ("password", password), ("confirmPassword", confirmed));
        fields.finish(Unknown::Refused)?;
        Ok(Self {
            name: name.unwrap_or_default().to_owned(),
            email: email.unwrap_or_default().to_owned(),
            password: password.unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(body: Value) -> Vec<String> {
        let refusal = NewAccount::read(&body).err().expect("refused");
        let mut fields: Vec<_> = refusal.errors().iter().map(|fault| fault.field.clone()).collect();
        fields.dedup();
        fields
    }

    #[test]
    fn a_good_account_is_read_and_trimmed() {
        let body = json!({"name": " Ani ", "email": "Ani@Example.com ", "password": "Rahasia!1", "confirmPassword": "Rahasia!1"});
        let new = NewAccount::read(&body).expect("reads");
        assert_eq!((new.name.as_str(), new.email.as_str()), ("Ani", "Ani@Example.com"));
    }

    #[test]
    fn every_bad_field_is_named() {
        assert_eq!(faults(json!({})), ["name", "email", "password", "confirmPassword"]);
        assert_eq!(
            faults(json!({"name": "A", "email": "x", "password": "weak", "confirmPassword": "other"})),
            ["name", "email", "password", "confirmPassword"]
        );
        assert_eq!(
            faults(json!({"name": 1, "email": {}, "password": [], "confirmPassword": null})),
            ["name", "email", "password", "confirmPassword"]
        );
    }

    #[test]
    fn nobody_registers_with_a_role() {
        let body = json!({"name": "Ani", "email": "ani@example.com", "password": "Rahasia!1",
                          "confirmPassword": "Rahasia!1", "role": "ADMINISTRATOR"});
        assert_eq!(faults(body), ["role"]);
    }
}
