//! The read models over a real database: what they answer after which facts.

mod access;
mod billing;
mod catalogue;
mod concerns;
mod coupons;
mod custom_domains;
mod differences;
mod equality;
mod facts;
mod ledger;
mod nodes;
mod standing;
mod subscriptions;
mod users;
mod world;
