//! Nodes that join by themselves: with a token, then with signs of life under their own key.

pub mod heartbeat;
pub mod list;
pub mod register;
pub mod remove;

use actix_web::{
    HttpRequest,
    web::{ServiceConfig, delete, get, patch, post, put, resource},
};

use crate::{caller::bearer, error::ApiError};

/// The read model that shows nodes.
pub(super) const SHOWN_BY: &[&str] = &["nodes"];

/// Paths under `/workers`. Fixed segments stand before `{name}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/workers").route(get().to(list::handle)))
        .service(resource("/workers/register").route(post().to(register::handle)))
        .service(resource("/workers/{name}").route(delete().to(remove::handle)))
        .service(
            resource("/workers/{name}/heartbeat")
                .route(put().to(heartbeat::handle))
                .route(patch().to(heartbeat::handle)),
        );
}

/// What a machine shows as its bearer.
fn shown(request: &HttpRequest) -> Result<String, ApiError> {
    bearer(request).map_err(|_| unknown())
}

/// Whoever shows a wrong token learns nothing about nodes or tokens.
fn unknown() -> ApiError {
    ApiError::unauthenticated("Unknown or expired token")
}
