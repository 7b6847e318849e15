//! The history of money.

pub mod list;
pub mod pay;
pub mod read;

use actix_web::web::{ServiceConfig, get, post, resource};

/// Paths under `/billing/transactions`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/billing/transactions").route(get().to(list::handle)))
        .service(resource("/billing/transactions/{id}").route(get().to(read::handle)))
        .service(resource("/billing/transactions/{id}/pay").route(post().to(pay::handle)));
}
