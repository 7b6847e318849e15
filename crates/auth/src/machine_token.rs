//! Tokens of machines: what lets a node join, and what its signs of life are signed with. Random, kept only as hashes.

use std::fmt::{self, Write as _};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use minispod_kernel::{IdSource, ids::is_id};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const SECRET_BYTES: usize = 32;
/// Characters of the secret in a token.
const SECRET_CHARS: usize = 43;
const JOIN: &str = "mpj_";
const NODE: &str = "mpn_";

/// A token as it is shown once.
#[derive(Clone, PartialEq, Eq)]
pub struct MachineToken(String);

impl fmt::Debug for MachineToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MachineToken(hidden)")
    }
}

impl MachineToken {
    /// `mpj_<id>_<43 characters>`: lets one node join.
    pub fn join(id: &str, ids: &dyn IdSource) -> Self {
        Self(format!("{JOIN}{id}_{}", secret(ids)))
    }

    /// `mpn_<43 characters>`: a node's own.
    pub fn node(ids: &dyn IdSource) -> Self {
        Self(format!("{NODE}{}", secret(ids)))
    }

    /// A join token as a node shows it: its id, and itself; `None`: it is none of ours.
    pub fn read_join(text: &str) -> Option<(String, Self)> {
        let (id, secret) = text.strip_prefix(JOIN)?.split_once('_')?;
        (is_id(id) && secret.len() == SECRET_CHARS).then(|| (id.to_owned(), Self(text.to_owned())))
    }

    /// A node's own token as it shows it.
    pub fn read_node(text: &str) -> Option<Self> {
        let secret = text.strip_prefix(NODE)?;
        (secret.len() == SECRET_CHARS).then(|| Self(text.to_owned()))
    }

    /// What the machine gets.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// SHA-256, hexadecimal. The secret has 256 bits, so a plain hash is enough.
    pub fn hash(&self) -> String {
        Sha256::digest(self.0.as_bytes()).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Whether `kept` is this token's hash.
    pub fn fits(&self, kept: &str) -> bool {
        self.hash().as_bytes().ct_eq(kept.as_bytes()).into()
    }
}

fn secret(ids: &dyn IdSource) -> String {
    let mut bytes = [0_u8; SECRET_BYTES];
    ids.random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use minispod_kernel::{SystemClock, SystemIds};

    use super::*;

    const ID: &str = "c000000000000000000000001";

    #[test]
    fn tokens_are_read_back_hide_in_debug_and_fit_their_own_hash_only() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let (join, node) = (MachineToken::join(ID, &ids), MachineToken::node(&ids));
        assert_eq!(MachineToken::read_join(join.text()), Some((ID.to_owned(), join.clone())));
        assert_eq!(MachineToken::read_node(node.text()), Some(node.clone()));
        assert!(join.fits(&join.hash()) && !join.fits(&node.hash()) && !join.fits(""));
        assert_eq!(join.hash().len(), 64);
        assert!(!format!("{join:?}").contains(&join.text()[30..]));
        assert_ne!(MachineToken::node(&ids), MachineToken::node(&ids));
    }

    #[test]
    fn nonsense_is_no_token() {
        for text in ["", "mpj_", "mpn_", "mpj_x_y", "mpn_short", "Bearer mpn_x"] {
            assert_eq!((MachineToken::read_join(text), MachineToken::read_node(text)), (None, None), "{text}");
        }
        let secret = "s".repeat(SECRET_CHARS);
        assert_eq!(MachineToken::read_node(&format!("mpj_{secret}")), None);
        assert_eq!(MachineToken::read_join(&format!("mpj_{ID}{secret}")), None);
    }
}
