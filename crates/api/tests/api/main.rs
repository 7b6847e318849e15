//! The customer's slice over a real database: every exchange of the contract, bad input, limits and failures.

mod accounts;
mod admin_users;
mod catalogue;
mod contract;
mod edge;
mod money;
mod services;
mod shapes;
mod world;
