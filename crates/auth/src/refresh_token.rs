//! Refresh tokens: opaque, random, kept only as a hash.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use minispod_kernel::{IdSource, ids::is_id};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const SECRET_BYTES: usize = 32;
/// Characters of the secret in a token.
const SECRET_CHARS: usize = 43;
/// The generation of a session's first token.
pub const FIRST_GENERATION: u32 = 1;

/// A token of one session: the text goes to the client once, the hash into the vault.
#[derive(Clone)]
pub struct RefreshToken {
    session_id: String,
    generation: u32,
    text: String,
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(hidden)")
    }
}

impl RefreshToken {
    /// `<session id>.<generation>.<43 characters>`; generations count from [`FIRST_GENERATION`].
    pub fn generate(session_id: &str, generation: u32, ids: &dyn IdSource) -> Self {
        let mut secret = [0_u8; SECRET_BYTES];
        ids.random(&mut secret);
        let text = format!("{session_id}.{generation}.{}", URL_SAFE_NO_PAD.encode(secret));
        Self { session_id: session_id.to_owned(), generation, text }
    }

    /// A token as a client shows it, not yet compared with anything; `None`: it is none of ours. Tokens without a
    /// generation were given out before there were others than the first.
    pub fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let (session_id, generation, secret) = match parts.as_slice() {
            [session_id, secret] => (*session_id, FIRST_GENERATION, *secret),
            [session_id, generation, secret] => (*session_id, generation.parse().ok()?, *secret),
            _ => return None,
        };
        let sound = is_id(session_id) && secret.len() == SECRET_CHARS && generation >= FIRST_GENERATION;
        sound.then(|| Self { session_id: session_id.to_owned(), generation, text: text.to_owned() })
    }

    /// The session it names.
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// The how-manieth token of its session it is.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// What the client gets.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the vault keeps. The secret has 256 bits, so a plain hash is enough.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    /// Whether `kept` is this token's hash.
    pub fn fits(&self, kept: &[u8]) -> bool {
        self.hash().ct_eq(kept).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_kernel::{SystemClock, SystemIds};
    use std::sync::Arc;

    const SESSION: &str = "c000000000000000000000001";

    #[test]
    fn every_token_is_new_names_its_session_and_hides_in_debug() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let [one, two] = [1, 1].map(|generation| RefreshToken::generate(SESSION, generation, &ids));
        assert!(one.text().starts_with(&format!("{SESSION}.1.")) && one.text().len() == SESSION.len() + 3 + 43);
        assert_ne!(one.hash(), two.hash());
        assert!(one.fits(&one.hash()) && !one.fits(&two.hash()) && !one.fits(&[]));
        assert!(!format!("{one:?}").contains(&one.text()[28..]));
    }

    #[test]
    fn a_shown_token_is_read_back_and_nonsense_is_not() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let given = RefreshToken::generate(SESSION, 7, &ids);
        let shown = RefreshToken::read(given.text()).expect("reads");
        assert_eq!((shown.session_id(), shown.generation(), shown.hash()), (SESSION, 7, given.hash()));
        let secret = "s".repeat(43);
        let old = RefreshToken::read(&format!("{SESSION}.{secret}")).expect("reads");
        assert_eq!(old.generation(), FIRST_GENERATION);
        for bad in [
            String::new(),
            SESSION.to_owned(),
            format!("{SESSION}.0.{secret}"),
            format!("{SESSION}.-1.{secret}"),
            format!("{SESSION}.99999999999.{secret}"),
            format!("{SESSION}.1.short"),
            format!("someone.1.{secret}"),
            format!("{SESSION}.1.{secret}.x"),
        ] {
            assert!(RefreshToken::read(&bad).is_none(), "{bad}");
        }
    }
}
