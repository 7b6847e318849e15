//! What only administrators may ask for.

pub mod pods;
pub mod users;
pub mod workers;
