//! `GET /billing/health`: the billing routes answer; bare, as it always was.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::state::AppState;

pub async fn handle(state: web::Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().json(healthy(&state, "Billing service is healthy"))
}

/// `{success, message, timestamp, version}`.
pub fn healthy(state: &AppState, message: &str) -> Value {
    json!({
        "success": true,
        "message": message,
        "timestamp": state.clock.now().to_contract(),
        "version": state.config.version,
    })
}
