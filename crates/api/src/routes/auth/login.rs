//! `POST /auth/login`: a password for tokens.

use actix_web::web;
use minispod_auth::{
    Passwords,
    credential_rules::{PASSWORD_MAX, email_fault},
};
use serde_json::{Value, json};

use super::{PASSWORD, password_owner};
use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    sign_in,
    state::AppState,
    views,
};

/// The same for an unknown address and a wrong password.
const NO_MATCH: &str = "Invalid email or password";

pub async fn handle(state: web::Data<AppState>, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    let given = Credentials::read(&body.form().await?.value)?;
    let address = state.store.email_claim(&given.email);
    // Counted before it is checked, so that tries at the same time are counted too.
    let tries = format!("{address} {}", call.sender);
    state.limits.sign_ins.check(&tries)?;
    let user_id = state.store.claim_holder(&format!("email/{address}")).await?;
    if !proven(&state, user_id.as_deref(), given.password).await? {
        sign_in::count("refused");
        return Err(ApiError::unauthenticated(NO_MATCH));
    }
    state.limits.sign_ins.forgive(&tries);
    let signed_in = sign_in::finish(&state, &call, &user_id.unwrap_or_default(), &given.second_factor).await?;
    let data = json!({ "user": views::people::signed_in(&signed_in.user), "tokens": signed_in.tokens });
    Ok(Answer::ok("Login successful", data))
}

/// Whether the password is the account's; nobody's account takes as long and is never proven. A hash of the former
/// backend is replaced on the way.
async fn proven(state: &AppState, user_id: Option<&str>, password: String) -> std::result::Result<bool, ApiError> {
    let Some(owner) = user_id.map(password_owner) else {
        return Ok(state.passwords.matches(password, None).await?);
    };
    let kept = state.store.vault().find(&owner, PASSWORD).await?;
    let kept = kept.and_then(|hash| String::from_utf8(hash).ok());
    let fits = state.passwords.matches(password.clone(), kept.clone()).await?;
    if let Some(old) = kept.filter(|kept| fits && Passwords::is_outdated(kept)) {
        let hash = state.passwords.hash(password).await?;
        // Somebody may have set another password in the meantime: theirs stays.
        state.store.vault().swap(&owner, PASSWORD, old.as_bytes(), hash.as_bytes()).await?;
    }
    Ok(fits)
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
