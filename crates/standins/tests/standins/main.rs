//! The stand-ins through their doors: our gateway client and our mailer on the other side.

mod conversation;
mod gateway_client;
mod mails;
mod notifications;
mod refunds;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use minispod_kernel::{Clock, IdSource, SystemClock, SystemIds};

/// Longest wait for what is to come about.
const PATIENCE: Duration = Duration::from_secs(10);

/// A free port on this machine.
fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn ids() -> Arc<dyn IdSource> {
    Arc::new(SystemIds::new(clock()))
}

/// A client for the steering paths.
fn http() -> reqwest::Client {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    reqwest::Client::builder().timeout(PATIENCE).build().expect("a client")
}
