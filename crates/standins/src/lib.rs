//! Stand-ins for the outside world, shipped in the binary and always named as such: gateway, mail server, cluster.

pub mod cluster;
pub mod midtrans;
pub mod server;
pub mod smtp;

pub use server::{STAND_IN_HEADER, StandInError};
