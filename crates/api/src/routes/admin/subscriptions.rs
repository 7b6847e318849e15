//! Everybody's subscriptions, for administrators.

pub mod bulk;
mod deed;
pub mod extend;
pub mod force_cancel;
mod power;
pub mod start;
pub mod status;
pub mod stop;

use actix_web::web::{ServiceConfig, delete, post, put, resource};

/// Paths under `/admin/subscriptions`. Fixed segments stand before `{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/subscriptions/bulk-update").route(put().to(bulk::handle)))
        .service(resource("/admin/subscriptions/{id}/status").route(put().to(status::handle)))
        .service(resource("/admin/subscriptions/{id}/extend").route(put().to(extend::handle)))
        .service(resource("/admin/subscriptions/{id}/force-cancel").route(delete().to(force_cancel::handle)))
        .service(resource("/admin/subscriptions/{id}/start").route(post().to(start::handle)))
        .service(resource("/admin/subscriptions/{id}/stop").route(post().to(stop::handle)));
}
