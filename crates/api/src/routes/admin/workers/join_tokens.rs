//! Tokens that let nodes join: made for an administrator, shown once, used once.

pub mod create;
pub mod list;
pub mod revoke;

use actix_web::web::{ServiceConfig, delete, get, post, resource};

/// The read model that shows tokens.
const SHOWN_BY: &[&str] = &["nodes"];

/// Paths under `/admin/workers/join-tokens`; they stand before `/admin/workers/{nodeId}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/workers/join-tokens").route(get().to(list::handle)).route(post().to(create::handle)))
        .service(resource("/admin/workers/join-tokens/{id}").route(delete().to(revoke::handle)));
}
