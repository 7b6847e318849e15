//! Where what is sold and what the cluster has differ.

pub mod list;

use actix_web::web::{ServiceConfig, get, resource};

/// Paths under `/admin/differences`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/differences").route(get().to(list::handle)));
}
