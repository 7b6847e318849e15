//! What every request passes: identity and log, security headers, limits, and the envelope of refusals.

pub mod address;
pub mod allowances;
pub mod conditional;
pub mod errors;
pub mod headers;
pub mod passage;
#[cfg(test)]
mod properties;
