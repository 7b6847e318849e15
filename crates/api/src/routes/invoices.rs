//! Invoices and their documents.

pub mod list;
pub mod pdf;
pub mod read;

use actix_web::web::{ServiceConfig, get, resource};

/// Paths under `/billing/invoices`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/billing/invoices").route(get().to(list::handle)))
        .service(resource("/billing/invoices/{id}").route(get().to(read::handle)))
        .service(resource("/billing/invoices/{id}/pdf").route(get().to(pdf::handle)));
}
