//! Midtrans: its client, the shapes of its answers, and the verification of its notifications.

pub mod client;
pub mod notification;
#[cfg(test)]
mod properties;
pub mod retry;
pub mod wire;

use std::{fmt, time::Duration};

pub use client::MidtransClient;
pub use notification::{FieldError, NOTIFICATION_MAX_BYTES, Notification, NotificationVerifier, Verification};
pub use retry::RetryPolicy;

/// The merchant's secret: Basic user and salt of the notifications' signatures. Debug hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerKey(String);

impl ServerKey {
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(..)")
    }
}

/// Which Midtrans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Environment {
    Sandbox,
    Production,
    /// Both APIs under one base address without a trailing slash: the stand-in, a recording proxy.
    At {
        base_url: String,
    },
}

impl Environment {
    pub(crate) fn snap_base(&self) -> String {
        match self {
            Self::Sandbox => "https://app.sandbox.midtrans.com/snap/v1".to_owned(),
            Self::Production => "https://app.midtrans.com/snap/v1".to_owned(),
            Self::At { base_url } => format!("{}/snap/v1", base_url.trim_end_matches('/')),
        }
    }

    pub(crate) fn core_base(&self) -> String {
        match self {
            Self::Sandbox => "https://api.sandbox.midtrans.com/v2".to_owned(),
            Self::Production => "https://api.midtrans.com/v2".to_owned(),
            Self::At { base_url } => format!("{}/v2", base_url.trim_end_matches('/')),
        }
    }
}

/// Where the payment page sends the customer afterwards. For show only: its parameters prove nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnUrls {
    pub finish: String,
    pub error: String,
}

/// What the client needs.
#[derive(Debug, Clone)]
pub struct MidtransConfig {
    pub environment: Environment,
    pub server_key: ServerKey,
    /// When set, a status of another merchant does not match.
    pub merchant_id: Option<String>,
    pub return_urls: Option<ReturnUrls>,
    /// Overrides the dashboard's notification URL, for several installations of one merchant.
    pub notification_url: Option<String>,
    /// The line on the payment page and the gateway's receipt, at most 50 characters.
    pub item_name: String,
    /// One connection attempt.
    pub connect_timeout: Duration,
    /// One try, body included.
    pub try_timeout: Duration,
    pub retry: RetryPolicy,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// How long the breaker rests.
    pub breaker_rest: Duration,
}

impl MidtransConfig {
    /// Defaults whose sum stays under the ten seconds a request may wait for a page.
    pub fn new(environment: Environment, server_key: ServerKey) -> Self {
        Self {
            environment,
            server_key,
            merchant_id: None,
            return_urls: None,
            notification_url: None,
            item_name: "Isi saldo".to_owned(),
            connect_timeout: Duration::from_secs(2),
            try_timeout: Duration::from_secs(4),
            retry: RetryPolicy::default(),
            breaker_failures: 5,
            breaker_rest: Duration::from_secs(15),
        }
    }
}
