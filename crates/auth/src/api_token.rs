//! API tokens: for programs, shown once, kept only as a hash.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use minispod_kernel::{IdSource, ids::is_id};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How every API token begins, so that scanners of leaked secrets know it.
pub const API_TOKEN_PREFIX: &str = "msp_";
const SECRET_BYTES: usize = 32;
/// Characters of the secret in a token.
const SECRET_CHARS: usize = 43;

/// A token: the text goes to its owner once, the hash into the vault.
#[derive(Clone)]
pub struct ApiToken {
    id: String,
    text: String,
}

impl std::fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiToken(hidden)")
    }
}

impl ApiToken {
    /// `msp_<token id>_<43 characters>`.
    pub fn generate(id: &str, ids: &dyn IdSource) -> Self {
        let mut secret = [0_u8; SECRET_BYTES];
        ids.random(&mut secret);
        let text = format!("{API_TOKEN_PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
        Self { id: id.to_owned(), text }
    }

    /// A bearer token of this kind as a client shows it, not yet compared with anything; `None`: it is none.
    pub fn read(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(API_TOKEN_PREFIX)?.split_once('_')?;
        let sound = is_id(id) && secret.len() == SECRET_CHARS;
        sound.then(|| Self { id: id.to_owned(), text: text.to_owned() })
    }

    /// Which token it is.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What its owner gets.
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

    const TOKEN: &str = "c000000000000000000000001";

    #[test]
    fn a_token_is_read_back_and_fits_its_own_hash_only() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let (given, other) = (ApiToken::generate(TOKEN, &ids), ApiToken::generate(TOKEN, &ids));
        let shown = ApiToken::read(given.text()).expect("reads");
        assert_eq!(shown.id(), TOKEN);
        assert!(shown.fits(&given.hash()) && !shown.fits(&other.hash()) && !shown.fits(&[]));
        assert!(!format!("{given:?}").contains(&given.text()[30..]));
    }

    #[test]
    fn nonsense_is_no_token() {
        let secret = "s".repeat(43);
        for bad in [
            String::new(),
            "msp_".to_owned(),
            format!("msp_{TOKEN}"),
            format!("msp_{TOKEN}_short"),
            format!("msp_x_{secret}"),
            format!("MSP_{TOKEN}_{secret}"),
            format!("{TOKEN}_{secret}"),
        ] {
            assert!(ApiToken::read(&bad).is_none(), "{bad}");
        }
    }
}
