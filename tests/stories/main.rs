//! Stories: what users, operators and crashes do to a whole installation, told through its public doors.

mod bad_input;
mod chaos;
mod client_flow;
mod contract;
mod coupons;
mod domains;
mod idempotency;
mod invoices;
mod journey;
mod kubernetes;
mod ledger;
mod links;
mod midtrans;
mod nodes;
mod operators;
mod readme;
mod restore;
mod starting;
