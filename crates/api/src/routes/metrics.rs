//! What operators' dashboards read.

pub mod read;
