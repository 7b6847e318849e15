//! The customer's slice over a real database: every exchange of the contract, bad input, limits and failures.

mod accounts;
mod admin_users;
mod allowances;
mod api_tokens;
mod browser;
mod catalogue;
mod conditional;
mod contract;
mod credentials;
mod cursors;
mod edge;
mod google;
mod impersonation;
mod links;
mod money;
mod preferences;
mod reasons;
mod services;
mod sessions;
mod shapes;
mod two_factor;
mod world;
