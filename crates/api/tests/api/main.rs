//! The customer's slice over a real database: every exchange of the contract, bad input, limits and failures.

mod accounts;
mod credentials;
mod edge;
mod money;
mod services;
mod sessions;
mod shapes;
mod world;
