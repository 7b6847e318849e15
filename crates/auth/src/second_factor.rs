//! The second factor: one-time codes by RFC 6238 (SHA-1, 6 digits, 30 s), and recovery codes for who lost the device.

use minispod_kernel::{IdSource, Timestamp};
use sha2::{Digest, Sha256};
use totp_rs::{Builder, Secret, Totp, TotpError};

/// Seconds of one time step.
pub const STEP_SECONDS: u64 = 30;
const SECRET_BYTES: usize = 20;
/// Letters and digits that nobody mistakes for each other; as many as five bits can name.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a recovery code: 80 bits.
const RECOVERY_CHARS: usize = 16;
/// Characters between two dashes.
const RECOVERY_GROUP: usize = 4;

/// The secret that an authenticator app and the vault share.
#[derive(Clone)]
pub struct CodeSecret(Vec<u8>);

impl std::fmt::Debug for CodeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeSecret(hidden)")
    }
}

/// A secret or a label that makes no codes.
#[derive(Debug, thiserror::Error)]
#[error("the secret of one-time codes cannot be used")]
pub struct BadCodeSecret(#[source] TotpError);

impl CodeSecret {
    /// A new one.
    pub fn generate(ids: &dyn IdSource) -> Self {
        let mut secret = vec![0_u8; SECRET_BYTES];
        ids.random(&mut secret);
        Self(secret)
    }

    /// As the vault keeps it.
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// For the vault.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// For typing into an app.
    pub fn base32(&self) -> String {
        Secret::from(self.0.clone()).to_base32()
    }

    /// For a QR code: `otpauth://totp/…`, naming who gives the codes out and for which account.
    pub fn url(&self, issuer: &str, account: &str) -> Result<String, BadCodeSecret> {
        // The format has no colons but its own.
        let label = |text: &str| text.replace(':', " ");
        let named = Builder::new()
            .with_secret(self.0.clone())
            .with_issuer(Some(label(issuer)))
            .with_account_name(label(account))
            .build();
        named.and_then(|totp| totp.to_url()).map_err(BadCodeSecret)
    }

    /// The time step that `code` belongs to, when it is the code of this moment or of the step before or after.
    pub fn step_of(&self, code: &str, now: Timestamp) -> Result<Option<u64>, BadCodeSecret> {
        let code: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
        Ok(self.codes()?.check(&code, seconds(now)))
    }

    /// The code of this moment.
    pub fn code_at(&self, now: Timestamp) -> Result<String, BadCodeSecret> {
        Ok(self.codes()?.generate(seconds(now)).to_string())
    }

    fn codes(&self) -> Result<Totp, BadCodeSecret> {
        Builder::new().with_secret(self.0.clone()).build().map_err(BadCodeSecret)
    }
}

fn seconds(at: Timestamp) -> u64 {
    at.unix_millis().max(0).unsigned_abs() / 1000
}

/// Codes that each stand in for a one-time code once.
pub struct RecoveryCodes {
    /// For the person, once.
    pub texts: Vec<String>,
    /// For the vault: the hash of each, in their order.
    pub kept: Vec<u8>,
}

impl RecoveryCodes {
    /// `count` new ones.
    pub fn generate(count: u8, ids: &dyn IdSource) -> Self {
        let texts: Vec<String> = (0..count).map(|_| recovery_code(ids)).collect();
        let kept = texts.iter().flat_map(|text| recovery_hash(text)).collect();
        Self { texts, kept }
    }

    /// The number of `code` among those that `kept` is of.
    pub fn number_of(code: &str, kept: &[u8]) -> Option<u8> {
        let hash = recovery_hash(code);
        kept.chunks(hash.len()).position(|one| one == hash).and_then(|number| u8::try_from(number).ok())
    }
}

fn recovery_code(ids: &dyn IdSource) -> String {
    let mut random = [0_u8; RECOVERY_CHARS];
    ids.random(&mut random);
    let letters = random.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
    letters.chunks(RECOVERY_GROUP).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// However it is typed: case, dashes and spaces do not matter.
fn recovery_hash(code: &str) -> [u8; 32] {
    let plain: String =
        code.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect();
    Sha256::digest(plain.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_kernel::{SystemClock, SystemIds};
    use std::sync::Arc;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(seconds * 1000)
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        let secret = CodeSecret::of_bytes(b"12345678901234567890".to_vec());
        // Appendix B, the last six digits of each.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.code_at(at(seconds)).expect("a code"), code);
            let step = seconds.unsigned_abs() / STEP_SECONDS;
            assert_eq!(secret.step_of(code, at(seconds)).expect("checks"), Some(step));
        }
    }

    #[test]
    fn a_code_fits_its_step_and_the_two_beside_it() {
        let secret = CodeSecret::of_bytes(b"12345678901234567890".to_vec());
        let code = secret.code_at(at(3_000)).expect("a code");
        for (seconds, fits) in [(2_969, false), (2_970, true), (3_029, true), (3_059, true), (3_060, false)] {
            assert_eq!(secret.step_of(&code, at(seconds)).expect("checks"), fits.then_some(100), "{seconds}");
        }
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        assert_eq!(secret.step_of(&spaced, at(3_000)).expect("checks"), Some(100));
        for bad in ["", "12345", "+12345", "abcdef", "1234567"] {
            assert_eq!(secret.step_of(bad, at(3_000)).expect("checks"), None, "{bad}");
        }
        assert!(CodeSecret::of_bytes(vec![1]).code_at(at(0)).is_err(), "a secret this short is none");
    }

    #[test]
    fn an_app_is_told_secret_issuer_and_account() {
        let secret = CodeSecret::of_bytes(b"12345678901234567890".to_vec());
        let url = secret.url("Mini:spod", "ani@example.com").expect("a url");
        assert!(url.starts_with("otpauth://totp/Mini%20spod:ani"), "{url}");
        assert!(url.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), "{url}");
        assert_eq!(secret.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn recovery_codes_differ_and_are_found_however_they_are_typed() {
        let ids = SystemIds::new(Arc::new(SystemClock));
        let codes = RecoveryCodes::generate(10, &ids);
        assert_eq!((codes.texts.len(), codes.kept.len()), (10, 320));
        for (number, text) in codes.texts.iter().enumerate() {
            assert_eq!(text.len(), 19);
            let typed = text.to_lowercase().replace('-', " ");
            assert_eq!(RecoveryCodes::number_of(&typed, &codes.kept).map(usize::from), Some(number));
        }
        assert_eq!(RecoveryCodes::number_of("AAAA-AAAA-AAAA-AAAA", &codes.kept), None);
        assert_eq!(RecoveryCodes::number_of(&codes.texts[0], &[]), None);
    }
}
