//! The memory bus is put through what every bus must do, and through simulated years.

mod crashes;
mod memory_world;
mod years;
