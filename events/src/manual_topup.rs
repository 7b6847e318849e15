//! Facts about one manual top-up: a bank transfer with its proof, and what administrators made of it.

use minispod_kernel::{Rupiah, Sensitive, SensitiveSlot, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::contract;

/// The file that shows a transfer. It lies outside the log, under its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// SHA-256 of its bytes, lower-case hexadecimal.
    pub digest: String,
    /// By its own first bytes, not by what its sender called it: `image/jpeg`, `image/png`, `image/webp`, `application/pdf`.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}

/// Facts about one manual top-up; the aggregate id is its id. `place` is which of the customer's open requests it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum ManualTopUpEvent {
    ManualTopUpRequested {
        user_id: String,
        amount: Rupiah,
        place: u8,
        proof: Proof,
        occurred_at: Timestamp,
    },
    /// The first of two administrators that a large sum needs.
    ManualTopUpEndorsed {
        endorsed_by: String,
        occurred_at: Timestamp,
    },
    /// The money is there: credit once.
    ManualTopUpApproved {
        user_id: String,
        amount: Rupiah,
        place: u8,
        approved_by: String,
        occurred_at: Timestamp,
    },
    ManualTopUpRefused {
        user_id: String,
        place: u8,
        digest: String,
        refused_by: String,
        reason: Sensitive<String>,
        occurred_at: Timestamp,
    },
    /// By the customer, before anybody decided.
    ManualTopUpWithdrawn {
        user_id: String,
        place: u8,
        digest: String,
        occurred_at: Timestamp,
    },
}

contract!(
    ManualTopUpEvent,
    "billing",
    "manual_topup",
    [ManualTopUpRequested, ManualTopUpEndorsed, ManualTopUpApproved, ManualTopUpRefused, ManualTopUpWithdrawn],
    sensitive(this) {
        match this {
            Self::ManualTopUpRefused { user_id, reason, .. } => {
                vec![SensitiveSlot { field: "reason", person: Some(user_id.clone()), value: reason }]
            }
            _ => Vec::new(),
        }
    }
);
