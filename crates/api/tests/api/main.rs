//! The customer's slice over a real database: every exchange of the contract, bad input, limits and failures.

mod accounts;
mod admin_users;
mod api_tokens;
mod catalogue;
mod contract;
mod credentials;
mod edge;
mod fleet;
mod google;
mod links;
mod missing;
mod money;
mod orphans;
mod pods;
mod services;
mod sessions;
mod shapes;
mod two_factor;
mod workers;
mod world;
