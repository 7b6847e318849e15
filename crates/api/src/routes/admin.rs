//! What only administrators may ask for.

pub mod billing;
pub mod subscriptions;
pub mod users;
