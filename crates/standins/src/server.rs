//! Serving a stand-in over HTTP: loopback only, one worker, named in every answer.

use std::net::{SocketAddr, TcpListener};

use actix_web::{
    App, HttpServer,
    dev::ServerHandle,
    middleware::DefaultHeaders,
    web::{JsonConfig, PayloadConfig, ServiceConfig},
};

/// The header of every answer; its value names the stand-in.
pub const STAND_IN_HEADER: &str = "Minispod-Stand-In";
/// Longest body a stand-in reads.
const BODY_MAX_BYTES: usize = 1024 * 1024;
/// How long a stop waits for answers under way.
const STOP_SECONDS: u64 = 2;

/// Why a stand-in does not start.
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    #[error("a stand-in listens on loopback only, not on {address}")]
    NotLoopback { address: SocketAddr },
    #[error("the stand-in cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the stand-in's HTTP client could not be built")]
    Client {
        #[source]
        source: reqwest::Error,
    },
}

/// A running HTTP server.
#[derive(Debug)]
pub(crate) struct Served {
    pub address: SocketAddr,
    handle: ServerHandle,
}

impl Served {
    /// Answers no more.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}

/// Binds and answers in the background; port 0 takes a free one. Must be called inside a Tokio runtime.
pub(crate) fn serve(
    address: SocketAddr,
    name: &'static str,
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> Result<Served, StandInError> {
    let failed = |source| StandInError::Listen { address, source };
    let listener = TcpListener::bind(loopback(address)?).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let server = HttpServer::new(move || {
        App::new()
            .wrap(DefaultHeaders::new().add((STAND_IN_HEADER, name)))
            .app_data(PayloadConfig::new(BODY_MAX_BYTES))
            .app_data(JsonConfig::default().limit(BODY_MAX_BYTES).content_type_required(false))
            .configure(routes.clone())
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(STOP_SECONDS)
    .listen(listener)
    .map_err(failed)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    tracing::warn!(stand_in = name, %address, "STAND-IN: this is not the real service");
    Ok(Served { address, handle })
}

/// Refuses an address that other machines could reach.
pub(crate) fn loopback(address: SocketAddr) -> Result<SocketAddr, StandInError> {
    if address.ip().is_loopback() { Ok(address) } else { Err(StandInError::NotLoopback { address }) }
}
