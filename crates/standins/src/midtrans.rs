//! A Midtrans stand-in: Snap pages, order status, cancel, expire, refund, signed notifications, and faults on demand.
//!
//! The gateway's own paths are `/snap/v1`, `/snap/v3` and `/v2`; tests and the demo steer it under `/standin`.

mod answers;
mod control;
mod faults;
mod gateway;
mod notifier;
mod orders;
mod page;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::web;
use minispod_kernel::{Clock, IdSource};
use sha2::{Digest, Sha512};

use self::{faults::Faults, notifier::Notifier, orders::Orders};
use crate::server::{Served, StandInError, serve};

/// How the stand-in behaves.
#[derive(Clone)]
pub struct MidtransOptions {
    /// The Basic user it accepts and the salt of its signatures.
    pub server_key: String,
    pub merchant_id: String,
    /// Where notifications go; an order may override it by `X-Override-Notification`.
    pub notification_url: Option<String>,
    /// Pauses between the tries of one notification: the real ones, shortened.
    pub notification_pauses: Vec<Duration>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
}

impl MidtransOptions {
    pub fn new(server_key: impl Into<String>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        Self {
            server_key: server_key.into(),
            merchant_id: "G900000001".to_owned(),
            notification_url: None,
            notification_pauses: [200, 1_000, 3_000, 9_000, 21_000].map(Duration::from_millis).to_vec(),
            clock,
            ids,
        }
    }
}

/// A running stand-in.
#[derive(Debug)]
pub struct MidtransStandIn {
    /// `http://127.0.0.1:<port>`: the base of both APIs, without a trailing slash.
    pub url: String,
    served: Served,
    notifier: Notifier,
}

impl MidtransStandIn {
    /// Stops answering and forgets notifications that wait for another try.
    pub async fn shutdown(self) {
        self.notifier.stop().await;
        self.served.stop().await;
    }
}

/// Starts answering at `address` (loopback; port 0 takes a free one). Must be called inside a Tokio runtime.
pub fn start(address: SocketAddr, options: MidtransOptions) -> Result<MidtransStandIn, StandInError> {
    let notifier = Notifier::new(options.notification_pauses.clone())?;
    let state = web::Data::new(State {
        orders: Mutex::new(Orders::default()),
        faults: Mutex::new(Faults::default()),
        notifier: notifier.clone(),
        options,
    });
    let served = serve(address, "midtrans", move |config| {
        config.app_data(state.clone()).configure(control::routes).configure(page::routes).configure(gateway::routes);
    })?;
    Ok(MidtransStandIn { url: format!("http://{}", served.address), served, notifier })
}

/// A notification's signature: SHA-512 over the plain concatenation, lower-case hex.
pub fn signature(order_id: &str, status_code: &str, gross_amount: &str, server_key: &str) -> String {
    hex::encode(Sha512::digest(format!("{order_id}{status_code}{gross_amount}{server_key}")))
}

/// Shared by all handlers.
struct State {
    orders: Mutex<Orders>,
    faults: Mutex<Faults>,
    notifier: Notifier,
    options: MidtransOptions,
}

impl State {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A random id in the form of a UUID.
    fn uuid(&self) -> String {
        let mut bytes = [0_u8; 16];
        self.options.ids.random(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// Sends what the order's state says now, the way the faults want notifications to be.
    fn notify(&self, order_id: &str) {
        let plan = self.faults().notifications.clone();
        if plan.silent {
            return;
        }
        let message = {
            let orders = self.orders();
            let Some(order) = orders.find(order_id) else { return };
            let Some(url) = order.notification_url.clone().or_else(|| self.options.notification_url.clone()) else {
                return;
            };
            answers::notification(order, &self.options).map(|body| (url, body))
        };
        if let Some((url, mut body)) = message {
            if plan.forged {
                answers::forge(&mut body);
            }
            self.notifier.send(&url, &body, plan.times.unwrap_or(1), Duration::from_millis(plan.delay_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_signature_matches_its_published_vector() {
        let signature = super::signature("1111", "200", "100000.00", "askvnoibnosifnboseofinbofinfgbiufglnbfg");
        assert!(signature.starts_with("edc076b21793ebe3e17926350f5b8ae67d902fe657b3d0aa31b932d5c127e237"));
    }
}
