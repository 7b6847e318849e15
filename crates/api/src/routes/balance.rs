//! The wallet.

pub mod read;

use actix_web::web::{ServiceConfig, get, resource};

/// `/billing/balance`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/billing/balance").route(get().to(read::handle)));
}
