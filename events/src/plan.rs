//! Facts about one plan of the catalogue: what it is, what it costs, who holds its slots.

use std::collections::BTreeMap;

use minispod_kernel::{Rupiah, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::contract;

/// How many subscriptions a plan may hold at once. JSON: a count, or −1 for unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Capacity(pub i64);

impl Capacity {
    /// No bound.
    pub const UNLIMITED: Self = Self(-1);

    /// Whether there is no bound.
    pub const fn is_unlimited(self) -> bool {
        self.0 < 0
    }

    /// Slots left after `used`; −1 when unlimited.
    pub const fn left(self, used: i64) -> i64 {
        if self.is_unlimited() {
            -1
        } else if self.0 > used {
            self.0 - used
        } else {
            0
        }
    }
}

/// Everything about a plan but price and capacity. Quantities are texts in the contract's form (`0.25`, `512Mi`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanDetails {
    /// The offering's slug (`n8n`); plans of one offering are its variants.
    pub offering: String,
    /// The variant's slug (`basic`); unique within the offering.
    pub variant: String,
    pub variant_display_name: String,
    pub display_name: String,
    pub description: String,
    pub version: String,
    /// Cores.
    pub cpu_request: String,
    pub cpu_limit: String,
    /// `Mi` or `Gi`.
    pub mem_request: String,
    pub mem_limit: String,
    pub docker_image: String,
    pub container_port: u16,
    pub environment: BTreeMap<String, String>,
    pub category: String,
    pub tags: Vec<String>,
    pub icon: String,
    pub features: Vec<String>,
    pub sort_order: u16,
    pub is_default_variant: bool,
    /// `None`: no volume.
    pub volume_size: Option<String>,
    pub volume_mount_path: Option<String>,
    pub volume_name: Option<String>,
    pub storage_class: String,
    pub access_mode: String,
    /// Whole percent off twelve months' price for the yearly cycle.
    pub yearly_discount_percent: u8,
}

/// Facts about one plan; the aggregate id is the plan id (the contract's service id).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum PlanEvent {
    PlanPublished {
        details: PlanDetails,
        monthly_price: Rupiah,
        capacity: Capacity,
        occurred_at: Timestamp,
    },
    /// `former_variant`: the variant's slug before, when this revision changed it.
    PlanRevised {
        details: PlanDetails,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        former_variant: Option<String>,
        occurred_at: Timestamp,
    },
    PlanPriceChanged {
        monthly_price: Rupiah,
        occurred_at: Timestamp,
    },
    PlanCapacityChanged {
        capacity: Capacity,
        occurred_at: Timestamp,
    },
    PlanRetired {
        occurred_at: Timestamp,
    },
    PlanReinstated {
        occurred_at: Timestamp,
    },
    /// Gone from the catalogue for good; nobody held a slot.
    PlanDeleted {
        offering: String,
        variant: String,
        reason: String,
        occurred_at: Timestamp,
    },
    PlanSlotAllocated {
        subscription_id: String,
        occurred_at: Timestamp,
    },
    PlanSlotReleased {
        subscription_id: String,
        occurred_at: Timestamp,
    },
}

contract!(
    PlanEvent,
    "catalog",
    "plan",
    [
        PlanPublished,
        PlanRevised,
        PlanPriceChanged,
        PlanCapacityChanged,
        PlanRetired,
        PlanReinstated,
        PlanDeleted,
        PlanSlotAllocated,
        PlanSlotReleased,
    ]
);
