//! The world of a story: own servers, the real binary's roles as processes of their own, stand-ins, and the public doors.

pub mod door;
pub mod process;
pub mod traces;
pub mod world;

pub use door::Door;
pub use process::Role;
pub use traces::Traces;
pub use world::{World, WorldOptions};
