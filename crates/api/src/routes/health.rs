//! Probes.

pub mod billing;
pub mod live;
pub mod ready;
