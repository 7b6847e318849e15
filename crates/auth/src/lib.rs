//! Proof of who somebody is: passwords, access tokens, refresh tokens and the rules for credentials.
//!
//! Answers no HTTP. Hashes and tokens made here are kept in the vault, never in events.

pub mod access_token;
pub mod api_token;
pub mod credential_rules;
pub mod google;
pub mod link_token;
pub mod machine_token;
pub mod passwords;
pub mod permissions;
pub mod refresh_token;
pub mod second_factor;

pub use access_token::{AccessTokens, ActingFor, Claims, SecretTooShort, TokenError, lifetime_in_words};
pub use api_token::{API_TOKEN_PREFIX, ApiToken};
pub use google::{GoogleError, GoogleKeys, GooglePerson, GoogleSignIn};
pub use link_token::LinkToken;
pub use machine_token::MachineToken;
pub use passwords::{PasswordError, Passwords};
pub use permissions::{Action, Deed, may, scopes_allow};
pub use refresh_token::{FIRST_GENERATION, RefreshToken};
pub use second_factor::{CodeSecret, RecoveryCodes};
