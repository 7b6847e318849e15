//! `POST /auth/google`: signs in whom Google vouches for, and registers who is new. Nobody's account is taken over: an
//! address that another account holds is refused.

use actix_web::{http::StatusCode, web};
use minispod_auth::{GoogleError, GooglePerson, credential_rules::email_fault, google::ID_TOKEN_MAX};
use minispod_domain::{AnyCommand, UserCommand, user::google_key};
use minispod_events::Role;
use minispod_kernel::{Actor, Sensitive};
use minispod_store::CommandError;
use serde_json::{Value, json};

use super::{NAME_MAX, NAME_MIN, check_name};
use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    session,
    sign_in::{self, Shown},
    state::AppState,
    views,
};

/// Longest address of a picture, in bytes.
const PICTURE_MAX: usize = 2048;

pub async fn handle(state: web::Data<AppState>, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    let given = Given::read(&body.form().await?.value)?;
    let Some(google) = &state.google else {
        let message = "Signing in with Google is not offered here";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "GOOGLE_SIGN_IN_DISABLED", message));
    };
    let person = google.verify(&given.id_token).await.map_err(refused)?;
    // A name of Google's is hashed like an address; the prefix keeps the two apart.
    let subject_claim = state.store.email_claim(&format!("google:{}", person.subject));
    if let Some(user_id) = state.store.claim_holder(&google_key(&subject_claim)).await? {
        let signed_in = sign_in::finish(&state, &call, &user_id, &given.second_factor).await?;
        let user = views::people::signed_in(&signed_in.user);
        let data = json!({ "user": user, "tokens": signed_in.tokens, "isNewUser": false });
        return Ok(Answer::ok("Login successful", data));
    }
    register(&state, &call, person, subject_claim).await
}

async fn register(state: &AppState, call: &Call, person: GooglePerson, subject_claim: String) -> Result {
    let user_id = state.ids.next_id();
    let name = name_of(&person);
    let command = AnyCommand::User(UserCommand::RegisterWithGoogle {
        name: Sensitive::Open(name.clone()),
        email: Sensitive::Open(person.email.clone()),
        email_claim: state.store.email_claim(&person.email),
        subject_claim,
    });
    let registered = state.dispatcher.dispatch_as(&user_id, command, call.plain(Actor::Anonymous)).await;
    let registered = registered.map_err(|error| match error {
        CommandError::ClaimTaken { .. } => ApiError::conflict(
            "An account with this email exists already. Please sign in with its password; it is not linked to Google",
        ),
        other => other.into(),
    })?;
    let created_at =
        registered.events.first().map_or_else(|| state.clock.now(), |(_, event)| event.occurred_at()).to_contract();
    let driven = state.dispatcher.drive(registered, &call.cause(Actor::Customer { id: user_id.clone() })).await?;
    let opened = session::open(state, call, &user_id, Role::User).await?;
    let shown = call.shown(state, &["users", "billing", "access"], driven.ins_seq.max(opened.ins_seq)).await;
    let user = json!({
        "id": user_id,
        "name": name,
        "email": person.email,
        "role": Role::User.as_str(),
        "isActive": true,
        "createdAt": created_at,
        "updatedAt": created_at,
    });
    sign_in::count("done");
    let data = json!({ "user": user, "tokens": opened.tokens, "isNewUser": true });
    Ok(Answer::ok("User registered successfully", data).shown(shown))
}

fn refused(error: GoogleError) -> ApiError {
    sign_in::count("refused");
    match error {
        GoogleError::Unverified => ApiError::unauthenticated("Google has not verified this email address"),
        GoogleError::Invalid(_) => ApiError::unauthenticated("Google sign-in failed: the token is not valid"),
        GoogleError::Keys(error) => ApiError::unavailable(error),
    }
}

/// The name Google tells, made to fit; else what stands before the address's `@`.
fn name_of(person: &GooglePerson) -> String {
    let fitting = |text: &str| -> String {
        let plain: String = text.chars().filter(|letter| !letter.is_control()).collect();
        plain.trim().chars().take(NAME_MAX).collect::<String>().trim_end().to_owned()
    };
    let before_at = person.email.split('@').next().unwrap_or_default();
    let names = [person.name.as_deref().unwrap_or_default(), before_at];
    let name = names.into_iter().map(fitting).find(|name| name.chars().count() >= NAME_MIN);
    name.unwrap_or_else(|| "Google user".to_owned())
}

struct Given {
    id_token: String,
    second_factor: Shown,
}

impl Given {
    /// What is said beside the token is checked and not believed: Google's word counts.
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let id_token = fields.text("idToken", "ID token").unwrap_or_default();
        if id_token.len() > ID_TOKEN_MAX {
            fields.fault("idToken", "ID token is too long");
        }
        if let Some(name) = fields.optional_text("name", "Name") {
            check_name(&mut fields, name.trim());
        }
        if let Some(fault) = fields.optional_text("email", "Email").and_then(email_fault) {
            fields.fault("email", fault);
        }
        let picture = fields.optional_text("picture", "Picture");
        let is_address = |text: &str| text.len() <= PICTURE_MAX && text.parse::<actix_web::http::Uri>().is_ok();
        if picture.is_some_and(|text| !is_address(text)) {
            fields.fault("picture", "Picture must be an address");
        }
        let second_factor = Shown::read(&mut fields);
        fields.finish(Unknown::Ignored)?;
        Ok(Self { id_token: id_token.to_owned(), second_factor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_to_fit() {
        let person = |name: Option<&str>, email: &str| GooglePerson {
            subject: "1".into(),
            email: email.into(),
            name: name.map(str::to_owned),
        };
        assert_eq!(name_of(&person(Some(" Ani\u{7} W. "), "ani@example.com")), "Ani W.");
        assert_eq!(name_of(&person(None, "ani@example.com")), "ani");
        assert_eq!(name_of(&person(Some("A"), "a@example.com")), "Google user");
        assert_eq!(name_of(&person(Some(&"x".repeat(80)), "a@example.com")).len(), NAME_MAX);
    }
}
