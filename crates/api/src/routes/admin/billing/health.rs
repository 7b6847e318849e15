//! `GET /admin/billing/health`: the administrators' billing routes answer, and to whom; bare, as it always was.

use actix_web::{HttpResponse, web};
use minispod_auth::Action;
use serde_json::json;

use crate::{caller::Caller, error::ApiError, routes::health::billing::healthy, state::AppState};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result<HttpResponse, ApiError> {
    caller.may(Action::ReadBilling)?;
    let user = &caller.user;
    let mut answer = healthy(&state, "Admin billing service is healthy");
    answer["adminUser"] = json!({ "id": user.id, "email": user.email, "role": user.role.as_str() });
    Ok(HttpResponse::Ok().json(answer))
}
