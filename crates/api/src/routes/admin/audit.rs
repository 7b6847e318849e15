//! What administrators look at afterwards: who asked for what is somebody else's.

pub mod refused_access;

use actix_web::web::{ServiceConfig, get, resource};

/// Paths under `/admin/audit`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/audit/refused-access").route(get().to(refused_access::handle)));
}
