//! What payment gateways tell us.

pub mod midtrans;

use actix_web::web::{ServiceConfig, post, resource};

/// Paths under `/billing/webhooks`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/billing/webhooks/midtrans").route(post().to(midtrans::handle)));
}
