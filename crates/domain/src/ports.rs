//! What the domain's reactors need from the world, as traits that the outer rooms implement.

pub mod dns;
pub mod fleet;
pub mod proofs;

use std::time::Duration;

use async_trait::async_trait;
use minispod_events::Fact;
use minispod_kernel::{Language, Timestamp};
use serde_json::Value;

use crate::{
    CommandRequest,
    user::{RESET_LIFE, VERIFY_LIFE},
};

/// Something a reactor means to do outside, recorded before it is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Unique for ever within the reactor: derived from the event (`<event id>.<what>`).
    pub key: String,
    /// Effects of one lane run one after another, in order; lanes run beside each other.
    pub lane: String,
    /// What to do, kebab-case (`send-mail`, `snap-create`, `command`).
    pub kind: String,
    /// What is needed to do it; ids only, no secrets.
    pub payload: Value,
    /// Not before this instant; `None`: now.
    pub not_before: Option<Timestamp>,
}

/// An intent being tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    pub key: String,
    pub lane: String,
    pub kind: String,
    pub payload: Value,
    /// Tries before this one.
    pub attempts: u32,
}

/// What came of an effect.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Performed {
    /// Reported back through the command bus, in order, before the effect counts as done.
    pub commands: Vec<CommandRequest>,
    /// Do it again then (polling); `None`: done. The commands of an effect that repeats must be harmless even when their
    /// receipts are gone: it may go on for weeks, and receipts are not kept for its sake.
    pub again_at: Option<Timestamp>,
}

impl Performed {
    /// Done, and these commands report it.
    pub fn report(commands: Vec<CommandRequest>) -> Self {
        Self { commands, again_at: None }
    }
}

/// Why an effect did not happen.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// May work later: retried with back-off for ever, with an alarm.
    #[error("{what} did not work this time")]
    Transient {
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Will never work: the lane is parked for an operator.
    #[error("{what} cannot work")]
    Permanent {
        what: String,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl EffectError {
    /// A passing failure.
    pub fn transient(what: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Transient { what: what.into(), source: Some(Box::new(source)) }
    }
    /// A lasting failure.
    pub fn permanent(what: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Permanent { what: what.into(), source: Some(Box::new(source)) }
    }
}

/// A consumer with outside effects. `intend` is pure; `perform` does the work and may run more than once.
#[async_trait]
pub trait Reactor: Send + Sync {
    /// Permanent name: the NATS durable, the ledger's and the checkpoint's key, the metric label.
    fn name(&self) -> &'static str;
    /// What this fact asks for. No I/O, no clock: the same fact always gives the same intents.
    fn intend(&self, fact: &Fact) -> Vec<Intent>;
    /// Do it. Idempotent by construction.
    async fn perform(&self, effect: &Effect) -> Result<Performed, EffectError>;
}

/// A person as mails and documents address them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: String,
    pub name: String,
    pub email: String,
}

/// A port's failure: the cause is kept for the log, nothing of it is shown.
#[derive(Debug, thiserror::Error)]
#[error("{what} could not be reached")]
pub struct PortError {
    pub what: String,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Names and addresses of people, opened from the vault.
#[async_trait]
pub trait People: Send + Sync {
    /// `None` when nobody has this id or the person is forgotten.
    async fn find(&self, user_id: &str) -> Result<Option<Person>, PortError>;
}

/// Secrets by owner (`instance/<id>`, `topup/<id>`, `user/<id>`) and name.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret, opened.
    async fn find(&self, owner: &str, name: &str) -> Result<Option<Vec<u8>>, PortError>;
    /// Keeps `value` unless one exists already; returns what is kept. So a repeated effect finds its first value.
    async fn keep(&self, owner: &str, name: &str, value: &[u8]) -> Result<Vec<u8>, PortError>;
    /// Replaces it.
    async fn replace(&self, owner: &str, name: &str, value: &[u8]) -> Result<(), PortError>;
}

/// What a mailed link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    VerifyEmail,
    ResetPassword,
}

impl LinkKind {
    /// The vault's name of what is kept of the link; the owner is `user/<id>`.
    pub const fn secret_name(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email-link",
            Self::ResetPassword => "reset-password-link",
        }
    }

    /// How long the link works.
    pub const fn life(self) -> Duration {
        match self {
            Self::VerifyEmail => VERIFY_LIFE,
            Self::ResetPassword => RESET_LIFE,
        }
    }
}

/// Links that prove who reads an address's mails.
#[async_trait]
pub trait Links: Send + Sync {
    /// A fresh token for a link to `user_id`; former ones of its kind end. Only its hash is kept.
    async fn fresh(&self, kind: LinkKind, user_id: &str) -> Result<String, PortError>;
}

/// Finished documents.
#[async_trait]
pub trait Documents: Send + Sync {
    /// The PDF of an issued invoice, in the installation's language when none is asked for; `None` when there is no such
    /// invoice yet.
    async fn invoice_pdf(&self, invoice_id: &str, language: Option<Language>) -> Result<Option<Vec<u8>>, PortError>;
}

/// Which aggregate holds a claim (`order/<order id>`, `email/<hash>`).
#[async_trait]
pub trait Claims: Send + Sync {
    /// The id of the holder.
    async fn holder(&self, key: &str) -> Result<Option<String>, PortError>;
}
