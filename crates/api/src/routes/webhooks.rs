//! What payment gateways tell us.

pub mod midtrans;
