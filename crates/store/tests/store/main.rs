//! The store on a real Postgres: commands, claims, numbering, sealing, effects, and what happens when things break.

mod account;
mod claims;
mod commands;
mod conflicts;
mod effects;
mod framework;
mod guard;
mod numbering;
mod outages;
mod places;
mod receipts;
mod returning;
mod sealing;
mod states;
mod telemetry;
mod verify;
mod world;
