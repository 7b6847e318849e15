//! Everybody's subscriptions, for administrators.

pub mod list;
pub mod of_user;
pub mod read;
pub mod stats;

use actix_web::web::{ServiceConfig, get, resource};

use super::{People, owner, person};

/// Paths under `/admin/subscriptions`. Fixed segments stand before `{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/subscriptions").route(get().to(list::handle)))
        .service(resource("/admin/subscriptions/stats").route(get().to(stats::handle)))
        .service(resource("/admin/subscriptions/user/{userId}").route(get().to(of_user::handle)))
        .service(resource("/admin/subscriptions/{id}").route(get().to(read::handle)));
}
