//! Whole processes walked through in memory: every way forward and every way back, in many orders.

pub mod coupons;
mod custom_domains;
mod desk;
mod lifetimes;
mod payments;
mod plan_changes;
pub mod setting;
mod standing;
mod subscriptions;
