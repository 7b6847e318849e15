//! The hosts that customers brought, for administrators: whose one is, and taking it from a service.

pub mod read;
pub mod remove;

use actix_web::web::{ServiceConfig, delete, get, resource};
use minispod_domain::custom_domains::host;
use minispod_projections::custom_domains::{self, CustomDomainRow};

use crate::{error::ApiError, refusals::read_failed, state::AppState};

/// Paths under `/admin/domains`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/domains/{host}").route(get().to(read::handle)).route(delete().to(remove::handle)));
}

/// The host of the path as it is kept.
fn of_path(text: &str) -> Result<String, ApiError> {
    host::normalised(text).ok_or_else(|| ApiError::not_found("Domain"))
}

/// Every service that has the host or asks for it, oldest first; 404 when none does.
async fn existing(state: &AppState, host: &str) -> Result<Vec<CustomDomainRow>, ApiError> {
    let rows = custom_domains::of_host(state.pool(), host).await.map_err(read_failed)?;
    if rows.is_empty() { Err(ApiError::not_found("Domain")) } else { Ok(rows) }
}
