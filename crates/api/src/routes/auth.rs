//! Accounts and sign-in.

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
