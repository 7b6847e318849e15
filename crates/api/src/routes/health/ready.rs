//! `GET /health/ready`: whether this process can serve, part by part.

use std::{collections::BTreeMap, time::Duration};

use actix_web::{http::StatusCode, web};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    answer::{Answer, Result},
    state::AppState,
};

/// Longest wait for one part.
const DEADLINE: Duration = Duration::from_secs(2);
/// Events a read model may be behind.
const LAG_MAX: i64 = 10_000;

pub async fn handle(state: web::Data<AppState>) -> Result {
    let mut checks = BTreeMap::from([("postgres".to_owned(), postgres(&state).await)]);
    for (name, check) in projections(&state).await {
        checks.insert(name, check);
    }
    for probe in &state.probes {
        let check = timeout(DEADLINE, probe.check()).await;
        checks.insert(probe.name().to_owned(), part(check.unwrap_or_else(|_| Err("no answer in time".to_owned()))));
    }
    if state.shutdown.is_cancelled() {
        checks.insert("process".to_owned(), part(Err("shutting down".to_owned())));
    }
    let ready = checks.values().all(|check| check["ok"] == true);
    let (status, word, message) = if ready {
        (StatusCode::OK, "ready", "Service is ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready", "Service is not ready")
    };
    Ok(Answer::ok(message, json!({ "status": word, "checks": checks })).with_status(status))
}

async fn postgres(state: &AppState) -> Value {
    let asked = timeout(DEADLINE, state.store.log().head()).await;
    match asked {
        Ok(Ok(_)) => part(Ok(())),
        Ok(Err(error)) => {
            tracing::warn!(%error, "postgres is not ready");
            part(Err("not reachable".to_owned()))
        }
        Err(_) => part(Err("no answer in time".to_owned())),
    }
}

/// How far each read model is behind the log. One without a checkpoint has not begun: its tables are not there yet.
async fn projections(state: &AppState) -> Vec<(String, Value)> {
    let names = minispod_projections::all().into_iter().map(|projection| projection.name());
    let asked = timeout(DEADLINE, async {
        let head = state.store.log().head().await?;
        Ok::<_, minispod_store::StoreError>((head, state.store.checkpoints().all().await?))
    });
    let Ok(Ok((head, checkpoints))) = asked.await else {
        return names.map(|name| (format!("projection {name}"), part(Err("unknown".to_owned())))).collect();
    };
    names
        .map(|name| {
            let check = checkpoints.iter().find(|checkpoint| checkpoint.name == name).map_or_else(
                || part(Err("has not begun".to_owned())),
                |at| {
                    let lag = head.position.0 - at.position.0;
                    json!({ "ok": lag <= LAG_MAX, "behind": lag })
                },
            );
            (format!("projection {name}"), check)
        })
        .collect()
}

fn part(result: std::result::Result<(), String>) -> Value {
    match result {
        Ok(()) => json!({ "ok": true }),
        Err(detail) => json!({ "ok": false, "detail": detail }),
    }
}
