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
mod stage;
mod tally;
mod timing;
mod tunnel;
