//! Access tokens: signed with HS256, short of personal data, timed by the Clock.

use std::{fmt, sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use minispod_kernel::Clock;
use serde::{Deserialize, Serialize};

/// Who signs.
pub const ISSUER: &str = "paas-backend";
/// For whom.
pub const AUDIENCE: &str = "paas-frontend";
/// Shortest signing secret, in bytes: the hash's own size.
pub const SECRET_MIN: usize = 32;

/// What a token says. Role and activity are read live, never trusted from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    #[serde(rename = "userId")]
    pub user_id: String,
    /// The role when it was signed.
    pub role: String,
    /// The session (refresh-token family) it belongs to.
    pub sid: String,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
    pub iss: String,
    pub aud: String,
    /// Who sees the product as `user_id` does; `sid` is that person's session then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<ActingFor>,
}

/// The acting party of a token (RFC 8693).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActingFor {
    /// The administrator's user id.
    pub sub: String,
}

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not ours, altered, or of another shape.
    #[error("the access token is not valid")]
    Invalid(#[source] jsonwebtoken::errors::Error),
    /// Ours, but its time is over.
    #[error("the access token has expired")]
    Expired,
    /// Signing failed.
    #[error("the access token could not be signed")]
    Signing(#[source] jsonwebtoken::errors::Error),
}

/// The signing secret is shorter than [`SECRET_MIN`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token secret must have at least {SECRET_MIN} bytes")]
pub struct SecretTooShort;

/// Signs and reads access tokens.
#[derive(Clone)]
pub struct AccessTokens {
    signing: EncodingKey,
    checking: DecodingKey,
    rules: Validation,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl AccessTokens {
    /// Tokens signed with `secret` that live for `lifetime`.
    pub fn new(secret: &[u8], lifetime: Duration, clock: Arc<dyn Clock>) -> Result<Self, SecretTooShort> {
        if secret.len() < SECRET_MIN {
            return Err(SecretTooShort);
        }
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        // The library reads the machine's clock; expiry is checked against ours below.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        Ok(Self {
            signing: EncodingKey::from_secret(secret),
            checking: DecodingKey::from_secret(secret),
            rules,
            lifetime,
            clock,
        })
    }

    /// A token for `user_id` in session `session_id`.
    pub fn issue(&self, user_id: &str, role: &str, session_id: &str) -> Result<String, TokenError> {
        self.sign(user_id, role, session_id, self.lifetime, None)
    }

    /// A token that lets `administrator_id`, in his session `session_id`, see for `lifetime` what `user_id` sees.
    pub fn issue_acting(
        &self,
        user_id: &str,
        role: &str,
        administrator_id: &str,
        session_id: &str,
        lifetime: Duration,
    ) -> Result<String, TokenError> {
        self.sign(user_id, role, session_id, lifetime, Some(ActingFor { sub: administrator_id.to_owned() }))
    }

    fn sign(
        &self,
        user_id: &str,
        role: &str,
        session_id: &str,
        lifetime: Duration,
        act: Option<ActingFor>,
    ) -> Result<String, TokenError> {
        let now = self.clock.now();
        let claims = Claims {
            user_id: user_id.to_owned(),
            role: role.to_owned(),
            sid: session_id.to_owned(),
            iat: now.unix_millis() / 1000,
            exp: now.plus(lifetime).unix_millis() / 1000,
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            act,
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.signing).map_err(TokenError::Signing)
    }

    /// The claims of a token that is ours and still lives.
    pub fn read(&self, token: &str) -> Result<Claims, TokenError> {
        let claims = decode::<Claims>(token, &self.checking, &self.rules).map_err(TokenError::Invalid)?.claims;
        if self.clock.now().unix_millis() / 1000 >= claims.exp {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    /// The lifetime as the contract shows it: `24h`, `90m`, `45s`.
    pub fn expires_in(&self) -> String {
        lifetime_in_words(self.lifetime)
    }
}

/// `24h`, `90m`, `45s`.
pub fn lifetime_in_words(lifetime: Duration) -> String {
    let seconds = lifetime.as_secs();
    match (seconds % 3600, seconds % 60) {
        (0, _) => format!("{}h", seconds / 3600),
        (_, 0) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_kernel::{ManualClock, Timestamp};

    const SECRET: &[u8] = b"a signing secret of more than 32 bytes";
    const DAY: Duration = Duration::from_hours(24);

    fn tokens(secret: &[u8]) -> (AccessTokens, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_800_000_000_000)));
        (AccessTokens::new(secret, DAY, clock.clone()).expect("long enough"), clock)
    }

    #[test]
    fn a_token_says_who_and_lives_until_its_last_second() {
        let (tokens, clock) = tokens(SECRET);
        let token = tokens.issue("cuser", "USER", "csession").expect("signs");
        clock.advance(DAY.saturating_sub(Duration::from_secs(1)));
        let claims = tokens.read(&token).expect("still lives");
        assert_eq!(
            (claims.user_id.as_str(), claims.sid.as_str(), claims.exp - claims.iat),
            ("cuser", "csession", 86_400)
        );
        clock.advance(Duration::from_secs(1));
        assert!(matches!(tokens.read(&token), Err(TokenError::Expired)));
    }

    #[test]
    fn an_acting_token_names_both_and_lives_as_long_as_it_is_told_to() {
        let (tokens, clock) = tokens(SECRET);
        let token = tokens.issue_acting("cuser", "USER", "cadmin", "csession", Duration::from_mins(15)).expect("signs");
        let claims = tokens.read(&token).expect("lives");
        assert_eq!((claims.user_id.as_str(), claims.act), ("cuser", Some(ActingFor { sub: "cadmin".to_owned() })));
        clock.advance(Duration::from_mins(15));
        assert!(matches!(tokens.read(&token), Err(TokenError::Expired)));
        let own = tokens.issue("cuser", "USER", "csession").expect("signs");
        assert_eq!(tokens.read(&own).expect("lives").act, None);
    }

    #[test]
    fn tokens_of_others_and_altered_tokens_are_refused() {
        let (ours, _) = tokens(SECRET);
        let (theirs, _) = tokens(b"another secret that is long enough too");
        let token = theirs.issue("cuser", "ADMINISTRATOR", "csession").expect("signs");
        assert!(matches!(ours.read(&token), Err(TokenError::Invalid(_))));
        let mut altered = ours.issue("cuser", "USER", "csession").expect("signs");
        altered.pop();
        for bad in [altered.as_str(), "", "a.b.c"] {
            assert!(matches!(ours.read(bad), Err(TokenError::Invalid(_))), "{bad:?}");
        }
    }

    #[test]
    fn good_claims_under_another_algorithm_are_refused() {
        let (ours, _) = tokens(SECRET);
        let good = ours.issue("cuser", "USER", "csession").expect("signs");
        let claims = ours.read(&good).expect("the claims are complete");
        let (_, rest) = good.split_once('.').expect("three parts");
        let payload = rest.split('.').next().expect("a payload");
        // {"alg":"none"}, without and with the signature that was good.
        let unsigned = [format!("eyJhbGciOiJub25lIn0.{payload}."), format!("eyJhbGciOiJub25lIn0.{rest}")];
        let key = EncodingKey::from_secret(SECRET);
        let other = encode(&Header::new(Algorithm::HS384), &claims, &key).expect("signs");
        for bad in unsigned.iter().chain([&other]) {
            assert!(matches!(ours.read(bad), Err(TokenError::Invalid(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_short_secret_is_refused_and_the_lifetime_has_the_contracts_form() {
        assert_eq!(
            AccessTokens::new(b"short", DAY, Arc::new(minispod_kernel::SystemClock)).err(),
            Some(SecretTooShort)
        );
        let (tokens, _) = tokens(SECRET);
        assert_eq!(tokens.expires_in(), "24h");
    }
}
