//! Everybody's money, for administrators.

pub mod adjust;

use actix_web::web::{ServiceConfig, post, resource};

/// Paths under `/admin/billing`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/billing/users/{userId}/adjust-balance").route(post().to(adjust::handle)));
}
