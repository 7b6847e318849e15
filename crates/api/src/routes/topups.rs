//! Money on its way in.

pub mod cancel;
pub mod create;
pub mod list;
pub mod read;

use actix_web::web::{ServiceConfig, get, post, resource};

/// Paths under `/billing/topup`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/billing/topup").route(get().to(list::handle)).route(post().to(create::handle)))
        .service(resource("/billing/topup/{id}").route(get().to(read::handle)))
        .service(resource("/billing/topup/{id}/cancel").route(post().to(cancel::handle)));
}
