//! How plans look: the contract's services and variants.

use minispod_projections::catalogue::{Offering, PlanRow};
use serde_json::{Value, json};

/// One offering with its variants.
pub fn offering(offering: &Offering) -> Option<Value> {
    let head = &offering.head()?.details;
    Some(json!({
        "name": offering.name,
        "displayName": head.display_name,
        "description": head.description,
        "category": head.category,
        "tags": head.tags,
        "icon": head.icon,
        "variants": offering.variants.iter().map(variant).collect::<Vec<_>>(),
    }))
}

/// One variant. The price is a text: the client takes the number 0 for no price at all.
fn variant(plan: &PlanRow) -> Value {
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
        "isDefault": details.is_default_variant,
        "features": details.features,
        "sortOrder": details.sort_order,
    })
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
        "volumeSize": details.volume_size,
        "volumeMountPath": details.volume_mount_path,
        "volumeName": details.volume_name,
        "storageClass": details.storage_class,
        "accessMode": details.access_mode,
        "createdAt": plan.created_at.to_contract(),
        "updatedAt": plan.updated_at.to_contract(),
    })
}
