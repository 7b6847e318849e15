//! The order of a top-up that can be paid now, read from the log: it must not lag behind the command before it.

use minispod_events::{Event, Fact, TopUpEvent};
use minispod_kernel::{Rupiah, Timestamp};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{error::ApiError, ports::NoPaymentPage, state::AppState};

/// A top-up and its current attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub topup_id: String,
    pub order_id: String,
    pub amount: Rupiah,
    pub expires_at: Timestamp,
    /// Events of the top-up so far.
    pub version: i64,
    /// The contract's word: `PENDING`, `PAID`, `EXPIRED`, `CANCELLED`, `FAILED`.
    pub status: &'static str,
}

impl Order {
    /// Of top-up `topup_id`.
    pub async fn load(state: &AppState, topup_id: &str) -> Result<Self, ApiError> {
        let history = state.store.log().history("topup", topup_id).await?;
        let (mut order, version) = (None, history.len() as i64);
        for recorded in history {
            let fact = Fact::read(recorded).map_err(ApiError::internal)?;
            if let Event::TopUp(event) = &fact.event {
                order = Self::after(order, topup_id, event);
            }
        }
        let order = order.map(|order: Self| Self { version, ..order });
        order.ok_or_else(|| ApiError::not_found("Top-up"))
    }

    fn after(order: Option<Self>, topup_id: &str, event: &TopUpEvent) -> Option<Self> {
        if let TopUpEvent::TopUpRequested { amount, order_id, expires_at, .. } = event {
            return Some(Self {
                topup_id: topup_id.to_owned(),
                order_id: order_id.clone(),
                amount: *amount,
                expires_at: *expires_at,
                version: 1,
                status: "PENDING",
            });
        }
        let mut order = order?;
        let current = |of: &String| *of == order.order_id && order.status == "PENDING";
        match event {
            TopUpEvent::TopUpAttemptStarted { order_id, expires_at, .. } => {
                order.order_id.clone_from(order_id);
                order.expires_at = *expires_at;
                order.status = "PENDING";
            }
            TopUpEvent::TopUpConfirmed { .. } => order.status = "PAID",
            TopUpEvent::TopUpDenied { order_id, .. } if current(order_id) => order.status = "FAILED",
            TopUpEvent::TopUpExpired { order_id, .. } if current(order_id) => order.status = "EXPIRED",
            TopUpEvent::TopUpCancelled { order_id, .. } | TopUpEvent::TopUpWithdrawn { order_id, .. }
                if current(order_id) =>
            {
                order.status = "CANCELLED";
            }
            _ => {}
        }
        Some(order)
    }

    /// The order with its payment page; an order that is over has none. On time-out 503, and the order is kept.
    pub async fn with_page(&self, state: &AppState) -> Result<Value, ApiError> {
        let page = if self.status == "PENDING" {
            let opening = state.payment_pages.open(&self.topup_id, &self.order_id);
            let opened = timeout(state.config.payment_page_deadline, opening).await;
            Some(opened.unwrap_or_else(|late| Err(self.no_page(late))).map_err(unavailable)?)
        } else {
            None
        };
        let mut order = self.without_page();
        order["snapToken"] = page.as_ref().map(|page| page.token.as_str()).into();
        order["redirectUrl"] = page.as_ref().map(|page| page.redirect_url.as_str()).into();
        Ok(order)
    }

    /// The order as it stands, and no way to pay it.
    pub fn without_page(&self) -> Value {
        json!({
            "transactionId": self.topup_id,
            "orderId": self.order_id,
            "amount": self.amount.to_string(),
            "currency": "IDR",
            "status": self.status,
            "snapToken": null,
            "redirectUrl": null,
            "expiresAt": self.expires_at.to_contract(),
        })
    }

    fn no_page(&self, source: tokio::time::error::Elapsed) -> NoPaymentPage {
        NoPaymentPage { order_id: self.order_id.clone(), source: Box::new(source) }
    }
}

fn unavailable(error: NoPaymentPage) -> ApiError {
    metrics::counter!("minispod_payment_pages_missed_total").increment(1);
    ApiError::unavailable(error)
        .with_message("The payment page is not available yet. Your top-up is kept, please try to pay it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(events: &[TopUpEvent]) -> Order {
        events.iter().fold(None, |order, event| Order::after(order, "t", event)).expect("an order")
    }

    fn requested() -> TopUpEvent {
        TopUpEvent::TopUpRequested {
            user_id: "u".into(),
            amount: Rupiah::new(50_000),
            order_id: "TU-t.1".into(),
            expires_at: Timestamp::from_unix_millis(1_000),
            occurred_at: Timestamp::from_unix_millis(0),
        }
    }

    #[test]
    fn a_new_attempt_is_the_current_order_and_old_news_do_not_touch_it() {
        let at = Timestamp::from_unix_millis(2_000);
        let order = fold(&[
            requested(),
            TopUpEvent::TopUpExpired { order_id: "TU-t.1".into(), occurred_at: at },
            TopUpEvent::TopUpAttemptStarted { attempt: 2, order_id: "TU-t.2".into(), expires_at: at, occurred_at: at },
            TopUpEvent::TopUpCancelled { order_id: "TU-t.1".into(), occurred_at: at },
        ]);
        assert_eq!((order.order_id.as_str(), order.status), ("TU-t.2", "PENDING"));
    }

    #[test]
    fn an_ended_attempt_is_over() {
        let at = Timestamp::from_unix_millis(2_000);
        let order = fold(&[requested(), TopUpEvent::TopUpDenied { order_id: "TU-t.1".into(), occurred_at: at }]);
        assert_eq!(order.status, "FAILED");
    }
}
