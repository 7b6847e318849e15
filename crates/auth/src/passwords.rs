//! Argon2id hashes: made and checked beside the request loop, a bounded number at a time.

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
            let fits = Argon2::default().verify_password(password.as_bytes(), kept.as_str()).is_ok();
            drop(turn);
            fits
        })
        .await
        .map_err(PasswordError::Worker)?;
        Ok(fits && known)
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
    async fn who_waits_too_long_for_a_turn_is_sent_away() {
        let mut passwords = passwords(1);
        passwords.turn_deadline = Duration::from_millis(5);
        let taken = Arc::clone(&passwords.turns).acquire_owned().await.expect("a turn");
        assert!(matches!(passwords.hash("Rahasia!1".into()).await, Err(PasswordError::Busy)));
        drop(taken);
    }
}
