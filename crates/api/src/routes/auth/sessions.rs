//! Where the caller is signed in.

pub mod list;
pub mod revoke;
pub mod revoke_others;
