//! `POST /auth/register`: a new account, signed in at once.

use std::time::Duration;

use actix_web::web;
use minispod_auth::credential_rules::email_fault;
use minispod_domain::{AnyCommand, UserCommand};
use minispod_events::{Event, Fact, Role, SignUpMethod, UserEvent};
use minispod_kernel::{Actor, Sensitive};
use minispod_runtime::Dispatched;
use minispod_store::{CommandError, VaultWrite};
use serde_json::{Value, json};

use super::{PASSWORD, account_of, check_name, check_new_password, password_owner};
use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    session,
    state::AppState,
};

/// How long a registration may be repeated whose answer, and with it the session, was lost on the way.
pub const REPEAT_WITHIN: Duration = Duration::from_mins(10);

pub async fn handle(state: web::Data<AppState>, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    let new = NewAccount::read(&body.form().await?.value)?;
    let hash = state.passwords.hash(new.password.clone()).await?;
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
    let registered = match state.dispatcher.dispatch_as(&user_id, command, context).await {
        Ok(registered) => registered,
        Err(CommandError::ClaimTaken { .. }) => repeated(&state, &call, new.clone())
            .await?
            .ok_or_else(|| ApiError::conflict("A user with this email already exists"))?,
        Err(other) => return Err(other.into()),
    };
    let user_id = registered.aggregate_id.clone();
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
    let shown = call.shown(&state, &["users", "billing", "access"], driven.ins_seq.max(opened.ins_seq)).await;
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

/// The registration that this one repeats, word for word: its account is there, and nothing has happened to it since.
/// Everybody else hears that the address is taken, after the same work.
async fn repeated(state: &AppState, call: &Call, new: NewAccount) -> std::result::Result<Option<Dispatched>, ApiError> {
    let Some(proven) = account_of(state, call, &new.email, new.password).await? else { return Ok(None) };
    let user_id = proven.user_id;
    let history = state.store.log().history("user", &user_id).await?;
    let facts: std::result::Result<Vec<_>, _> = history.into_iter().map(Fact::read).collect();
    let mut facts = facts.map_err(ApiError::internal)?;
    state.store.vault().open_facts(&mut facts).await?;
    let Ok([fact]) = <[Fact; 1]>::try_from(facts) else { return Ok(None) };
    let Event::User(UserEvent::UserRegistered { name, email, role, method, occurred_at, .. }) = &fact.event else {
        return Ok(None);
    };
    let same = (name.open(), email.open()) == (Some(&new.name), Some(&new.email));
    let own = *role == Role::User && *method == SignUpMethod::Password;
    if !same || !own || state.clock.now() >= occurred_at.plus(REPEAT_WITHIN) {
        return Ok(None);
    }
    let recorded = fact.recorded;
    Ok(Some(Dispatched {
        aggregate_id: user_id,
        version: recorded.sequence,
        ins_seq: recorded.ins_seq,
        events: vec![(recorded.metadata.event_id, fact.event)],
        replayed: true,
    }))
}

#[derive(Clone)]
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
