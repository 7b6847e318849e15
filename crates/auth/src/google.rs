//! Google's word for who somebody is: an ID token, checked against Google's published keys.

mod keys;

use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use minispod_kernel::Clock;
use serde::Deserialize;
use serde_json::Value;

pub use keys::{GoogleKeys, KeysError};

/// Where Google publishes its keys.
pub const GOOGLE_KEYS_URL: &str = "https://www.googleapis.com/oauth2/v3/certs";
/// How Google names itself.
const ISSUERS: [&str; 2] = ["accounts.google.com", "https://accounts.google.com"];
/// How far Google's clock may be ahead of ours, in seconds.
const CLOCK_SKEW: i64 = 60;
/// Longest token that is looked at, in bytes.
pub const ID_TOKEN_MAX: usize = 8 * 1024;

/// Whom Google vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GooglePerson {
    /// Google's own name for the person; never given to another.
    pub subject: String,
    /// Verified by Google.
    pub email: String,
    pub name: Option<String>,
}

/// Why Google's word is not taken.
#[derive(Debug, thiserror::Error)]
pub enum GoogleError {
    /// Not Google's, altered, over, for another application, or of another shape.
    #[error("the ID token is not valid")]
    Invalid(#[source] Option<jsonwebtoken::errors::Error>),
    /// Genuine, but Google has not seen the person read the address's mails.
    #[error("Google has not verified the address")]
    Unverified,
    /// The keys cannot be had, so nothing can be said of the token.
    #[error("Google's keys cannot be had")]
    Keys(#[from] KeysError),
}

/// Checks ID tokens for one application.
pub struct GoogleSignIn {
    keys: GoogleKeys,
    rules: Validation,
    clock: Arc<dyn Clock>,
}

/// There is no application to check for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Google sign-in needs a client id")]
pub struct NoClientId;

#[derive(Deserialize)]
struct Claims {
    sub: String,
    /// One application; a token for several is for none in particular.
    #[serde(rename = "aud")]
    _aud: String,
    exp: i64,
    iat: i64,
    email: Option<String>,
    email_verified: Option<Value>,
    name: Option<String>,
}

impl GoogleSignIn {
    /// For the application `client_id`: without one, any application's token would be taken.
    pub fn new(client_id: &str, keys: GoogleKeys, clock: Arc<dyn Clock>) -> Result<Self, NoClientId> {
        if client_id.trim().is_empty() {
            return Err(NoClientId);
        }
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_audience(&[client_id.trim()]);
        rules.set_issuer(&ISSUERS);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The library reads the machine's clock; the times are checked against ours below.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        Ok(Self { keys, rules, clock })
    }

    /// Whom `token` is about.
    pub async fn verify(&self, token: &str) -> Result<GooglePerson, GoogleError> {
        if token.len() > ID_TOKEN_MAX {
            return Err(GoogleError::Invalid(None));
        }
        let header = decode_header(token).map_err(invalid)?;
        let kid = header.kid.filter(|_| header.alg == Algorithm::RS256).ok_or(GoogleError::Invalid(None))?;
        let key: DecodingKey = self.keys.find(&kid).await?.ok_or(GoogleError::Invalid(None))?;
        let claims = decode::<Claims>(token, &key, &self.rules).map_err(invalid)?.claims;
        let now = self.clock.now().unix_millis() / 1000;
        if now >= claims.exp || claims.iat > now + CLOCK_SKEW || claims.sub.is_empty() {
            return Err(GoogleError::Invalid(None));
        }
        let verified = match &claims.email_verified {
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        let email = claims.email.filter(|_| verified).ok_or(GoogleError::Unverified)?;
        Ok(GooglePerson { subject: claims.sub, email, name: claims.name })
    }
}

fn invalid(error: jsonwebtoken::errors::Error) -> GoogleError {
    GoogleError::Invalid(Some(error))
}
