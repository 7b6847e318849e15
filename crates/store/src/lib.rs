//! The event log in Postgres: command bus, numbering, vault, effects ledger, checkpoints, timers, leases and inbox.
//!
//! One transaction per batch of commands decides what has happened; everything else follows from the log. The order of
//! the writes, the barrier and the numbering are argued in the design of the event log; the code keeps to it.

mod alone;
mod append;
mod batch;
mod bus;
mod cache;
pub mod checkpoints;
mod claims;
pub mod command;
pub mod config;
mod error;
mod event_store;
mod fold;
pub mod inbox;
mod lanes;
pub mod leases;
pub mod ledger;
mod ledger_operators;
mod loading;
mod log;
mod member;
mod numbering;
mod receipts;
mod returning;
mod sealing;
mod snapshot;
mod store;
pub mod telemetry;
pub mod timers;
mod vault;
pub mod verify;

pub use bus::CommandBus;
pub use checkpoints::{Checkpoint, Checkpoints};
pub use command::{CommandContext, CommandError, CommandKey, Committed, Outcome, Refused, VaultWrite};
pub use config::{LaneConfig, StoreConfig};
pub use error::StoreError;
pub use event_store::{EventContext, PgEventStore};
pub use inbox::{Inbox, InboxId, InboxItem};
pub use leases::{Lease, Leases};
pub use ledger::{EffectLedger, Inline, LaneState, NewEffect, ParkedEffect, TakenEffect};
pub use log::{Head, LogReader};
pub use numbering::{NumberedBatch, Numbering};
pub use receipts::Receipts;
pub use snapshot::Snapshot;
pub use store::{Store, migrate};
pub use telemetry::{
    ClusterRoom, Grain, NodeHeartbeat, RefusedAccess, RefusedFilter, Telemetry, UsagePoint, UsageSample,
};
pub use timers::{Timer, Timers};
pub use vault::{VALUE_MAX as SECRET_MAX, Vault};
