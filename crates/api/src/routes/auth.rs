//! Accounts and sign-in.

pub mod change_password;
pub mod change_profile;
pub mod close;
pub mod login;
pub mod logout;
pub mod me;
pub mod profile;
pub mod refresh;
pub mod register;
pub mod sessions;

use actix_web::web::{ServiceConfig, delete, get, post, put, resource};
use minispod_auth::credential_rules::password_faults;

use crate::input::Fields;

/// Paths under `/auth`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/auth/register").route(post().to(register::handle)))
        .service(resource("/auth/login").route(post().to(login::handle)))
        .service(resource("/auth/refresh").route(post().to(refresh::handle)))
        .service(resource("/auth/logout").route(post().to(logout::handle)))
        .service(resource("/auth/me").route(get().to(me::handle)))
        .service(resource("/auth/profile").route(get().to(profile::handle)).route(put().to(change_profile::handle)))
        .service(resource("/auth/change-password").route(post().to(change_password::handle)))
        .service(resource("/auth/account").route(delete().to(close::handle)))
        .service(
            resource("/auth/sessions")
                .route(get().to(sessions::list::handle))
                .route(delete().to(sessions::revoke_others::handle)),
        )
        .service(resource("/auth/sessions/{id}").route(delete().to(sessions::revoke::handle)));
}

/// The vault's name of a password hash.
pub const PASSWORD: &str = "password";
/// Longest name of a person, in characters.
const NAME_MAX: usize = 50;
const NAME_MIN: usize = 2;

/// The vault's owner of a user's secrets.
pub fn password_owner(user_id: &str) -> String {
    format!("user/{user_id}")
}

/// Notes what is wrong with a person's name.
fn check_name(fields: &mut Fields<'_>, name: &str) {
    if !(NAME_MIN..=NAME_MAX).contains(&name.chars().count()) {
        fields.fault("name", format!("Name must be {NAME_MIN} to {NAME_MAX} characters long"));
    } else if name.chars().any(char::is_control) {
        fields.fault("name", "Name must not contain control characters");
    }
}

/// Notes what is wrong with a new password and its repetition, each given with its field.
fn check_new_password(
    fields: &mut Fields<'_>,
    (field, password): (&str, Option<&str>),
    (repeated_in, repeated): (&str, Option<&str>),
) {
    for fault in password.map(password_faults).unwrap_or_default() {
        fields.fault(field, fault);
    }
    if password.is_some() && repeated.is_some() && password != repeated {
        fields.fault(repeated_in, "Passwords do not match");
    }
}
