//! Whole processes walked through in memory: every way forward and every way back, in many orders.

mod payments;
pub mod setting;
mod standing;
mod subscriptions;
