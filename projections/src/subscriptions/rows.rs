//! The rows of the subscriptions read model and the words in them.

use minispod_events::BillingCycle;
use minispod_kernel::{Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{rows::Row, words::words};

words! {
    /// How a subscription stands; grace shows as `Active`.
    SubscriptionStatus {
        PendingDeployment = "PENDING_DEPLOYMENT", Active = "ACTIVE", Expired = "EXPIRED", Cancelled = "CANCELLED",
        Suspended = "SUSPENDED",
    }
}

words! {
    /// How an instance stands.
    InstanceStatus {
        Pending = "PENDING", Running = "RUNNING", Failed = "FAILED", Unknown = "UNKNOWN", Restarting = "RESTARTING",
        Stopped = "STOPPED", Resetting = "RESETTING", Deleted = "DELETED",
    }
}

words! {
    /// Whether an instance is in the cluster as it was applied.
    DriftState {
        None = "NONE",
        /// Something differs and is being put right.
        Found = "FOUND",
        /// It could not be put right, or does not stay so.
        Stands = "STANDS",
    }
}

/// One subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionRow {
    pub id: String,
    pub user_id: String,
    pub plan_id: String,
    pub instance_id: String,
    pub status: SubscriptionStatus,
    /// The first period is paid, or free; lists show only such.
    pub charged: bool,
    pub offering: String,
    pub variant: String,
    pub display_name: String,
    /// Of one period, as sold.
    pub price: Rupiah,
    /// How much less the current period cost.
    pub discount: Rupiah,
    /// The coupon that its first period was asked to cost less by.
    pub coupon_id: Option<String>,
    pub cycle: BillingCycle,
    pub docker_image: String,
    pub subdomain: String,
    pub overrides: Vec<String>,
    pub auto_renew: bool,
    pub external_url: Option<String>,
    pub period_number: u32,
    /// Of the first period.
    pub start_date: Timestamp,
    /// Of the current period.
    pub period_start: Timestamp,
    pub expires_at: Timestamp,
    pub activated_at: Option<Timestamp>,
    /// The customer ends it then.
    pub cancel_at: Option<Timestamp>,
    pub cancel_reason: Option<String>,
    /// It is not paid for any more and runs on until then.
    pub grace_until: Option<Timestamp>,
    /// The cheaper plan of the next period.
    pub next_plan_id: Option<String>,
    /// What is left of it is deleted then.
    pub data_until: Option<Timestamp>,
    /// Why it was not provisioned or not renewed.
    pub failure: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Row for SubscriptionRow {
    const TABLE: &'static str = "subscriptions";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "user_id",
        "plan_id",
        "instance_id",
        "status",
        "charged",
        "offering",
        "variant",
        "display_name",
        "price",
        "discount",
        "coupon_id",
        "cycle",
        "docker_image",
        "subdomain",
        "overrides",
        "auto_renew",
        "external_url",
        "period_number",
        "start_date",
        "period_start",
        "expires_at",
        "activated_at",
        "cancel_at",
        "cancel_reason",
        "grace_until",
        "next_plan_id",
        "data_until",
        "failure",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRow {
    pub id: String,
    pub subscription_id: String,
    pub user_id: String,
    pub offering: String,
    pub variant: String,
    pub display_name: String,
    pub docker_image: String,
    pub container_port: u16,
    pub status: InstanceStatus,
    pub generation: u32,
    /// The workload's name; `None` until the cluster took the objects.
    pub pod_name: Option<String>,
    pub namespace: Option<String>,
    pub internal_url: Option<String>,
    pub external_url: Option<String>,
    /// No real cluster runs it.
    pub simulated: bool,
    pub cpu_request: String,
    pub cpu_limit: String,
    pub mem_request: String,
    pub mem_limit: String,
    pub overrides: Vec<String>,
    pub subdomain: String,
    pub volume_claim_name: Option<String>,
    /// `None`, `Pending`, `Bound` or `Deleted`.
    pub volume_status: String,
    pub volume_size: Option<String>,
    pub volume_mount_path: Option<String>,
    /// For its owner.
    pub last_error: Option<String>,
    /// What hinders it in the cluster's own words, which may name what is somebody else's: for administrators.
    pub hindrance: Option<String>,
    /// When the cluster was last heard of.
    pub last_status_sync: Option<Timestamp>,
    pub ready_at: Option<Timestamp>,
    pub restart_count: u32,
    /// How often its data was wiped, and when last.
    pub reset_count: u32,
    pub last_reset_at: Option<Timestamp>,
    pub drift_state: DriftState,
    /// What differs, by kind and place: some of it when it is much.
    pub drift_objects: Vec<String>,
    /// Since when it has not been right.
    pub drift_since: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Row for InstanceRow {
    const TABLE: &'static str = "instances";
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "subscription_id",
        "user_id",
        "offering",
        "variant",
        "display_name",
        "docker_image",
        "container_port",
        "status",
        "generation",
        "pod_name",
        "namespace",
        "internal_url",
        "external_url",
        "simulated",
        "cpu_request",
        "cpu_limit",
        "mem_request",
        "mem_limit",
        "overrides",
        "subdomain",
        "volume_claim_name",
        "volume_status",
        "volume_size",
        "volume_mount_path",
        "last_error",
        "hindrance",
        "last_status_sync",
        "ready_at",
        "restart_count",
        "reset_count",
        "last_reset_at",
        "drift_state",
        "drift_objects",
        "drift_since",
        "created_at",
        "updated_at",
    ];
    fn key(&self) -> &str {
        &self.id
    }
}
