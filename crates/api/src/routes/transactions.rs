//! The history of money.

pub mod list;
pub mod pay;
pub mod read;
