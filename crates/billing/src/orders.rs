//! What a reactor must know of an order beyond the event it saw: whose, how much, until when.

use async_trait::async_trait;
use minispod_domain::{ports::PortError, topup::is_verdict};
use minispod_events::TopUpEvent;
use minispod_kernel::{Rupiah, Timestamp};

/// One attempt of one top-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub topup_id: String,
    pub order_id: String,
    pub user_id: String,
    pub amount: Rupiah,
    pub expires_at: Timestamp,
    /// The customer does not want to pay it any more.
    pub withdrawn: bool,
    /// Events of the top-up so far. Part of the keys of what a status causes: the same status of the same state is a repeat.
    pub version: u64,
    /// Of them, the gateway's words: what an answer must not have been overtaken by.
    pub verdicts: u64,
}

impl Order {
    /// Folds the top-up's history; `None` when the order is not of this top-up.
    pub fn from_history<'a>(
        topup_id: &str,
        order_id: &str,
        history: impl IntoIterator<Item = &'a TopUpEvent>,
    ) -> Option<Self> {
        let mut owner = None;
        let mut expiry = None;
        let (mut version, mut verdicts, mut withdrawn) = (0, 0, false);
        for event in history {
            version += 1;
            verdicts += u64::from(is_verdict(event));
            match event {
                TopUpEvent::TopUpRequested { user_id, amount, order_id: first, expires_at, .. } => {
                    owner = Some((user_id.clone(), *amount));
                    if first == order_id {
                        expiry = Some(*expires_at);
                    }
                }
                TopUpEvent::TopUpAttemptStarted { order_id: later, expires_at, .. } if later == order_id => {
                    expiry = Some(*expires_at);
                }
                TopUpEvent::TopUpWithdrawn { order_id: ended, .. } => withdrawn |= ended == order_id,
                _ => {}
            }
        }
        let ((user_id, amount), expires_at) = (owner?, expiry?);
        Some(Self {
            topup_id: topup_id.to_owned(),
            order_id: order_id.to_owned(),
            user_id,
            amount,
            expires_at,
            withdrawn,
            version,
            verdicts,
        })
    }
}

/// Orders, read from the log (never from a read model: the effect may come first).
#[async_trait]
pub trait Orders: Send + Sync {
    /// `None` when the top-up has no such order.
    async fn find(&self, topup_id: &str, order_id: &str) -> Result<Option<Order>, PortError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_keeps_the_amount_and_has_its_own_expiry() {
        let at = Timestamp::from_unix_millis;
        let history = [
            TopUpEvent::TopUpRequested {
                user_id: "u".into(),
                amount: Rupiah::new(50_000),
                order_id: "TU-t.1".into(),
                expires_at: at(1_000),
                occurred_at: at(0),
            },
            TopUpEvent::TopUpExpired { order_id: "TU-t.1".into(), occurred_at: at(1_000) },
            TopUpEvent::TopUpAttemptStarted {
                attempt: 2,
                order_id: "TU-t.2".into(),
                expires_at: at(9_000),
                occurred_at: at(2_000),
            },
        ];
        let second = Order::from_history("t", "TU-t.2", &history).expect("attempt 2");
        assert_eq!((second.amount, second.expires_at, second.version), (Rupiah::new(50_000), at(9_000), 3));
        assert_eq!(Order::from_history("t", "TU-t.1", &history).expect("attempt 1").expires_at, at(1_000));
        assert_eq!(Order::from_history("t", "TU-other.1", &history), None);
    }
}
