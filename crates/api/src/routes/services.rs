//! The public catalogue.

pub mod grouped;
