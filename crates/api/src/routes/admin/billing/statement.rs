//! `GET /admin/billing/users/:userId/statement`: one account's statement, as its owner sees it.

use actix_web::{HttpRequest, HttpResponse, web};
use minispod_auth::Action;

use super::person;
use crate::{caller::Caller, error::ApiError, routes::statement, state::AppState};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
    user_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    caller.may(Action::ReadBilling)?;
    let user = person(&state, &user_id).await?;
    statement::of(&state, &request, &user).await
}
