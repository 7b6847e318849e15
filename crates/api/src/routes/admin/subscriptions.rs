//! Everybody's subscriptions, for administrators.

pub mod bulk;
mod deed;
pub mod extend;
pub mod force_cancel;
pub mod list;
pub mod of_user;
mod power;
pub mod read;
pub mod start;
pub mod stats;
pub mod status;
pub mod stop;

use actix_web::web::{ServiceConfig, delete, get, post, put, resource};

use super::{People, owner, person};

/// Paths under `/admin/subscriptions`. Fixed segments stand before `{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/subscriptions").route(get().to(list::handle)))
        .service(resource("/admin/subscriptions/stats").route(get().to(stats::handle)))
        .service(resource("/admin/subscriptions/user/{userId}").route(get().to(of_user::handle)))
        .service(resource("/admin/subscriptions/bulk-update").route(put().to(bulk::handle)))
        .service(resource("/admin/subscriptions/{id}").route(get().to(read::handle)))
        .service(resource("/admin/subscriptions/{id}/status").route(put().to(status::handle)))
        .service(resource("/admin/subscriptions/{id}/extend").route(put().to(extend::handle)))
        .service(resource("/admin/subscriptions/{id}/force-cancel").route(delete().to(force_cancel::handle)))
        .service(resource("/admin/subscriptions/{id}/start").route(post().to(start::handle)))
        .service(resource("/admin/subscriptions/{id}/stop").route(post().to(stop::handle)));
}
