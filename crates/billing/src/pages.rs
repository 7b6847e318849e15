//! Where payment pages are kept: in the vault, under the top-up and its order id.

use std::sync::Arc;

use minispod_domain::ports::{PortError, Secrets};

use crate::gateway::PaymentPage;

/// Payment pages by order.
#[derive(Clone)]
pub struct PaymentPages {
    secrets: Arc<dyn Secrets>,
}

impl PaymentPages {
    pub fn new(secrets: Arc<dyn Secrets>) -> Self {
        Self { secrets }
    }

    /// The page of an order; `None` before the gateway gave one.
    pub async fn open_page(&self, topup_id: &str, order_id: &str) -> Result<Option<PaymentPage>, PortError> {
        let Some(kept) = self.secrets.find(&owner(topup_id), order_id).await? else { return Ok(None) };
        serde_json::from_slice(&kept).map(Some).map_err(|error| unreadable(order_id, error))
    }

    /// Keeps a page; an earlier one of the same order is dead at the gateway and goes.
    pub async fn keep(&self, topup_id: &str, order_id: &str, page: &PaymentPage) -> Result<(), PortError> {
        let value = serde_json::to_vec(page).map_err(|error| unreadable(order_id, error))?;
        self.secrets.replace(&owner(topup_id), order_id, &value).await
    }
}

fn owner(topup_id: &str) -> String {
    format!("topup/{topup_id}")
}

/// The cause may quote what it could not read, so only its kind and place are kept.
fn unreadable(order_id: &str, error: serde_json::Error) -> PortError {
    let cause = format!("{:?} error in line {} column {}", error.classify(), error.line(), error.column());
    PortError { what: format!("the payment page of {order_id}"), source: cause.into() }
}
