//! Sends notifications in the background and tries again by the gateway's rules, with shortened pauses.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::server::StandInError;

/// Deliveries that are remembered.
const LOG_MAX: usize = 1_000;
/// Copies of one notification at most.
const TIMES_MAX: u32 = 100;
const TIMEOUT: Duration = Duration::from_secs(15);

/// One try to deliver.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    pub order_id: String,
    pub transaction_status: String,
    /// `None`: no answer.
    pub http_status: Option<u16>,
}

/// The sender of notifications.
#[derive(Debug, Clone)]
pub struct Notifier {
    http: reqwest::Client,
    pauses: Arc<Vec<Duration>>,
    log: Arc<Mutex<VecDeque<Delivery>>>,
    runtime: Handle,
    tasks: TaskTracker,
    stopped: CancellationToken,
}

impl Notifier {
    pub fn new(pauses: Vec<Duration>) -> Result<Self, StandInError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Losing a race against another caller is fine: it installed the same provider.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("minispod-stand-in/midtrans")
            .build()
            .map_err(|source| StandInError::Client { source })?;
        Ok(Self {
            http,
            pauses: Arc::new(pauses),
            log: Arc::default(),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stopped: CancellationToken::new(),
        })
    }

    /// Sends `times` copies side by side after `delay`; each is tried again on its own.
    pub fn send(&self, url: &str, body: &Value, times: u32, delay: Duration) {
        for _ in 0..times.min(TIMES_MAX) {
            let (this, url, body) = (self.clone(), url.to_owned(), body.clone());
            let deliver = async move {
                tokio::select! {
                    () = this.stopped.cancelled() => {}
                    () = this.deliver(&url, &body, delay) => {}
                }
            };
            self.tasks.spawn_on(deliver, &self.runtime);
        }
    }

    /// The last deliveries, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Gives up what is still under way.
    pub async fn stop(&self) {
        self.stopped.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn deliver(&self, url: &str, body: &Value, delay: Duration) {
        tokio::time::sleep(delay).await;
        let mut tries = 0;
        loop {
            let status = self.http.post(url).json(body).send().await.ok().map(|response| response.status().as_u16());
            self.remember(body, status);
            let pause = self.pauses.get(tries).copied().filter(|_| tries < retries_after(status));
            tries += 1;
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return,
            }
        }
    }

    fn remember(&self, body: &Value, http_status: Option<u16>) {
        let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let delivery =
            Delivery { order_id: text("order_id"), transaction_status: text("transaction_status"), http_status };
        tracing::info!(stand_in = "midtrans", ?delivery, "notification sent");
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.push_back(delivery);
        while log.len() > LOG_MAX {
            log.pop_front();
        }
    }
}

/// How often the gateway tries again after such an answer.
fn retries_after(status: Option<u16>) -> usize {
    match status {
        Some(200..=399) => 0,
        Some(400 | 404) => 2,
        Some(500) => 1,
        Some(503) => 4,
        _ => 5,
    }
}
