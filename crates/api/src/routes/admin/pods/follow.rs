//! `GET /admin/pods/:id/logs/stream`: what an instance's program prints, as it prints it.

use actix_web::{HttpRequest, HttpResponse, web};
use minispod_auth::Action;

use super::existing;
use crate::{caller::Caller, error::ApiError, log_stream, state::AppState};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.may(Action::ReadInstances)?;
    let owned = existing(&state, &id).await?;
    log_stream::follow(&state, &caller, &owned.instance.row, &request).await
}
