//! A command's surroundings and its answer.

use std::{fmt, time::Duration};

use minispod_kernel::{Actor, InsSeq, RefusalKind};
use sha2::{Digest, Sha256};

use crate::StoreError;

/// Who asks, why, and under which key.
#[derive(Debug, Clone)]
pub struct CommandContext {
    pub key: CommandKey,
    pub actor: Actor,
    pub correlation_id: String,
    pub causation_id: Option<String>,
    pub traceparent: Option<String>,
    /// Why an administrator asks for it; sealed with that administrator's key. Of others it is not kept.
    pub reason: Option<String>,
    /// The version the caller has seen (`If-Match`); another one is a mismatch, never a retry.
    pub expected_version: Option<i64>,
    /// Secrets that ride in the event's transaction.
    pub vault: Vec<VaultWrite>,
}

impl CommandContext {
    /// Why it is done, and the administrator whose key seals that.
    pub(crate) fn why(&self) -> Option<(&str, &str)> {
        match (&self.reason, &self.actor) {
            (Some(reason), Actor::Administrator { id }) => Some((id, reason)),
            _ => None,
        }
    }

    /// A context without cause, trace, expectation and secrets.
    pub fn new(key: CommandKey, actor: Actor, correlation_id: impl Into<String>) -> Self {
        Self {
            key,
            actor,
            correlation_id: correlation_id.into(),
            causation_id: None,
            traceparent: None,
            reason: None,
            expected_version: None,
            vault: Vec::new(),
        }
    }
}

/// What makes a repeat of a command recognisable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandKey {
    /// A client's `Idempotency-Key` within `scope` (the user and route); `fingerprint` is the hash of the request.
    Client { scope: String, key: String, fingerprint: [u8; 32] },
    /// Derived from what caused the command.
    Derived(String),
    /// Nobody will repeat it. Leaves no receipt: an unknown commit is resolved by its event ids in the log.
    Generated,
}

impl CommandKey {
    /// The key as events show it for ever. A client's own words may be an address or a token, so of them only the
    /// hash, together with whose they are.
    pub(crate) fn for_the_log(&self) -> String {
        match self {
            Self::Client { scope, key, .. } => {
                let mut digest = Sha256::new();
                digest.update((scope.len() as u64).to_be_bytes());
                digest.update(scope.as_bytes());
                digest.update(key.as_bytes());
                format!("client.{}", hex::encode(digest.finalize()))
            }
            Self::Derived(key) => key.clone(),
            Self::Generated => String::new(),
        }
    }
}

/// A secret written or removed together with the events. A command that is refused or finds nothing to do writes none.
#[derive(Clone, PartialEq, Eq)]
pub enum VaultWrite {
    /// Sealed by the store; replaces what is there.
    Put {
        owner: String,
        name: String,
        value: Vec<u8>,
    },
    Remove {
        owner: String,
        name: String,
    },
}

impl fmt::Debug for VaultWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { owner, name, .. } => write!(f, "Put({owner}/{name})"),
            Self::Remove { owner, name } => write!(f, "Remove({owner}/{name})"),
        }
    }
}

/// What a command has done.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<E> {
    /// The aggregate that answered: on a replay the first request's, which may have chosen another new id.
    pub aggregate_id: String,
    /// The aggregate's version after the command.
    pub version: i64,
    /// Of the last event of the command; of the aggregate when the command wrote none.
    pub ins_seq: InsSeq,
    pub events: Vec<Committed<E>>,
    /// The answer was already there.
    pub replayed: bool,
}

/// One event that is in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed<E> {
    pub event_id: String,
    pub sequence: i64,
    /// With its personal fields open.
    pub event: E,
}

/// A rule said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Permanent kebab-case code.
    pub code: String,
    pub kind: RefusalKind,
    pub message: String,
}

/// Why a command has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The domain refused; a receipt keeps it.
    #[error(transparent)]
    Refused(Refused),
    /// A name that the command needs is held by another aggregate; a receipt keeps it.
    #[error("{key} is held by another")]
    ClaimTaken { key: String, holder: String },
    /// The key was used for another request.
    #[error("the key was used for another request")]
    KeyReused,
    /// The aggregate is at another version than the caller has seen.
    #[error("version {expected} was expected but {actual} is current")]
    VersionMismatch { expected: i64, actual: i64 },
    /// Conflicts did not end in time, or too many commands wait. Nothing was written.
    #[error("too busy, try again in {after:?}")]
    Busy { after: Duration },
    #[error(transparent)]
    Store(#[from] StoreError),
}
