//! `GET /subscriptions/:id/logs/stream`: what one's own service prints, as it prints it.

use actix_web::{HttpRequest, HttpResponse, web};

use super::deployed;
use crate::{caller::Caller, error::ApiError, log_stream, state::AppState};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let instance = deployed(&state, &id, &caller).await?;
    log_stream::follow(&state, &caller, &instance, &request).await
}
