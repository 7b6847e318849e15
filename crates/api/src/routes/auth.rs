//! Accounts and sign-in.

pub mod login;
pub mod me;
pub mod register;

/// The vault's name of a password hash.
pub const PASSWORD: &str = "password";

/// The vault's owner of a user's secrets.
pub fn password_owner(user_id: &str) -> String {
    format!("user/{user_id}")
}
