//! What billing asks of a payment gateway: a payment page for an order, and the gateway's own word about it.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use minispod_domain::GatewayStatus;
use minispod_kernel::Rupiah;
use serde::{Deserialize, Serialize};

/// Longest order id a gateway takes.
pub const ORDER_ID_MAX: usize = 50;

/// An order that wants a payment page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    pub order_id: String,
    pub amount: Rupiah,
    /// `None` once the person is forgotten.
    pub customer: Option<Customer>,
    /// How long the page may be paid, from now.
    pub lifetime: Duration,
}

/// The payer, as the gateway's receipts address them.
#[derive(Clone, PartialEq, Eq)]
pub struct Customer {
    pub name: String,
    pub email: String,
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Customer(..)")
    }
}

/// Where the customer pays. Whoever has it can open the page, so it lives in the vault.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentPage {
    pub token: String,
    pub redirect_url: String,
}

impl fmt::Debug for PaymentPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PaymentPage(..)")
    }
}

/// Money of a paid order that is to go back by the way it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundRequest {
    pub order_id: String,
    /// The same at every try: the gateway gives back once for each.
    pub refund_key: String,
    pub amount: Rupiah,
}

/// What the gateway makes of a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundAnswer {
    /// Taken; the bank confirms it later.
    Accepted,
    /// This key was taken before.
    Known,
    /// Not given back.
    Denied { reason: String },
}

/// What the gateway says of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusAnswer {
    /// The customer has not chosen a way to pay yet; never "failed".
    NotStarted,
    Known(Box<GatewayStatus>),
    /// An answer that breaks the gateway's own form; a person must look.
    Unreadable {
        reason: String,
    },
}

/// Why the gateway did not do it. Texts never hold keys, tokens or personal data.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("{order_id:?} is not an order id a gateway takes")]
    BadOrderId { order_id: String },
    #[error("the gateway did not answer {operation}")]
    Unreachable {
        operation: &'static str,
        #[source]
        source: reqwest::Error,
    },
    #[error("the gateway did not answer {operation} in time")]
    TimedOut { operation: &'static str },
    #[error("the gateway is out of order ({operation} answered {status})")]
    OutOfOrder { operation: &'static str, status: u16 },
    #[error("the gateway asks for fewer requests ({operation})")]
    TooMany { operation: &'static str, after: Option<Duration> },
    #[error("the gateway has failed often; the next try is in {} s", .after.as_secs())]
    Resting { after: Duration },
    #[error("the gateway does not know our key ({operation} answered {status})")]
    KeyRefused { operation: &'static str, status: u16 },
    #[error("the gateway has this order id already")]
    OrderTaken,
    #[error("the gateway refused {operation} ({status}): {reason}")]
    Refused { operation: &'static str, status: u16, reason: String },
    #[error("the gateway's answer to {operation} makes no sense: {reason}")]
    Garbled { operation: &'static str, reason: String },
    #[error("the client could not be built")]
    Client {
        #[source]
        source: reqwest::Error,
    },
}

impl GatewayError {
    /// Whether the same request may work later. A refused key counts: an operator can mend the configuration.
    pub const fn is_passing(&self) -> bool {
        !matches!(self, Self::BadOrderId { .. } | Self::OrderTaken | Self::Refused { .. } | Self::Client { .. })
    }
}

/// A payment gateway. Repeating a call with the same order id is harmless.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// A payment page for the order. While the order is unpaid a second call replaces the first page.
    async fn create_page(&self, request: &PageRequest) -> Result<PaymentPage, GatewayError>;
    /// The gateway's own word.
    async fn status(&self, order_id: &str) -> Result<StatusAnswer, GatewayError>;
    /// Ends an order that is not paid: its transaction where there is one, else its payment page. Refused when its state
    /// does not allow it; then the status says what became of it.
    async fn withdraw(&self, order_id: &str, page_token: Option<&str>) -> Result<StatusAnswer, GatewayError>;
    /// Gives money of a paid order back.
    async fn refund(&self, request: &RefundRequest) -> Result<RefundAnswer, GatewayError>;
}

/// Refuses an order id that could not be a path segment or that the gateway would decline.
pub(crate) fn checked_order_id(order_id: &str) -> Result<&str, GatewayError> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'.');
    // A segment of dots only would walk up the path.
    let walks = order_id.bytes().all(|byte| byte == b'.');
    if order_id.len() <= ORDER_ID_MAX && !walks && order_id.bytes().all(safe) {
        Ok(order_id)
    } else {
        Err(GatewayError::BadOrderId { order_id: order_id.chars().take(ORDER_ID_MAX).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_order_ids_reach_a_url() {
        assert!(checked_order_id("TU-c0123456789abcdefghijklmn.12").is_ok());
        for bad in ["", "..", "a/b", "a b", "a?b", "a%2e", &"a".repeat(51)] {
            assert!(checked_order_id(bad).is_err(), "{bad:?}");
        }
    }
}
