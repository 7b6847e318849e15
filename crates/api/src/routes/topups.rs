//! Money on its way in.

pub mod create;
pub mod read;
