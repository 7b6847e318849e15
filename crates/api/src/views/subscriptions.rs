//! How subscriptions and their instances look.

use minispod_projections::{
    subscriptions::{InstanceRow, SubscriptionDetail, SubscriptionRow, SubscriptionView},
    users::UserRow,
};
use serde_json::{Value, json};

use super::{instant, money, people, plans};

/// Stands for a value that is kept from everybody.
pub const HIDDEN: &str = "(hidden)";

/// The fields of a subscription alone (`Sub`).
pub fn bare(row: &SubscriptionRow) -> Value {
    json!({
        "id": row.id,
        "userId": row.user_id,
        "serviceId": row.plan_id,
        "status": row.status.as_str(),
        "startDate": row.start_date.to_contract(),
        "expiresAt": row.expires_at.to_contract(),
        "subdomain": row.subdomain,
        "autoRenew": row.auto_renew,
        "createdAt": row.created_at.to_contract(),
        "updatedAt": row.updated_at.to_contract(),
    })
}

/// One row of the caller's list.
pub fn listed(view: &SubscriptionView) -> Value {
    let mut out = bare(&view.row);
    let plan = view.plan.as_ref();
    out["service"] = json!({
        "id": view.row.plan_id,
        "name": view.row.offering,
        "displayName": view.row.display_name,
        "monthlyPrice": plan.map_or(view.row.price, |plan| plan.monthly_price).to_string(),
        "dockerImage": view.row.docker_image,
        "category": plan.map_or("", |plan| plan.details.category.as_str()),
        "icon": plan.map_or("", |plan| plan.details.icon.as_str()),
    });
    out["serviceInstance"] = deployed(view).map_or(Value::Null, |instance| {
        json!({
            "id": instance.id,
            "status": instance.status.as_str(),
            "externalUrl": instance.external_url,
            "internalUrl": instance.internal_url,
        })
    });
    out
}

/// One row of an administrator's list; whose it is comes beside it.
pub fn listed_for_administrators(view: &SubscriptionView) -> Value {
    let mut out = listed(view);
    if let Some(instance) = deployed(view) {
        out["serviceInstance"]["podName"] = instance.pod_name.clone().into();
        out["serviceInstance"]["namespace"] = instance.namespace.clone().into();
    }
    out
}

/// A subscription with its plan and its owner, as writes answer it.
pub fn with_service(view: &SubscriptionView, user: &UserRow) -> Value {
    let mut out = bare(&view.row);
    out["service"] = view.plan.as_ref().map_or(Value::Null, plans::full);
    out["user"] = people::mini(user);
    out
}

/// Everything about a subscription; `user` is its owner as the asker may see him,
/// `usage` its newest samples.
pub fn detail(detail: &SubscriptionDetail, user: Value, usage: Value) -> Value {
    let view = &detail.subscription;
    let mut out = bare(&view.row);
    out["service"] = view.plan.as_ref().map_or(Value::Null, plans::full);
    out["user"] = user;
    out["serviceInstance"] = configured(view);
    out["cancelAt"] = instant(view.row.cancel_at);
    out["graceUntil"] = instant(view.row.grace_until);
    out["nextServiceId"] = view.row.next_plan_id.clone().into();
    out["dataUntil"] = instant(view.row.data_until);
    out["usageMetrics"] = usage;
    out["invoice"] = detail.invoice.as_ref().map_or(Value::Null, money::invoice);
    out["transactions"] = detail.transactions.iter().map(money::transaction_row).collect();
    out
}

/// [`with_service`] and the instance, as cancelling answers it.
pub fn cancelled(view: &SubscriptionView, user: &UserRow) -> Value {
    let mut out = with_service(view, user);
    out["serviceInstance"] = configured(view);
    out
}

/// [`cancelled`] and the owner's role, as administrators' writes answer it.
pub fn administered(view: &SubscriptionView, owner: &UserRow) -> Value {
    let mut out = cancelled(view, owner);
    out["user"]["role"] = owner.role.as_str().into();
    out
}

/// The instance once the cluster has its objects: before that it has no name and no address to show.
fn deployed(view: &SubscriptionView) -> Option<&InstanceRow> {
    view.instance.as_ref().filter(|instance| instance.pod_name.is_some())
}

/// What is deployed, with the settings that were asked for: the instance itself follows a moment later.
fn configured(view: &SubscriptionView) -> Value {
    let Some(row) = deployed(view) else { return Value::Null };
    let mut instance = instance(row);
    instance["customConfig"] = custom_config(&view.row.overrides);
    instance
}

/// Which settings the customer changed; what to is shown to nobody, it may be a password.
fn custom_config(overrides: &[String]) -> Value {
    overrides.iter().map(|name| (name.clone(), Value::from(HIDDEN))).collect::<serde_json::Map<_, _>>().into()
}

/// One instance (`Inst`). `credentials` names cluster objects, as it always has; secrets are elsewhere.
pub(super) fn instance(row: &InstanceRow) -> Value {
    json!({
        "id": row.id,
        "subscriptionId": row.subscription_id,
        "podName": row.pod_name,
        "namespace": row.namespace,
        "status": row.status.as_str(),
        "internalUrl": row.internal_url,
        "externalUrl": row.external_url,
        "credentials": { "deployment": row.pod_name, "service": row.pod_name, "ingress": row.pod_name },
        "cpuAllocated": row.cpu_limit,
        "memAllocated": row.mem_limit,
        "lastHealthCheck": instant(row.last_status_sync),
        "lastStatusSync": instant(row.last_status_sync),
        "resetCount": row.reset_count,
        "lastResetAt": instant(row.last_reset_at),
        "resetBackup": null,
        "customConfig": custom_config(&row.overrides),
        "deploymentConfig": null,
        "resourceLimits": {
            "cpuRequest": row.cpu_request,
            "cpuLimit": row.cpu_limit,
            "memRequest": row.mem_request,
            "memLimit": row.mem_limit,
        },
        "lastError": row.last_error,
        "volumeClaimName": row.volume_claim_name,
        "volumeStatus": row.volume_status,
        "volumeSize": row.volume_size,
        "volumeMountPath": row.volume_mount_path,
        "createdAt": row.created_at.to_contract(),
        "updatedAt": row.updated_at.to_contract(),
    })
}
