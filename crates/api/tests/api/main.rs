//! The customer's slice over a real database: every exchange of the contract, bad input, limits and failures.

mod access;
mod accounts;
mod admin_users;
mod api_tokens;
mod catalogue;
mod contract;
mod credentials;
mod defects;
mod described;
mod edge;
mod google;
mod links;
mod money;
mod services;
mod sessions;
mod shapes;
mod two_factor;
mod world;
