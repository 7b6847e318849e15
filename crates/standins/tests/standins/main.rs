//! The stand-ins through their doors: our gateway client and our mailer on the other side.

mod conversation;
mod gateway_client;
mod mails;
mod notifications;
mod refunds;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use minispod_kernel::{Clock, IdSource, SystemClock, SystemIds};

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

/// Looks again and again until it is so, at most ten seconds.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let found = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what} did not come about"))
}

/// A client for the steering paths.
fn http() -> reqwest::Client {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client")
}
