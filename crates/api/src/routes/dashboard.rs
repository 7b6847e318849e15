//! A customer's money at a glance.

pub mod analytics;
pub mod overview;

use actix_web::web::{ServiceConfig, get, resource};

/// Paths under `/billing/dashboard`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/billing/dashboard/overview").route(get().to(overview::handle)))
        .service(resource("/billing/dashboard/analytics").route(get().to(analytics::handle)));
}
