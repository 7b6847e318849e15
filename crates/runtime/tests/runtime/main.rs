//! The loops over a real database and a real NATS: what they do when copies race, crash and fail.

mod dispatching;
mod feeding;
mod freezing;
mod ground;
mod inline;
mod lanes;
mod probe;
mod projecting;
mod reacting;
mod relaying;
mod restoring;
mod sold;
mod stage;
mod tally;
mod timing;
mod tunnel;

/// What the memory bus is put through too. Included by its path, for a feature of the domain that only tests switch on
/// would build everything above it a second time.
#[path = "../../../domain/src"]
mod rehearsed {
    pub mod bus_contract;
    pub mod simulation;
}
