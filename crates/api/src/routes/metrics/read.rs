//! `GET /metrics`: Prometheus text of everything this process counts.

use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};

use crate::{caller::bearer, error::ApiError, state::AppState};

pub async fn handle(state: web::Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if let Some(token) = &state.config.metrics_token {
        let given = bearer(&request)?;
        // Digests are compared, so that the time it takes says nothing of the token.
        if Sha256::digest(given.as_bytes()) != Sha256::digest(token.as_bytes()) {
            return Err(ApiError::unauthenticated("Invalid token"));
        }
    }
    // Asked when scraped, so that no task counts while nobody looks; a read model that does not answer keeps the old value.
    if let Ok(counts) = minispod_projections::users::counts(state.pool()).await {
        metrics::gauge!("active_users_total").set(counts.active as f64);
    }
    let text = state.metrics.render();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}
