//! Postgres and NATS servers of one's own on loopback: find the programs, start, watch, stop.
//!
//! Everything listens on 127.0.0.1 only. A server is known by its state directory: its data, its log, its port
//! and its process id lie there, so a later process can find it, stop it, or start it again on the same data.

mod failure;
mod nats;
mod ownership;
mod places;
mod postgres;
mod process;
mod watcher;

pub use failure::ServerError;
pub use nats::{Nats, NatsOptions};
pub use places::{NATS_MINIMUM, POSTGRES_MINIMUM, Places, PostgresPrograms};
pub use postgres::{Login, Postgres, PostgresOptions};
pub use process::{free_port, is_alive, kill};
pub use watcher::Watcher;

/// Told one short line at each step, for a person who waits.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Progress for callers that show none.
pub fn silent(_: &str) {}
