//! What tests need from the world: a database each, a NATS account each, servers to damage, conditions to wait for.
//!
//! One Postgres and one NATS serve a whole run: those named by `MINISPOD_TEST_PG` and `MINISPOD_TEST_NATS`, else a pair
//! that this process starts when first asked and that ends with it.

mod database;
pub mod dns;
pub mod google;
pub mod kubernetes;
mod nats;
mod own;
mod require;
mod shared;
mod wait;

pub use database::TestDb;
pub use minispod_kernel::{IdSource, ManualClock, SystemClock, SystemIds};
pub use nats::{NatsUser, TestNats};
pub use own::{OwnNats, OwnPg};
pub use require::{is_long_run, missing, program_path, require};
pub use shared::{Shared, accounts_config};
pub use wait::{eventually, free_port, wait_for_http, wait_until};

/// The password of every test user on the shared NATS server.
pub const TEST_PASSWORD: &str = "test";
