//! Facts about one customer's subscription: the process from request to service, money and end.

use std::collections::BTreeMap;

use minispod_kernel::{Rupiah, Sensitive, SensitiveSlot, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::contract;

/// How often it is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BillingCycle {
    #[default]
    Monthly,
    Yearly,
}

/// One paid stretch of time. `number` counts from 1 over the subscription's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    pub number: u32,
    pub start: Timestamp,
    pub end: Timestamp,
}

/// The plan as it was sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanSnapshot {
    pub plan_id: String,
    pub offering: String,
    pub variant: String,
    pub display_name: String,
    /// Price of one period of the chosen cycle.
    pub price: Rupiah,
    pub docker_image: String,
    pub container_port: u16,
    pub environment: BTreeMap<String, String>,
    pub cpu_request: String,
    pub cpu_limit: String,
    pub mem_request: String,
    pub mem_limit: String,
    pub volume_size: Option<String>,
    pub volume_mount_path: Option<String>,
    pub storage_class: String,
    pub access_mode: String,
}

/// Why a subscription ended or never began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum CancelReason {
    /// The customer's wish; the text is the customer's and may name people.
    Customer {
        text: Sensitive<String>,
    },
    /// The text may speak about the customer.
    Administrator {
        text: Sensitive<String>,
    },
    SoldOut,
    InsufficientBalance,
    /// A first step was refused for another cause; `code` is the refusal's.
    Refused {
        code: String,
    },
    ProvisioningFailed {
        detail: String,
    },
}

/// Why a subscription ran out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum ExpiryCause {
    /// The text may speak about the customer.
    Administrator { text: Sensitive<String> },
}

/// Facts about one subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum SubscriptionEvent {
    SubscriptionRequested {
        user_id: String,
        instance_id: String,
        plan: PlanSnapshot,
        cycle: BillingCycle,
        /// Unique over the fleet, a DNS label.
        subdomain: String,
        /// Names of the environment variables that the customer set, sorted. Their values may be passwords, so they
        /// are in the vault (`instance/<instance id>`), never here.
        overrides: Vec<String>,
        auto_renew: bool,
        occurred_at: Timestamp,
    },
    SubscriptionSlotHeld {
        user_id: String,
        price: Rupiah,
        occurred_at: Timestamp,
    },
    /// Period 1 is paid; period bounds are set on activation.
    SubscriptionCharged {
        user_id: String,
        display_name: String,
        amount: Rupiah,
        period: Period,
        occurred_at: Timestamp,
    },
    /// Must be ready by `deadline`.
    SubscriptionProvisioningStarted {
        user_id: String,
        instance_id: String,
        plan: PlanSnapshot,
        subdomain: String,
        overrides: Vec<String>,
        deadline: Timestamp,
        occurred_at: Timestamp,
    },
    /// The service answers; the period runs from here. `anchor_day` is the Jakarta day of the month.
    SubscriptionActivated {
        user_id: String,
        display_name: String,
        period: Period,
        anchor_day: u8,
        external_url: String,
        occurred_at: Timestamp,
    },
    SubscriptionProvisioningFailed {
        user_id: String,
        instance_id: String,
        detail: String,
        refund: Rupiah,
        occurred_at: Timestamp,
    },
    SubscriptionRefunded {
        user_id: String,
        display_name: String,
        amount: Rupiah,
        period: u32,
        occurred_at: Timestamp,
    },
    /// A renewal was asked for; the charge follows.
    SubscriptionRenewalStarted {
        user_id: String,
        period: Period,
        amount: Rupiah,
        occurred_at: Timestamp,
    },
    SubscriptionRenewed {
        user_id: String,
        display_name: String,
        period: Period,
        amount: Rupiah,
        occurred_at: Timestamp,
    },
    SubscriptionRenewalFailed {
        user_id: String,
        period: u32,
        code: String,
        occurred_at: Timestamp,
    },
    SubscriptionCancellationScheduled {
        at: Timestamp,
        occurred_at: Timestamp,
    },
    /// Final. `held_slot`: a slot of `plan_id` is to be given back. `refunded`: what the wallet gets back.
    SubscriptionCancelled {
        user_id: String,
        instance_id: String,
        plan_id: String,
        offering: String,
        subdomain: String,
        display_name: String,
        held_slot: bool,
        #[serde(default)]
        refunded: Rupiah,
        reason: CancelReason,
        occurred_at: Timestamp,
    },
    /// An administrator stops it: it must not run, and its slot of `plan_id` is to be given back.
    SubscriptionSuspended {
        user_id: String,
        instance_id: String,
        plan_id: String,
        display_name: String,
        reason: Sensitive<String>,
        occurred_at: Timestamp,
    },
    /// It shall run again once `plan_id` has a slot for it; `extension_days` are added to its period then.
    SubscriptionResumeStarted {
        user_id: String,
        plan_id: String,
        extension_days: u16,
        reason: Sensitive<String>,
        occurred_at: Timestamp,
    },
    SubscriptionResumed {
        user_id: String,
        instance_id: String,
        display_name: String,
        occurred_at: Timestamp,
    },
    /// It stays as it was; `code` is the refusal's.
    SubscriptionResumeFailed {
        user_id: String,
        code: String,
        occurred_at: Timestamp,
    },
    /// `days` without payment; `period` has its new end. No reason: that of the resuming it came with.
    SubscriptionExtended {
        user_id: String,
        display_name: String,
        days: u16,
        period: Period,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sensitive<String>>,
        occurred_at: Timestamp,
    },
    /// It must not run any more, the data stays. `held_slot`: a slot of `plan_id` is to be given back.
    SubscriptionExpired {
        user_id: String,
        instance_id: String,
        plan_id: String,
        display_name: String,
        held_slot: bool,
        cause: ExpiryCause,
        occurred_at: Timestamp,
    },
    SubscriptionAutoRenewChanged {
        user_id: String,
        auto_renew: bool,
        occurred_at: Timestamp,
    },
    /// The customer's variables are these from now on, by name, sorted; their values are in the vault.
    SubscriptionSettingsChanged {
        user_id: String,
        instance_id: String,
        overrides: Vec<String>,
        occurred_at: Timestamp,
    },
}

contract!(
    SubscriptionEvent,
    "subscription",
    "subscription",
    [
        SubscriptionRequested,
        SubscriptionSlotHeld,
        SubscriptionCharged,
        SubscriptionProvisioningStarted,
        SubscriptionActivated,
        SubscriptionProvisioningFailed,
        SubscriptionRefunded,
        SubscriptionRenewalStarted,
        SubscriptionRenewed,
        SubscriptionRenewalFailed,
        SubscriptionCancellationScheduled,
        SubscriptionCancelled,
        SubscriptionSuspended,
        SubscriptionResumeStarted,
        SubscriptionResumed,
        SubscriptionResumeFailed,
        SubscriptionExtended,
        SubscriptionExpired,
        SubscriptionAutoRenewChanged,
        SubscriptionSettingsChanged,
    ],
    sensitive(this) {
        match this {
            Self::SubscriptionCancelled {
                user_id,
                reason: CancelReason::Customer { text } | CancelReason::Administrator { text },
                ..
            }
            | Self::SubscriptionExpired { user_id, cause: ExpiryCause::Administrator { text }, .. }
            | Self::SubscriptionSuspended { user_id, reason: text, .. }
            | Self::SubscriptionResumeStarted { user_id, reason: text, .. }
            | Self::SubscriptionExtended { user_id, reason: Some(text), .. } => {
                vec![SensitiveSlot { field: "reason", person: Some(user_id.clone()), value: text }]
            }
            _ => Vec::new(),
        }
    }
);
