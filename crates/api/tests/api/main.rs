//! The customer's slice over a real database: every exchange of the contract, bad input, limits and failures.

mod accounts;
mod adjusting;
mod admin_users;
mod api_tokens;
mod catalogue;
mod contract;
mod credentials;
mod edge;
mod google;
mod keeping;
mod keeping_many;
mod links;
mod money;
mod services;
mod sessions;
mod settings;
mod shapes;
mod stage;
mod two_factor;
mod world;
