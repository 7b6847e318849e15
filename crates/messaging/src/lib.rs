//! The way to NATS: subject grammar, event ⇄ message, publishing on top of a known sequence, fetching, configuration check.
//!
//! Nothing here decides anything and nothing here knows Postgres. Every request is bounded by
//! [`connection::REQUEST_TIMEOUT`]; the connection repairs itself with back-off.

pub mod connection;
pub mod dead_letter;
pub mod fetch;
pub mod hints;
pub mod message;
#[cfg(test)]
mod properties;
pub mod server_config;
pub mod stream;
pub mod subject;
pub mod topology;

pub use connection::{ConnectError, Nats, NatsConfig, RequestError};
pub use dead_letter::DeadLetter;
pub use fetch::{FetchError, Fetcher};
pub use hints::Hints;
pub use message::MessageError;
pub use stream::{PublishError, Published, StreamError, StreamTail};
pub use topology::{Drift, TopologyError};
