//! One connection to NATS as one user, repairing itself with back-off, and bounded requests over it.

use std::{sync::atomic::Ordering, time::Duration};

use async_nats::{Client, ConnectOptions, Event, client::RequestErrorKind, jetstream};
use bytes::Bytes;
use serde_json::Value;

/// Longest wait for any answer of the server.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Back-off between attempts to connect: 50 ms doubling to this.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
const PING_EVERY: Duration = Duration::from_secs(10);
/// Publishes that may wait for their acknowledgement at once.
pub const ACK_WINDOW: usize = 1_024;

/// Where and as whom to connect.
#[derive(Clone)]
pub struct NatsConfig {
    /// `nats://host:port`, or `tls://…`; several separated by commas.
    pub url: String,
    /// `None`: the server asks for nobody.
    pub user: Option<String>,
    pub password: Option<String>,
    /// Shown in the server's connection report.
    pub name: String,
    /// Replies come in below this subject; permissions give each user its own.
    pub inbox_prefix: String,
}

impl NatsConfig {
    /// The connection of a role whose user bears its name.
    pub fn for_role(url: impl Into<String>, role: &str, password: impl Into<String>) -> Self {
        Self::for_user(url, role, role, password)
    }

    /// The connection of `role` under another user name (several accounts on one server).
    pub fn for_user(url: impl Into<String>, role: &str, user: &str, password: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            user: Some(user.to_owned()),
            password: Some(password.into()),
            name: format!("minispod-{role}"),
            inbox_prefix: inbox_prefix(role),
        }
    }

    /// A connection without a user, for servers without accounts.
    pub fn without_user(url: impl Into<String>, role: &str) -> Self {
        Self {
            url: url.into(),
            user: None,
            password: None,
            name: format!("minispod-{role}"),
            inbox_prefix: inbox_prefix(role),
        }
    }
}

impl std::fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsConfig").field("user", &self.user).field("name", &self.name).finish_non_exhaustive()
    }
}

/// The inbox prefix that the permissions of `role` allow.
pub fn inbox_prefix(role: &str) -> String {
    format!("_INBOX_{role}")
}

/// The address cannot be used at all. An unreachable server is no error: the connection keeps trying.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("NATS address {url:?} is malformed")]
    Address { url: String, source: std::io::Error },
    #[error("NATS cannot be reached as {user}")]
    Connect { user: String, source: async_nats::ConnectError },
}

/// A request that brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("NATS did not answer {subject} within {} ms", REQUEST_TIMEOUT.as_millis())]
    TimedOut { subject: String },
    #[error("nobody answers {subject}: JetStream is off or not permitted")]
    NoResponders { subject: String },
    #[error("{subject} could not be sent")]
    Send { subject: String, source: async_nats::RequestError },
    #[error("the answer to {subject} is not understood")]
    Answer { subject: String, source: serde_json::Error },
    #[error("{subject} was refused: {description} ({code})")]
    Refused { subject: String, code: u64, description: String },
}

impl RequestError {
    /// The server's error code, when the server said no.
    pub const fn code(&self) -> Option<u64> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// The server's code for "no such stream".
pub const STREAM_NOT_FOUND: u64 = 10_059;
/// The server's code for "no such consumer".
pub const CONSUMER_NOT_FOUND: u64 = 10_014;

/// A connection; clones share it.
#[derive(Clone)]
pub struct Nats {
    client: Client,
    jetstream: jetstream::Context,
}

impl Nats {
    /// Starts connecting and returns at once; requests are answered as soon as the server is there.
    pub async fn connect(config: NatsConfig) -> Result<Self, ConnectError> {
        let user = config.user.clone().unwrap_or_else(|| "nobody".to_owned());
        let addresses: Vec<async_nats::ServerAddr> = config
            .url
            .split(',')
            .map(|part| part.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|source| ConnectError::Address { url: config.url.clone(), source })?;
        let client =
            options(config).connect(addresses).await.map_err(|source| ConnectError::Connect { user, source })?;
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .ack_timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(ACK_WINDOW)
            .backpressure_on_inflight(true)
            .build(client.clone());
        Ok(Self { client, jetstream })
    }

    /// The library's client.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The library's JetStream context, bounded by [`REQUEST_TIMEOUT`].
    pub const fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// Grows with every connection made; 0 before the first.
    pub fn connection_epoch(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::SeqCst)
    }

    /// Whether the connection stands now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Hands what is buffered to the network, at most [`REQUEST_TIMEOUT`].
    pub async fn flush(&self) -> bool {
        matches!(tokio::time::timeout(REQUEST_TIMEOUT, self.client.flush()).await, Ok(Ok(())))
    }

    /// One JetStream API request; `subject` without the `$JS.API.` prefix. An error answer becomes [`RequestError::Refused`].
    pub async fn api(&self, subject: &str, body: &Value) -> Result<Value, RequestError> {
        let subject = format!("$JS.API.{subject}");
        let payload = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let asked = tokio::time::timeout(REQUEST_TIMEOUT, self.client.request(subject.clone(), payload)).await;
        let answer = match asked {
            Err(_) => return Err(RequestError::TimedOut { subject }),
            Ok(Err(source)) => {
                return Err(match source.kind() {
                    RequestErrorKind::TimedOut => RequestError::TimedOut { subject },
                    RequestErrorKind::NoResponders => RequestError::NoResponders { subject },
                    _ => RequestError::Send { subject, source },
                });
            }
            Ok(Ok(message)) => message,
        };
        let value: Value = match serde_json::from_slice(&answer.payload) {
            Ok(value) => value,
            Err(source) => return Err(RequestError::Answer { subject, source }),
        };
        match value.get("error") {
            Some(error) => Err(RequestError::Refused {
                subject,
                code: error.get("err_code").and_then(Value::as_u64).unwrap_or_default(),
                description: error.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
            }),
            None => Ok(value),
        }
    }
}

fn options(config: NatsConfig) -> ConnectOptions {
    let name = config.name.clone();
    let options = ConnectOptions::new()
        .name(config.name)
        .custom_inbox_prefix(config.inbox_prefix)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_EVERY)
        .retry_on_initial_connect()
        .reconnect_delay_callback(|attempts| {
            let doubled = 50_u64.saturating_mul(1 << attempts.min(10));
            Duration::from_millis(doubled).min(RECONNECT_MAX)
        })
        .event_callback(move |event| {
            report(&name, &event);
            std::future::ready(())
        });
    match (config.user, config.password) {
        (Some(user), Some(password)) => options.user_and_password(user, password),
        _ => options,
    }
}

fn report(name: &str, event: &Event) {
    match event {
        Event::Connected => tracing::info!(connection = name, "connected to NATS"),
        Event::Disconnected => {
            metrics::counter!("minispod_nats_disconnects_total", "connection" => name.to_owned()).increment(1);
            tracing::warn!(connection = name, "NATS connection lost; trying again");
        }
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            metrics::counter!("minispod_nats_errors_total", "connection" => name.to_owned()).increment(1);
            tracing::warn!(connection = name, %event, "NATS reports a problem");
        }
        _ => tracing::debug!(connection = name, %event, "NATS"),
    }
}
