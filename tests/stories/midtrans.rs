//! The gateway's notifications of the samples file, re-signed for fresh orders: what they do to wallets and what not.

mod deliveries;
mod refusals;
mod samples;
mod stage;
