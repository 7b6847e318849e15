//! Tokens in mailed links: random, for one account and one purpose, kept only as a hash with an end.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use minispod_kernel::{IdSource, Timestamp, ids::is_id};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const SECRET_BYTES: usize = 32;
/// Characters of the secret in a token.
const SECRET_CHARS: usize = 43;
const HASH_BYTES: usize = 32;

/// A token: its text stands in one mail, its hash in the vault.
#[derive(Clone)]
pub struct LinkToken {
    user_id: String,
    text: String,
}

impl std::fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkToken(hidden)")
    }
}

impl LinkToken {
    /// `<user id>.<43 characters>`: safe in a URL as it is.
    pub fn generate(user_id: &str, ids: &dyn IdSource) -> Self {
        let mut secret = [0_u8; SECRET_BYTES];
        ids.random(&mut secret);
        Self { user_id: user_id.to_owned(), text: format!("{user_id}.{}", URL_SAFE_NO_PAD.encode(secret)) }
    }

    /// A token as somebody shows it, not yet compared with anything; `None`: it is none of ours.
    pub fn read(text: &str) -> Option<Self> {
        let (user_id, secret) = text.split_once('.')?;
        let sound = is_id(user_id) && secret.len() == SECRET_CHARS;
        sound.then(|| Self { user_id: user_id.to_owned(), text: text.to_owned() })
    }

    /// Whose account it is for.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// What stands in the mail.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the vault keeps: the hash, then the end in milliseconds.
    pub fn kept(&self, expires_at: Timestamp) -> Vec<u8> {
        [self.hash().as_slice(), &expires_at.unix_millis().to_be_bytes()].concat()
    }

    /// Whether `kept` is of this token and not over at `now`.
    pub fn fits(&self, kept: &[u8], now: Timestamp) -> bool {
        let Some((hash, end)) = kept.split_at_checked(HASH_BYTES) else { return false };
        let is_ours: bool = self.hash().ct_eq(hash).into();
        is_ours && end.try_into().is_ok_and(|end| now.unix_millis() < i64::from_be_bytes(end))
    }

    fn hash(&self) -> [u8; HASH_BYTES] {
        Sha256::digest(self.text.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_kernel::{SystemClock, SystemIds};
    use std::{sync::Arc, time::Duration};

    const USER: &str = "c000000000000000000000001";

    #[test]
    fn a_token_fits_its_own_hash_until_its_end() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let (given, other) = (LinkToken::generate(USER, &ids), LinkToken::generate(USER, &ids));
        let end = Timestamp::from_unix_millis(1_800_000_000_000);
        let kept = given.kept(end);
        let shown = LinkToken::read(given.text()).expect("reads");
        let before = Timestamp::from_unix_millis(end.unix_millis() - 1);
        assert!(shown.user_id() == USER && shown.fits(&kept, before));
        assert!(!shown.fits(&kept, end) && !shown.fits(&kept, end.plus(Duration::from_secs(1))));
        assert!(!other.fits(&kept, before) && !shown.fits(&kept[..32], before) && !shown.fits(&[], before));
        assert!(!format!("{given:?}").contains(&given.text()[26..]));
    }

    #[test]
    fn nonsense_is_no_token() {
        let secret = "s".repeat(43);
        for bad in
            [String::new(), USER.to_owned(), format!("{USER}."), format!("x.{secret}"), format!("{USER}.{secret}s")]
        {
            assert!(LinkToken::read(&bad).is_none(), "{bad}");
        }
        assert!(LinkToken::read(&format!("{USER}.{secret}")).is_some());
    }
}
