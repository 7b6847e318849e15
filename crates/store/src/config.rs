//! How a store is opened: address, keys and limits.

use std::{fmt, time::Duration};

/// Limits of the group commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneConfig {
    /// Transactions in flight at once; each has its own connection.
    pub lanes: usize,
    /// Commands in one transaction.
    pub batch: usize,
    /// Commands that may wait; more are answered `Busy`.
    pub waiting: usize,
    /// How long a conflict is retried before `Busy`.
    pub deadline: Duration,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self { lanes: 4, batch: 256, waiting: 10_000, deadline: Duration::from_secs(2) }
    }
}

/// What [`crate::Store::connect`] needs to know.
#[derive(Clone)]
pub struct StoreConfig {
    /// `postgres://…`
    pub database_url: String,
    /// Connections of the general pool; lanes and numbering have their own.
    pub max_connections: u32,
    /// Wraps data keys and seals secrets.
    pub master_key: [u8; 32],
    /// Keys the HMAC of e-mail claims.
    pub claim_key: [u8; 32],
    /// Aggregates whose state is kept in memory.
    pub cache_entries: u64,
    pub lanes: LaneConfig,
    /// A state row is written each time a version passes a multiple of this.
    pub state_every: i64,
    /// A role that every connection takes on (`minispod_app`); `None`: stay who logged in.
    pub role: Option<String>,
}

impl StoreConfig {
    /// Defaults with this address and these keys.
    pub fn new(database_url: impl Into<String>, master_key: [u8; 32], claim_key: [u8; 32]) -> Self {
        Self {
            database_url: database_url.into(),
            max_connections: 16,
            master_key,
            claim_key,
            cache_entries: 100_000,
            lanes: LaneConfig::default(),
            state_every: 50,
            role: None,
        }
    }
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may carry a password, the keys are keys.
        f.debug_struct("StoreConfig")
            .field("max_connections", &self.max_connections)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}
