//! Invoices and their documents.

pub mod list;
pub mod pdf;
pub mod read;
