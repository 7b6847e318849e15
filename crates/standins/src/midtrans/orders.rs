//! The orders the stand-in knows, their payments and refunds; bounded, in memory.

use std::collections::{BTreeMap, VecDeque};

use minispod_kernel::Timestamp;
use serde_json::Value;

/// The oldest orders go beyond this.
const ORDERS_MAX: usize = 10_000;

/// One order.
#[derive(Debug, Clone)]
pub struct Order {
    pub order_id: String,
    /// Whole rupiah.
    pub gross_amount: i64,
    /// The page that works; earlier ones are dead.
    pub token: String,
    pub expires_at: Timestamp,
    pub finish_url: Option<String>,
    pub notification_url: Option<String>,
    /// `None` until the customer picked a way to pay: the status then is "not found".
    pub payment: Option<Payment>,
}

/// A chosen way to pay and what became of it.
#[derive(Debug, Clone)]
pub struct Payment {
    pub transaction_id: String,
    /// `qris`, `bank_transfer`, `permata`, `echannel`, `cstore`, `credit_card`, `gopay` …
    pub payment_type: String,
    /// `pending`, `settlement`, `capture`, `deny`, `cancel`, `expire`, `refund`, `partial_refund` …
    pub status: String,
    pub fraud_status: Option<String>,
    pub started_at: Timestamp,
    pub settled_at: Option<Timestamp>,
    pub refunds: Vec<Refund>,
}

/// Money given back.
#[derive(Debug, Clone)]
pub struct Refund {
    pub key: String,
    pub uuid: String,
    pub amount: i64,
    pub reason: String,
    pub created_at: Timestamp,
    pub bank_confirmed_at: Option<Timestamp>,
}

impl Payment {
    pub fn refunded(&self) -> i64 {
        self.refunds.iter().map(|refund| refund.amount).sum()
    }
}

impl Order {
    /// Whether Snap may give another page for it.
    pub fn is_open(&self) -> bool {
        self.payment.as_ref().is_none_or(|payment| matches!(payment.status.as_str(), "pending" | "deny"))
    }

    /// A pending payment that outlived its order expires by itself.
    pub fn grow_old(&mut self, now: Timestamp) {
        if now >= self.expires_at
            && let Some(payment) = self.payment.as_mut().filter(|payment| payment.status == "pending")
        {
            "expire".clone_into(&mut payment.status);
        }
    }
}

/// All orders.
#[derive(Debug, Default)]
pub struct Orders {
    by_id: BTreeMap<String, Order>,
    ages: VecDeque<String>,
    /// Answers to GET status that a test has written, also for orders nobody made.
    pub scripted: BTreeMap<String, Value>,
}

impl Orders {
    pub fn find(&self, order_id: &str) -> Option<&Order> {
        self.by_id.get(order_id)
    }

    pub fn find_mut(&mut self, order_id: &str) -> Option<&mut Order> {
        self.by_id.get_mut(order_id)
    }

    pub fn find_by_token(&self, token: &str) -> Option<&Order> {
        self.by_id.values().find(|order| order.token == token)
    }

    /// By order id, or by transaction id as the gateway also takes it.
    pub fn resolve(&self, id: &str) -> Option<String> {
        if self.by_id.contains_key(id) {
            return Some(id.to_owned());
        }
        let by_transaction = |order: &&Order| order.payment.as_ref().is_some_and(|paid| paid.transaction_id == id);
        self.by_id.values().find(by_transaction).map(|order| order.order_id.clone())
    }

    pub fn put(&mut self, order: Order) {
        let id = order.order_id.clone();
        if self.by_id.insert(id.clone(), order).is_none() {
            self.ages.push_back(id);
        }
        while self.ages.len() > ORDERS_MAX {
            if let Some(oldest) = self.ages.pop_front() {
                self.by_id.remove(&oldest);
                self.scripted.remove(&oldest);
            }
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &Order> {
        self.by_id.values()
    }
}
