//! Whole processes walked through in memory: every way forward and every way back, in many orders.

mod desk;
mod payments;
mod setting;
mod standing;
mod subscriptions;
