//! The HTTP door: routes, the contract's envelope, extractors and limits. No rule and no SQL lives here.

pub mod answer;
pub mod api_tokens;
pub mod call;
pub mod caller;
pub mod csv;
pub mod edge;
pub mod error;
pub mod fleet;
pub mod input;
pub mod limits;
mod log_stream;
pub mod openapi;
pub mod orders;
pub mod placed;
pub mod ports;
pub mod preference;
pub mod refusals;
pub mod refused_access;
pub mod room;
pub mod routes;
pub mod server;
pub mod session;
pub mod sign_in;
pub mod state;
pub mod views;
pub mod visitor;
pub mod why;

pub use edge::address::Network;
pub use limits::Allowance;
pub use ports::{NoPaymentPage, NotificationGate, Offerings, PaymentPage, PaymentPages, Probe, ReadModels, Verdict};
pub use routes::configure;
pub use server::{app, serve};
pub use state::{ApiConfig, AppState, Parts};
