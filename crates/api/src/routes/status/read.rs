//! `GET /api/v1/status`: version, uptime, the cluster in use and every stand-in by name.

use actix_web::web;
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>) -> Result {
    let now = state.clock.now();
    let uptime = now.unix_millis().saturating_sub(state.started_at.unix_millis()).max(0) / 1000;
    let config = &state.config;
    let data = json!({
        "api": "online",
        "version": config.version,
        "environment": config.environment,
        "timestamp": now.to_contract(),
        "uptime": uptime,
        "cluster": config.cluster,
        "standIns": config.stand_ins,
        "features": {
            "kubernetes": config.cluster == "kubernetes",
            "background_jobs": true,
            "metrics": true,
        },
    });
    Ok(Answer::ok("API is online", data))
}
