//! Accounts and sign-in.

use crate::{error::ApiError, state::AppState};

pub mod login;
pub mod me;
pub mod register;

use actix_web::web::{ServiceConfig, get, post, resource};

/// Paths under `/auth`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/auth/register").route(post().to(register::handle)))
        .service(resource("/auth/login").route(post().to(login::handle)))
        .service(resource("/auth/me").route(get().to(me::handle)));
}

/// The vault's name of a password hash.
pub const PASSWORD: &str = "password";

/// The vault's owner of a user's secrets.
pub fn password_owner(user_id: &str) -> String {
    format!("user/{user_id}")
}

/// The account of an address, if this is its password. An address of nobody takes as long.
async fn account_of(state: &AppState, email: &str, password: String) -> Result<Option<String>, ApiError> {
    let user_id = state.store.claim_holder(&format!("email/{}", state.store.email_claim(email))).await?;
    let kept = match &user_id {
        Some(user_id) => state.store.vault().find(&password_owner(user_id), PASSWORD).await?,
        None => None,
    };
    let kept = kept.and_then(|hash| String::from_utf8(hash).ok());
    let fits = state.passwords.matches(password, kept).await?;
    Ok(user_id.filter(|_| fits))
}
