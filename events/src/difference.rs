//! Facts about where what is sold and what the cluster has differ.

use minispod_kernel::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::contract;

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// Somebody pays for what does not run.
    PaidNotRunning,
    /// Something runs that nobody pays for.
    RunningNotPaid,
    /// Data is kept that is nobody's.
    VolumeWithoutCustomer,
}

impl DifferenceKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::PaidNotRunning, Self::RunningNotPaid, Self::VolumeWithoutCustomer];

    /// `paid_not_running`, `running_not_paid` or `volume_without_customer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaidNotRunning => "paid_not_running",
            Self::RunningNotPaid => "running_not_paid",
            Self::VolumeWithoutCustomer => "volume_without_customer",
        }
    }

    /// The kind of a word; exact.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Facts about one difference; the aggregate id is derived from its kind and from the instance or else the object. It may
/// be found again after it was resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum DifferenceEvent {
    DifferenceFound {
        kind: DifferenceKind,
        /// The three that follow are `None` where no fact knows whose it is.
        instance_id: Option<String>,
        subscription_id: Option<String>,
        user_id: Option<String>,
        /// Kind and place in the cluster: `Deployment customer-x/n8n-y`; `None` where there is none.
        object: Option<String>,
        detail: String,
        /// Until then somebody or something is to put it right.
        deadline: Timestamp,
        occurred_at: Timestamp,
    },
    /// Nobody has put it right in time.
    DifferenceOverdue {
        kind: DifferenceKind,
        instance_id: Option<String>,
        subscription_id: Option<String>,
        user_id: Option<String>,
        object: Option<String>,
        detail: String,
        found_at: Timestamp,
        occurred_at: Timestamp,
    },
    /// It is not seen any more.
    DifferenceResolved { occurred_at: Timestamp },
}

contract!(DifferenceEvent, "compute", "difference", [DifferenceFound, DifferenceOverdue, DifferenceResolved]);
