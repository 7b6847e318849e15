//! `GET /health`: the process answers; says nothing of what it depends on.

use actix_web::web;
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>) -> Result {
    let data = json!({
        "status": "healthy",
        "timestamp": state.clock.now().to_contract(),
        "version": state.config.version,
        "environment": state.config.environment,
    });
    Ok(Answer::ok("Service is healthy", data))
}
