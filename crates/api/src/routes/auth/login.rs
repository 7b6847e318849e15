//! `POST /auth/login`: a password for tokens.

use actix_web::web;
use minispod_auth::credential_rules::{PASSWORD_MAX, email_fault};
use minispod_kernel::Actor;
use serde_json::{Value, json};

use super::{PASSWORD, account_of, password_owner};
use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    session, sign_in,
    state::AppState,
    views,
};

/// The same for an unknown address and a wrong password.
const NO_MATCH: &str = "Invalid email or password";

pub async fn handle(state: web::Data<AppState>, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    let given = Credentials::read(&body.form().await?.value)?;
    let refused = || {
        sign_in::count("refused");
        ApiError::unauthenticated(NO_MATCH)
    };
    let proven = account_of(&state, &call, &given.email, given.password).await?.ok_or_else(refused)?;
    let signed_in = sign_in::finish(&state, &call, &proven.user_id, &given.second_factor).await?;
    // A new password ends every session that it finds. This one may have come after, on the word of the former password.
    let kept = state.store.vault().find(&password_owner(&proven.user_id), PASSWORD).await?;
    if kept.is_none_or(|kept| kept != proven.hash) {
        let actor = Actor::system("api");
        session::revoke(&state, &call, actor, &signed_in.session_id, "the password was changed meanwhile").await?;
        return Err(refused());
    }
    let data = json!({ "user": views::people::signed_in(&signed_in.user), "tokens": signed_in.tokens });
    Ok(Answer::ok("Login successful", data))
}

struct Credentials {
    email: String,
    password: String,
    second_factor: sign_in::Shown,
}

impl Credentials {
    /// Shape only: whether the password follows today's policy is nobody's business here.
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let email = fields.text("email", "Email").map(str::trim);
        let password = fields.text("password", "Password");
        if let Some(fault) = email.and_then(email_fault) {
            fields.fault("email", fault);
        }
        match password {
            Some("") => fields.fault("password", "Password is required"),
            // Longer ones cannot be anybody's, and hashing them would be work for nothing.
            Some(long) if long.chars().count() > PASSWORD_MAX => {
                fields.fault("password", format!("Password must be at most {PASSWORD_MAX} characters long"));
            }
            _ => {}
        }
        let second_factor = sign_in::Shown::read(&mut fields);
        fields.finish(Unknown::Refused)?;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(Self { email: text(email), password: text(password), second_factor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_credentials_name_their_fields() {
        for (body, expected) in [
            (json!({}), vec!["email", "password"]),
            (json!({"email": "ani@example.com", "password": ""}), vec!["password"]),
            (json!({"email": "ani", "password": "x"}), vec!["email"]),
            (json!({"email": ["a"], "password": 12_345_678}), vec!["email", "password"]),
            (json!({"email": "ani@example.com", "password": "x".repeat(129)}), vec!["password"]),
            (json!({"email": "ani@example.com", "password": "x", "remember": true}), vec!["remember"]),
        ] {
            let refusal = Credentials::read(&body).err().expect("refused");
            let fields: Vec<_> = refusal.errors().iter().map(|fault| fault.field.as_str()).collect();
            assert_eq!(fields, expected, "{body}");
        }
    }

    #[test]
    fn an_old_password_that_breaks_todays_policy_may_still_sign_in() {
        assert!(Credentials::read(&json!({"email": "ani@example.com", "password": "old"})).is_ok());
    }
}
