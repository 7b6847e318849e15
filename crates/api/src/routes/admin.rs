//! What only administrators may ask for.

pub mod users;
