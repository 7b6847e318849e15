//! Proof of who somebody is: passwords, access tokens, refresh tokens and the rules for credentials.
//!
//! Knows no HTTP. Hashes and tokens made here are kept in the vault, never in events.

pub mod access_token;
pub mod credential_rules;
pub mod passwords;
pub mod permissions;
pub mod refresh_token;

pub use access_token::{AccessTokens, Claims, SecretTooShort, TokenError};
pub use passwords::{PasswordError, Passwords};
pub use permissions::{Action, may};
pub use refresh_token::{FIRST_GENERATION, RefreshToken};
