//! `GET /openapi.json`: what every route takes and gives.

use actix_web::{HttpResponse, web};

use crate::{openapi, state::AppState};

pub async fn handle(state: web::Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().json(openapi::document(&state.config.version))
}
