//! The wallet.

pub mod read;
