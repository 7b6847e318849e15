//! Refresh tokens: opaque, random, kept only as a hash.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use minispod_kernel::IdSource;
use sha2::{Digest, Sha256};

const SECRET_BYTES: usize = 32;

/// A fresh token of one session: the text goes to the client once, the hash into the vault.
#[derive(Clone)]
pub struct RefreshToken {
    text: String,
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(hidden)")
    }
}

impl RefreshToken {
    /// `<session id>.<43 characters>`.
    pub fn generate(session_id: &str, ids: &dyn IdSource) -> Self {
        let mut secret = [0_u8; SECRET_BYTES];
        ids.random(&mut secret);
        Self { text: format!("{session_id}.{}", URL_SAFE_NO_PAD.encode(secret)) }
    }

    /// What the client gets.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the vault keeps. The secret has 256 bits, so a plain hash is enough.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_kernel::{SystemClock, SystemIds};
    use std::sync::Arc;

    #[test]
    fn every_token_is_new_names_its_session_and_hides_in_debug() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let (one, two) = (RefreshToken::generate("csession", &ids), RefreshToken::generate("csession", &ids));
        assert!(one.text().starts_with("csession.") && one.text().len() == "csession.".len() + 43);
        assert_ne!(one.hash(), two.hash());
        assert!(!format!("{one:?}").contains(&one.text()[9..]));
    }
}
