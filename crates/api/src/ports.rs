//! What the api needs from the rooms around it, as traits that the binary fills.

use std::time::Duration;

use async_trait::async_trait;
use minispod_billing::{NotificationVerifier, Verification};
use minispod_domain::NotificationSays;
use minispod_kernel::InsSeq;
use minispod_runtime::Visibility;

use crate::error::FieldError;

/// Where a customer pays one order. Whoever has it can open the page, so it never shows in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PaymentPage {
    pub token: String,
    pub redirect_url: String,
}

impl std::fmt::Debug for PaymentPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PaymentPage(hidden)")
    }
}

/// The gateway gave no page in time. The order is kept; asking again is harmless.
#[derive(Debug, thiserror::Error)]
#[error("no payment page for {order_id}")]
pub struct NoPaymentPage {
    pub order_id: String,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Payment pages, made by the effect that the billing role would perform: whoever comes second finds the first's page.
#[async_trait]
pub trait PaymentPages: Send + Sync {
    /// The page of an order of a top-up.
    async fn open(&self, topup_id: &str, order_id: &str) -> Result<PaymentPage, NoPaymentPage>;
}

/// What the gate says of a payment notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Signed by the gateway.
    Signed { order_id: String, transaction_status: String, said: NotificationSays },
    /// Somebody else's, or altered.
    BadSignature,
    /// Not a notification.
    Malformed(Vec<FieldError>),
}

/// Whether a payment notification is the gateway's.
pub trait NotificationGate: Send + Sync {
    /// Judges the raw body.
    fn judge(&self, body: &[u8]) -> Verdict;
}

impl NotificationGate for NotificationVerifier {
    fn judge(&self, body: &[u8]) -> Verdict {
        match self.verify(body) {
            Verification::Verified(notification) => Verdict::Signed {
                said: self.says(&notification),
                order_id: notification.order_id,
                transaction_status: notification.transaction_status,
            },
            Verification::BadSignature => Verdict::BadSignature,
            Verification::Malformed(faults) => Verdict::Malformed(
                faults.into_iter().map(|fault| FieldError::new(fault.field, fault.problem)).collect(),
            ),
        }
    }
}

/// What offerings allow, by their names (`n8n`).
pub trait Offerings: Send + Sync {
    /// Which environment variables a customer may set.
    fn overrides(&self, offering: &str) -> Vec<String>;
    /// What its own database requests beside the program, CPU and memory in the cluster's quantities.
    fn beside(&self, offering: &str) -> Option<[String; 2]>;
    /// Whether it has an address on the Web; others are reached from inside only.
    fn speaks_http(&self, offering: &str) -> bool;
}

/// Something that must answer before this process is ready (`nats`).
#[async_trait]
pub trait Probe: Send + Sync {
    /// Its name in `/health/ready`.
    fn name(&self) -> &'static str;
    /// `Err` says why not, without addresses or secrets.
    async fn check(&self) -> Result<(), String>;
}

/// Waiting until read models show a write.
#[async_trait]
pub trait ReadModels: Send + Sync {
    /// Whether all of `projections` show everything up to `ins_seq`; bounded, false when they do not in time.
    async fn show(&self, projections: &[&str], ins_seq: InsSeq) -> bool;

    /// The same for at most `bound`, which the client named.
    async fn show_within(&self, projections: &[&str], ins_seq: InsSeq, bound: Duration) -> bool {
        tokio::time::timeout(bound, self.show(projections, ins_seq)).await.unwrap_or(false)
    }
}

#[async_trait]
impl ReadModels for Visibility {
    async fn show(&self, projections: &[&str], ins_seq: InsSeq) -> bool {
        self.wait(projections, ins_seq).await
    }

    async fn show_within(&self, projections: &[&str], ins_seq: InsSeq, bound: Duration) -> bool {
        self.wait_within(projections, ins_seq, bound).await
    }
}
