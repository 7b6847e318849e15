//! What comes from outside, made into types or refused: bodies, fields, query strings, ids in paths.

pub mod body;
pub mod cursor;
pub mod days;
pub mod fields;
pub mod path;
#[cfg(test)]
mod properties;
pub mod query;
pub mod reason;

pub use body::{JsonBody, RequestBody};
pub use fields::{Fields, Unknown};
pub use query::{Query, Span};
