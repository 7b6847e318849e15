//! What this installation is made of.

pub mod read;
