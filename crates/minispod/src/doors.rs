//! The small doors beside the api: `/metrics` of the other roles, and the names of the stand-ins in use.

use std::{collections::BTreeMap, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, dev::Server, web};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::{config::ClusterKind, config::Config, roles::RoleError};

const UPKEEP: Duration = Duration::from_secs(5);

/// Stand-ins in use: name → control address (empty when it has none).
#[derive(Debug, Clone, Default)]
pub struct StandIns {
    pub by_name: BTreeMap<String, String>,
}

impl StandIns {
    /// As the configuration says.
    pub fn of(config: &Config) -> Self {
        let mut by_name = BTreeMap::new();
        if !config.midtrans.standin_url.is_empty() {
            by_name.insert("midtrans".to_owned(), config.midtrans.standin_url.clone());
        }
        if config.cluster.kind == ClusterKind::Simulated {
            by_name.insert("cluster".to_owned(), String::new());
        }
        Self { by_name }
    }
}

/// Serves `/metrics` and `/health` at `address` until told to stop.
pub fn metrics(address: &str, handle: PrometheusHandle, stop: CancellationToken) -> Result<Server, RoleError> {
    let listen = |source| RoleError::Listen { address: address.to_owned(), source };
    let upkeep = handle.clone();
    let ended = stop.clone();
    tokio::spawn(async move {
        while !minispod_runtime::shutdown::pause(UPKEEP, &ended).await {
            upkeep.run_upkeep();
        }
    });
    let server = HttpServer::new(move || {
        let handle = handle.clone();
        App::new().route("/health", web::get().to(|| async { HttpResponse::Ok().body("live") })).route(
            "/metrics",
            web::get().to(move || {
                let text = handle.render();
                async move { HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text) }
            }),
        )
    })
    .workers(1)
    .disable_signals()
    .shutdown_signal(async move { stop.cancelled().await })
    .bind(address)
    .map_err(listen)?;
    Ok(server.run())
}
