//! The small doors beside the api: `/metrics` of every role, and the names of the stand-ins in use.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use actix_web::{App, HttpResponse, HttpServer, dev::Server, web};
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{config::ClusterKind, config::Config, roles::RoleError};

const UPKEEP: Duration = Duration::from_secs(5);
/// How old the number of accounts may be: scrapes come often.
const COUNT_FRESHNESS: Duration = Duration::from_secs(30);
/// Longest wait for that number; the old one stays.
const COUNT_LIMIT: Duration = Duration::from_secs(1);

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

/// The number of accounts, counted when somebody looks, and not more often than it is worth.
struct Accounts {
    pool: PgPool,
    counted: Mutex<Option<Instant>>,
}

impl Accounts {
    async fn count(&self) {
        // Whoever comes while it is counted shows the number of before.
        let Ok(mut counted) = self.counted.try_lock() else { return };
        if counted.is_some_and(|at| at.elapsed() < COUNT_FRESHNESS) {
            return;
        }
        *counted = Some(Instant::now());
        let counts = minispod_projections::users::counts(&self.pool);
        if let Ok(Ok(counts)) = tokio::time::timeout(COUNT_LIMIT, counts).await {
            metrics::gauge!("active_users_total").set(counts.active as f64);
        }
    }
}

/// Serves `/metrics` and `/health` at `address` until told to stop. The process that shows accounts gives its `pool`.
pub fn metrics(
    address: &str,
    handle: PrometheusHandle,
    pool: Option<PgPool>,
    stop: CancellationToken,
) -> Result<Server, RoleError> {
    let listen = |source| RoleError::Listen { address: address.to_owned(), source };
    let upkeep = handle.clone();
    let ended = stop.clone();
    tokio::spawn(async move {
        while !minispod_runtime::shutdown::pause(UPKEEP, &ended).await {
            upkeep.run_upkeep();
        }
    });
    let accounts = web::Data::new(pool.map(|pool| Accounts { pool, counted: Mutex::new(None) }));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(accounts.clone())
            .app_data(web::Data::new(handle.clone()))
            .route("/health", web::get().to(|| async { HttpResponse::Ok().body("live") }))
            .route("/metrics", web::get().to(scraped))
    })
    .workers(1)
    .disable_signals()
    .shutdown_signal(async move { stop.cancelled().await })
    .bind(address)
    .map_err(listen)?;
    Ok(server.run())
}

async fn scraped(accounts: web::Data<Option<Accounts>>, handle: web::Data<PrometheusHandle>) -> HttpResponse {
    if let Some(accounts) = accounts.get_ref() {
        accounts.count().await;
    }
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(handle.render())
}
