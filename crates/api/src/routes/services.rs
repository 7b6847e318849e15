//! The public catalogue.

pub mod grouped;

use actix_web::web::{ServiceConfig, get, resource};

/// Paths under `/services`. Fixed segments stand before `{name}` and `{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/services/grouped").route(get().to(grouped::handle)));
}
