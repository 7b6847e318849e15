//! Facts about one customer's subscription: the process from request to service, money and end.

use std::collections::BTreeMap;

use minispod_kernel::{Rupiah, Sensitive, SensitiveSlot, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Discount, contract::contract};

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
    /// The wallet did not cover the next period, not even at the end of the grace.
    Unpaid,
    /// Its time ended and nobody asked for more.
    NotRenewed,
}

/// Which way a change of plan goes, by the prices of one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanChangeDirection {
    Upgrade,
    Downgrade,
    /// Both cost the same.
    Sideways,
}

/// What is left of the old price of a period and what the rest of it costs by the new one. `net` is to be paid when
/// positive, given back when negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProrationFigures {
    pub total_days: i64,
    pub remaining_days: i64,
    pub old_price: Rupiah,
    pub new_price: Rupiah,
    pub unused: Rupiah,
    pub prorated_new: Rupiah,
    pub net: Rupiah,
}

/// A coupon that shall lower the price of the first period of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CouponAsked {
    pub coupon_id: String,
    pub offering: String,
    pub variant: String,
    pub cycle: BillingCycle,
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
        /// The first period shall cost less by this coupon.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        coupon_id: Option<String>,
        occurred_at: Timestamp,
    },
    SubscriptionSlotHeld {
        user_id: String,
        price: Rupiah,
        /// Asked for less before `price` is charged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        coupon: Option<CouponAsked>,
        occurred_at: Timestamp,
    },
    /// The first period costs `price`: `list_price` less `discount`.
    SubscriptionDiscounted {
        user_id: String,
        coupon_id: String,
        less: Discount,
        list_price: Rupiah,
        discount: Rupiah,
        price: Rupiah,
        occurred_at: Timestamp,
    },
    /// Period 1 is paid; period bounds are set on activation.
    SubscriptionCharged {
        user_id: String,
        display_name: String,
        amount: Rupiah,
        /// How much less than the plan's price that is.
        #[serde(default, skip_serializing_if = "Rupiah::is_zero")]
        discount: Rupiah,
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
        /// When its life is next looked at; absent: as before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        life_due: Option<Timestamp>,
        occurred_at: Timestamp,
    },
    SubscriptionCancellationScheduled {
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<CancelReason>,
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
        /// It never ran, so the use of this coupon goes back to its customer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        returned_coupon_id: Option<String>,
        /// When its data is deleted; absent: there is none to keep.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data_until: Option<Timestamp>,
        occurred_at: Timestamp,
    },
    /// An administrator stops it: it must not run, and its slot of `plan_id` is to be given back.
    SubscriptionSuspended {
        user_id: String,
        instance_id: String,
        plan_id: String,
        display_name: String,
        reason: Sensitive<String>,
        /// When its life is next looked at; absent: as before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        life_due: Option<Timestamp>,
        occurred_at: Timestamp,
    },
    /// It shall run again once `plan_id` has a slot for it; `extension_days` are added to its period then.
    SubscriptionResumeStarted {
        user_id: String,
        plan_id: String,
        extension_days: u16,
        reason: Sensitive<String>,
        /// The next period is paid for before it runs.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        renews: bool,
        /// The wallet said that the money is there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        funded: bool,
        occurred_at: Timestamp,
    },
    SubscriptionResumed {
        user_id: String,
        instance_id: String,
        display_name: String,
        /// When its life is next looked at; absent: as before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        life_due: Option<Timestamp>,
        occurred_at: Timestamp,
    },
    /// It stays as it was; `code` is the refusal's.
    SubscriptionResumeFailed {
        user_id: String,
        code: String,
        /// When its life is next looked at; absent: as before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        life_due: Option<Timestamp>,
        /// A slot of this plan was held already and is to be given back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        released_plan_id: Option<String>,
        /// What it is called, the first time that money is there for it and only a slot is missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lacks_slot: Option<String>,
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
        /// When its life is next looked at; absent: as before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        life_due: Option<Timestamp>,
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
        /// When its data is deleted; absent: there is none to keep.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data_until: Option<Timestamp>,
        /// What the wallet must cover so that it goes on by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount: Option<Rupiah>,
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
    /// Its paid time ends in `days_left` days. With `auto_renew` the wallet is charged `amount` then.
    SubscriptionEndApproaching {
        user_id: String,
        display_name: String,
        period: u32,
        days_left: u8,
        end: Timestamp,
        amount: Rupiah,
        auto_renew: bool,
        life_due: Timestamp,
        occurred_at: Timestamp,
    },
    /// The wallet did not cover `period`: it runs on until `until`, and is renewed as soon as `amount` is there.
    SubscriptionGraceStarted {
        user_id: String,
        display_name: String,
        period: u32,
        amount: Rupiah,
        until: Timestamp,
        occurred_at: Timestamp,
    },
    SubscriptionCancellationWithdrawn {
        user_id: String,
        occurred_at: Timestamp,
    },
    /// From the next period on it shall be `to`, by the change of this number. Asked again: the later wish holds.
    SubscriptionDowngradeScheduled {
        user_id: String,
        change: u32,
        from: PlanSnapshot,
        to: PlanSnapshot,
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sensitive<String>>,
        occurred_at: Timestamp,
    },
    SubscriptionDowngradeWithdrawn {
        user_id: String,
        change: u32,
        occurred_at: Timestamp,
    },
    /// `change` counts from 1 over the subscription's life. It is done or taken back by `deadline`.
    SubscriptionPlanChangeStarted {
        user_id: String,
        change: u32,
        from: PlanSnapshot,
        to: PlanSnapshot,
        direction: PlanChangeDirection,
        proration: ProrationFigures,
        by_administrator: bool,
        /// It was scheduled, and the period is over.
        at_period_end: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sensitive<String>>,
        deadline: Timestamp,
        occurred_at: Timestamp,
    },
    /// The new plan gave a slot; `charge` is paid next.
    SubscriptionPlanChangeSlotHeld {
        user_id: String,
        change: u32,
        charge: Rupiah,
        occurred_at: Timestamp,
    },
    /// Paid, or nothing to pay: the instance gets what the new plan gives.
    SubscriptionPlanChangePaid {
        user_id: String,
        instance_id: String,
        change: u32,
        amount: Rupiah,
        to: PlanSnapshot,
        occurred_at: Timestamp,
    },
    /// Done: the slot of `from_plan_id` is to be given back, and `refunded` to the wallet.
    SubscriptionPlanChanged {
        user_id: String,
        change: u32,
        from_plan_id: String,
        from_display_name: String,
        plan: PlanSnapshot,
        direction: PlanChangeDirection,
        proration: ProrationFigures,
        charged: Rupiah,
        refunded: Rupiah,
        period: Period,
        life_due: Timestamp,
        occurred_at: Timestamp,
    },
    /// Nothing was charged and nothing has changed. `held_slot`: one of `to_plan_id` is to be given back.
    SubscriptionPlanChangeFailed {
        user_id: String,
        display_name: String,
        change: u32,
        to_plan_id: String,
        to_display_name: String,
        held_slot: bool,
        at_period_end: bool,
        code: String,
        life_due: Timestamp,
        occurred_at: Timestamp,
    },
    /// Taken back in full: `given_back` to the wallet, the slot of `to_plan_id`, and the instance is as `from` again.
    SubscriptionPlanChangeReverted {
        user_id: String,
        instance_id: String,
        change: u32,
        from: PlanSnapshot,
        to_plan_id: String,
        to_display_name: String,
        given_back: Rupiah,
        code: String,
        life_due: Timestamp,
        occurred_at: Timestamp,
    },
    /// What was kept after its end is deleted in `days_left` days.
    SubscriptionDataEndApproaching {
        user_id: String,
        display_name: String,
        days_left: u8,
        data_until: Timestamp,
        life_due: Timestamp,
        occurred_at: Timestamp,
    },
    /// Its data is deleted and it is over for good. `expired`: until now it was the customer's one of its offering.
    SubscriptionPurged {
        user_id: String,
        instance_id: String,
        offering: String,
        subdomain: String,
        display_name: String,
        expired: bool,
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
        SubscriptionDiscounted,
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
        SubscriptionEndApproaching,
        SubscriptionGraceStarted,
        SubscriptionCancellationWithdrawn,
        SubscriptionDowngradeScheduled,
        SubscriptionDowngradeWithdrawn,
        SubscriptionPlanChangeStarted,
        SubscriptionPlanChangeSlotHeld,
        SubscriptionPlanChangePaid,
        SubscriptionPlanChanged,
        SubscriptionPlanChangeFailed,
        SubscriptionPlanChangeReverted,
        SubscriptionDataEndApproaching,
        SubscriptionPurged,
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
            | Self::SubscriptionDowngradeScheduled { user_id, reason: Some(text), .. }
            | Self::SubscriptionPlanChangeStarted { user_id, reason: Some(text), .. }
            | Self::SubscriptionCancellationScheduled {
                user_id: Some(user_id),
                reason: Some(CancelReason::Customer { text } | CancelReason::Administrator { text }),
                ..
            }
            | Self::SubscriptionExtended { user_id, reason: Some(text), .. } => {
                vec![SensitiveSlot { field: "reason", person: Some(user_id.clone()), value: text }]
            }
            _ => Vec::new(),
        }
    }
);
