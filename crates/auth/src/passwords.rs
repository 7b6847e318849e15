//! Argon2id hashes: made and checked beside the request loop, a bounded number at a time. Hashes of the former backend
//! (bcrypt) are still checked.

use std::{sync::Arc, time::Duration};

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use minispod_kernel::IdSource;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Longest wait for a turn; then the caller is told to come back.
pub const TURN_DEADLINE: Duration = Duration::from_secs(3);
const SALT_BYTES: usize = 16;
/// How hashes of the former backend begin.
const BCRYPT: &[&str] = &["$2a$", "$2b$", "$2y$"];
/// The costliest hash of the former backend that is checked; it wrote 12. Each step doubles the work.
const BCRYPT_COST_MAX: u32 = 14;

/// Why a password was neither hashed nor checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many others are waiting.
    #[error("no turn for password work in time")]
    Busy,
    /// The hashing itself failed.
    #[error("argon2 refused: {detail}")]
    Hashing { detail: String },
    /// The worker thread is gone.
    #[error("the password worker ended early")]
    Worker(#[source] tokio::task::JoinError),
}

/// Hashes and checks passwords.
#[derive(Clone)]
pub struct Passwords {
    ids: Arc<dyn IdSource>,
    turns: Arc<Semaphore>,
    turn_deadline: Duration,
    /// The hash of a password nobody has: checked when an account is unknown, so that it costs the same.
    nobody: Arc<str>,
}

impl Passwords {
    /// At most `parallel` hashes at once (19 MiB each). Makes one hash here.
    pub fn new(ids: Arc<dyn IdSource>, parallel: usize) -> Result<Self, PasswordError> {
        let mut unguessable = [0_u8; 32];
        ids.random(&mut unguessable);
        let nobody = hash_now(&unguessable, &salt(ids.as_ref()))?.into();
        Ok(Self { ids, turns: Arc::new(Semaphore::new(parallel.max(1))), turn_deadline: TURN_DEADLINE, nobody })
    }

    /// The hash to keep, in the PHC string form.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        let turn = self.turn().await?;
        let salt = salt(self.ids.as_ref());
        tokio::task::spawn_blocking(move || {
            let hash = hash_now(password.as_bytes(), &salt);
            drop(turn);
            hash
        })
        .await
        .map_err(PasswordError::Worker)?
    }

    /// Whether `password` is the one that `kept` was made from. `None` (no such account) takes as long and is false.
    pub async fn matches(&self, password: String, kept: Option<String>) -> Result<bool, PasswordError> {
        let turn = self.turn().await?;
        let known = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.nobody.to_string());
        let fits = tokio::task::spawn_blocking(move || {
            let fits = fits_now(password.as_bytes(), &kept);
            drop(turn);
            fits
        })
        .await
        .map_err(PasswordError::Worker)?;
        Ok(fits && known)
    }

    /// Whether `kept` is of a kind that is made no more: who shows the password that fits gets a new hash.
    pub fn is_outdated(kept: &str) -> bool {
        BCRYPT.iter().any(|kind| kept.starts_with(kind))
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, PasswordError> {
        let turn = timeout(self.turn_deadline, Arc::clone(&self.turns).acquire_owned()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| {
            metrics::counter!("minispod_password_turns_refused_total").increment(1);
            PasswordError::Busy
        })
    }
}

fn salt(ids: &dyn IdSource) -> [u8; SALT_BYTES] {
    let mut salt = [0_u8; SALT_BYTES];
    ids.random(&mut salt);
    salt
}

fn fits_now(password: &[u8], kept: &str) -> bool {
    if !Passwords::is_outdated(kept) {
        return Argon2::default().verify_password(password, kept).is_ok();
    }
    let cost = kept.get(4..6).and_then(|cost| cost.parse::<u32>().ok());
    cost.is_some_and(|cost| cost <= BCRYPT_COST_MAX) && bcrypt::verify(password, kept).unwrap_or(false)
}

fn hash_now(password: &[u8], salt: &[u8]) -> Result<String, PasswordError> {
    Argon2::default()
        .hash_password_with_salt(password, salt)
        .map(|hash| hash.to_string())
        .map_err(|refusal| PasswordError::Hashing { detail: refusal.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_kernel::{SystemClock, SystemIds};

    fn passwords(parallel: usize) -> Passwords {
        Passwords::new(Arc::new(SystemIds::new(Arc::new(SystemClock))), parallel).expect("argon2 works")
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = passwords(2);
        let kept = passwords.hash("Rahasia!1".into()).await.expect("hashes");
        assert!(kept.starts_with("$argon2id$"));
        assert!(passwords.matches("Rahasia!1".into(), Some(kept.clone())).await.expect("checks"));
        assert!(!passwords.matches("Rahasia!2".into(), Some(kept)).await.expect("checks"));
    }

    #[tokio::test]
    async fn the_same_password_never_gives_the_same_hash() {
        let passwords = passwords(2);
        let (one, two) = tokio::join!(passwords.hash("Rahasia!1".into()), passwords.hash("Rahasia!1".into()));
        assert_ne!(one.expect("hashes"), two.expect("hashes"));
    }

    #[tokio::test]
    async fn an_unknown_account_and_a_broken_hash_never_match() {
        let passwords = passwords(1);
        assert!(!passwords.matches("anything".into(), None).await.expect("checks"));
        assert!(!passwords.matches("anything".into(), Some("not a hash".into())).await.expect("checks"));
    }

    #[tokio::test]
    async fn a_hash_of_the_former_backend_fits_and_is_outdated() {
        let passwords = passwords(1);
        let kept = bcrypt::hash("Rahasia!1", 4).expect("hashes");
        for kind in ["$2a$", "$2b$"] {
            let kept = format!("{kind}{}", &kept[4..]);
            assert!(Passwords::is_outdated(&kept), "{kept}");
            assert!(passwords.matches("Rahasia!1".into(), Some(kept.clone())).await.expect("checks"));
            assert!(!passwords.matches("Rahasia!2".into(), Some(kept)).await.expect("checks"));
        }
        let dear = format!("$2b$31${}", &kept[7..]);
        for bad in [dear.as_str(), "$2b$", "$2b$04$short", "$2b$xx$"] {
            assert!(!passwords.matches("Rahasia!1".into(), Some(bad.to_owned())).await.expect("checks"), "{bad}");
        }
        assert!(!Passwords::is_outdated(&passwords.hash("Rahasia!1".into()).await.expect("hashes")));
    }

    #[tokio::test]
    async fn who_waits_too_long_for_a_turn_is_sent_away() {
        let mut passwords = passwords(1);
        passwords.turn_deadline = Duration::from_millis(5);
        let taken = Arc::clone(&passwords.turns).acquire_owned().await.expect("a turn");
        assert!(matches!(passwords.hash("Rahasia!1".into()).await, Err(PasswordError::Busy)));
        drop(taken);
    }
}
