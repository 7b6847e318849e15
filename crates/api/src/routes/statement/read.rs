//! `GET /billing/statement`: the caller's own statement, oldest line first; JSON or CSV.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::{caller::Caller, error::ApiError, state::AppState};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    super::of(&state, &request, &caller.user).await
}
