//! Facts about mails: one per cause and recipient. Addresses are looked up when sending, never kept here.

use minispod_kernel::{Rupiah, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DifferenceKind, contract::contract};

/// Which mail, with everything its text needs except the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "template", rename_all = "snake_case")]
pub enum MailTemplate {
    Welcome,
    TopUpPaid {
        amount: Rupiah,
        order_id: String,
        invoice_id: String,
        invoice_number: String,
    },
    SubscriptionInvoice {
        display_name: String,
        amount: Rupiah,
        invoice_id: String,
        invoice_number: String,
    },
    ServiceReady {
        subscription_id: String,
        display_name: String,
        external_url: String,
    },
    ProvisioningFailedRefunded {
        subscription_id: String,
        display_name: String,
        amount: Rupiah,
    },
    SubscriptionCancelled {
        subscription_id: String,
        display_name: String,
    },
    /// The paid time ends in `days_left` days; with `auto_renew` the wallet is charged then.
    SubscriptionExpiring {
        subscription_id: String,
        display_name: String,
        days_left: u8,
        end: Timestamp,
        amount: Rupiah,
        auto_renew: bool,
    },
    /// The renewal was not covered: it runs on until `until`.
    RenewalFailed {
        subscription_id: String,
        display_name: String,
        amount: Rupiah,
        until: Timestamp,
    },
    /// It has run out; its data is kept until `data_until`.
    SubscriptionExpired {
        subscription_id: String,
        display_name: String,
        data_until: Timestamp,
    },
    DataEndApproaching {
        subscription_id: String,
        display_name: String,
        days_left: u8,
        data_until: Timestamp,
    },
    SubscriptionSuspended {
        subscription_id: String,
        display_name: String,
    },
    SubscriptionResumed {
        subscription_id: String,
        display_name: String,
    },
    /// At most one of `charged` and `refunded` is above zero.
    PlanChanged {
        subscription_id: String,
        from_display_name: String,
        display_name: String,
        charged: Rupiah,
        refunded: Rupiah,
    },
    /// It is on `display_name` still or again, and `refunded` went back to the wallet.
    PlanChangeReverted {
        subscription_id: String,
        to_display_name: String,
        display_name: String,
        refunded: Rupiah,
    },
    /// Money is there to go on, and the plan has no slot: it is tried again by itself.
    LacksSlot {
        subscription_id: String,
        display_name: String,
    },
    /// It does not run as it should and is restarted by itself.
    InstanceUnhealthy {
        subscription_id: String,
        display_name: String,
    },
    /// Restarting did not help.
    InstanceNotHealing {
        subscription_id: String,
        display_name: String,
        attempts: u32,
    },
    /// For administrators: what is sold and what the cluster has differ for longer than they may.
    DifferenceOverdue {
        kind: DifferenceKind,
        /// The object in the cluster, or the instance where there is none.
        about: String,
        detail: String,
        since: Timestamp,
    },
    /// Its data was wiped on its owner's or an administrator's word.
    InstanceReset {
        subscription_id: String,
        display_name: String,
    },
    /// A bonus for a new customer is in the wallet; `title` is its coupon's name.
    WelcomeBonus {
        title: String,
        amount: Rupiah,
    },
    /// With a link that shows who reads the address's mails; made when the mail is sent and kept nowhere else.
    VerifyEmail,
    /// With a link that sets a new password; made when the mail is sent and kept nowhere else.
    ResetPassword,
}

impl MailTemplate {
    /// File stem of its templates and metric label.
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::TopUpPaid { .. } => "top_up_paid",
            Self::SubscriptionInvoice { .. } => "subscription_invoice",
            Self::ServiceReady { .. } => "service_ready",
            Self::ProvisioningFailedRefunded { .. } => "provisioning_failed_refunded",
            Self::SubscriptionCancelled { .. } => "subscription_cancelled",
            Self::SubscriptionExpiring { .. } => "subscription_expiring",
            Self::RenewalFailed { .. } => "renewal_failed",
            Self::SubscriptionExpired { .. } => "subscription_expired",
            Self::DataEndApproaching { .. } => "data_end_approaching",
            Self::SubscriptionSuspended { .. } => "subscription_suspended",
            Self::SubscriptionResumed { .. } => "subscription_resumed",
            Self::PlanChanged { .. } => "plan_changed",
            Self::PlanChangeReverted { .. } => "plan_change_reverted",
            Self::LacksSlot { .. } => "lacks_slot",
            Self::InstanceUnhealthy { .. } => "instance_unhealthy",
            Self::InstanceNotHealing { .. } => "instance_not_healing",
            Self::DifferenceOverdue { .. } => "difference_overdue",
            Self::InstanceReset { .. } => "instance_reset",
            Self::WelcomeBonus { .. } => "welcome_bonus",
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
        }
    }
}

/// Facts about one mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum MailEvent {
    MailQueued {
        user_id: String,
        mail: MailTemplate,
        occurred_at: Timestamp,
    },
    /// The SMTP server took it.
    MailSent {
        message_id: String,
        occurred_at: Timestamp,
    },
    MailBounced {
        detail: String,
        occurred_at: Timestamp,
    },
    MailGaveUp {
        detail: String,
        occurred_at: Timestamp,
    },
}

contract!(MailEvent, "notification", "mail", [MailQueued, MailSent, MailBounced, MailGaveUp]);
