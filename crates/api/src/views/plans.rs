//! How plans look: the contract's services and variants.

use minispod_projections::catalogue::{Offering, PlanRow};
use serde_json::{Value, json};

/// One offering with its variants.
pub fn offering(offering: &Offering) -> Option<Value> {
    let head = &offering.head()?.details;
    let default = offering.default_variant().map(|plan| plan.id.as_str());
    Some(json!({
        "name": offering.name,
        "displayName": head.display_name,
        "description": head.description,
        "category": head.category,
        "tags": head.tags,
        "icon": head.icon,
        "variants": offering.variants.iter().map(|plan| variant(plan, default)).collect::<Vec<_>>(),
    }))
}

/// One variant. The price is a text: the client takes the number 0 for no price at all.
fn variant(plan: &PlanRow, default: Option<&str>) -> Value {
    let details = &plan.details;
    json!({
        "id": plan.id,
        "variant": details.variant,
        "variantDisplayName": details.variant_display_name,
        "description": details.description,
        "cpuSpec": format!("{} CPU", details.cpu_request),
        "memSpec": details.mem_request.replace("Mi", "MB RAM").replace("Gi", "GB RAM"),
        "monthlyPrice": plan.monthly_price.to_string(),
        "availableQuota": plan.available(),
        "isDefault": default == Some(plan.id.as_str()),
        "features": details.features,
        "sortOrder": details.sort_order,
    })
}

/// `{id, name, displayName, description, version, monthlyPrice}`.
pub fn brief(plan: &PlanRow) -> Value {
    json!({
        "id": plan.id,
        "name": plan.details.offering,
        "displayName": plan.details.display_name,
        "description": plan.details.description,
        "version": plan.details.version,
        "monthlyPrice": plan.monthly_price.to_string(),
    })
}

/// One offering with what each variant gives; `inside`: also what the operator runs for it.
pub fn variants(offering: &Offering, inside: bool) -> Option<Value> {
    let head = &offering.head()?.details;
    let default = offering.default_variant().map(|plan| plan.id.as_str());
    Some(json!({
        "serviceName": offering.name,
        "displayName": head.display_name,
        "description": head.description,
        "category": head.category,
        "tags": head.tags,
        "icon": head.icon,
        "variants": offering.variants.iter().map(|plan| resources(plan, default, inside)).collect::<Vec<_>>(),
    }))
}

fn resources(plan: &PlanRow, default: Option<&str>, inside: bool) -> Value {
    let details = &plan.details;
    let mut view = variant(plan, default);
    view["cpuRequest"] = details.cpu_request.clone().into();
    view["cpuLimit"] = details.cpu_limit.clone().into();
    view["memRequest"] = details.mem_request.clone().into();
    view["memLimit"] = details.mem_limit.clone().into();
    if inside {
        view["dockerImage"] = details.docker_image.clone().into();
        view["containerPort"] = details.container_port.into();
        view["environmentVars"] = json!(details.environment);
    }
    view
}

/// What only the operator knows of a plan.
const INSIDE: [&str; 9] = [
    "dockerImage",
    "containerPort",
    "cpuRequest",
    "cpuLimit",
    "memRequest",
    "memLimit",
    "environmentVars",
    "createdAt",
    "updatedAt",
];

/// [`full`] without what only the operator knows.
pub fn public(plan: &PlanRow) -> Value {
    let mut view = full(plan);
    if let Some(fields) = view.as_object_mut() {
        fields.retain(|name, _| !INSIDE.contains(&name.as_str()));
    }
    view
}

/// [`full`] and how many subscriptions it has had.
pub fn counted(plan: &PlanRow, subscriptions: i64) -> Value {
    let mut view = full(plan);
    view["_count"] = json!({ "subscriptions": subscriptions });
    view
}

/// What a plan has none of is the empty text: the client's details know no null, and sent back it means none again.
fn said(text: Option<&String>) -> &str {
    text.map_or("", String::as_str)
}

/// Everything about a plan (`SvcFull`).
pub fn full(plan: &PlanRow) -> Value {
    let details = &plan.details;
    json!({
        "id": plan.id,
        "name": details.offering,
        "displayName": details.display_name,
        "description": details.description,
        "version": details.version,
        "isActive": plan.is_active,
        "variant": details.variant,
        "variantDisplayName": details.variant_display_name,
        "sortOrder": details.sort_order,
        "isDefaultVariant": details.is_default_variant,
        "cpuRequest": details.cpu_request,
        "cpuLimit": details.cpu_limit,
        "memRequest": details.mem_request,
        "memLimit": details.mem_limit,
        "monthlyPrice": plan.monthly_price.to_string(),
        "availableQuota": plan.available(),
        "dockerImage": details.docker_image,
        "containerPort": details.container_port,
        "environmentVars": details.environment,
        "category": details.category,
        "tags": details.tags,
        "icon": details.icon,
        "features": details.features,
        "volumeSize": said(details.volume_size.as_ref()),
        "volumeMountPath": said(details.volume_mount_path.as_ref()),
        "volumeName": said(details.volume_name.as_ref()),
        "storageClass": details.storage_class,
        "accessMode": details.access_mode,
        "createdAt": plan.created_at.to_contract(),
        "updatedAt": plan.updated_at.to_contract(),
    })
}
