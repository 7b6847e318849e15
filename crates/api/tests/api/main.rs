//! The customer's slice over a real database: every exchange of the contract, bad input, limits and failures.

mod accounts;
mod admin_billing;
mod admin_subscriptions;
mod admin_users;
mod api_tokens;
mod catalogue;
mod contract;
mod credentials;
mod edge;
mod google;
mod links;
mod market;
mod money;
mod money_reads;
mod plan_changes;
mod services;
mod sessions;
mod shapes;
mod subscription_reads;
mod two_factor;
mod world;
