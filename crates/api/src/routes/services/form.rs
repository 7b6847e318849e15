//! The fields of a plan as the contract names them, read for creating and for changing.

use minispod_domain::plan::{PlanChange, details::broken_rules};
use minispod_events::{Capacity, PlanDetails};
use minispod_kernel::Rupiah;

use crate::{
    error::ApiError,
    input::{Fields, reason::read_reason},
};

/// Fields without which there is no plan.
const REQUIRED: [&str; 4] = ["name", "displayName", "description", "dockerImage"];

/// Reads every field; what does not fit its type is noted.
pub fn change(fields: &mut Fields<'_>) -> PlanChange {
    // Judged here, kept by the command: a plan itself has none.
    read_reason(fields, "");
    PlanChange {
        offering: text(fields, "name"),
        variant: text(fields, "variant"),
        variant_display_name: text(fields, "variantDisplayName"),
        display_name: text(fields, "displayName"),
        description: text(fields, "description"),
        version: text(fields, "version"),
        cpu_request: text(fields, "cpuRequest"),
        cpu_limit: text(fields, "cpuLimit"),
        mem_request: text(fields, "memRequest"),
        mem_limit: text(fields, "memLimit"),
        docker_image: text(fields, "dockerImage"),
        // What is too large for its type breaks the rule as zero or as the largest number does.
        container_port: fields.optional_whole_number("containerPort", "containerPort").map(|port| narrow(port, 0)),
        environment: fields.optional_texts("environmentVars", "environmentVars"),
        category: text(fields, "category"),
        tags: fields.optional_list("tags", "tags"),
        icon: clearable(fields, "icon"),
        features: fields.optional_list("features", "features"),
        sort_order: fields.optional_whole_number("sortOrder", "sortOrder").map(|order| narrow(order, u16::MAX)),
        is_default_variant: fields.optional_flag("isDefaultVariant", "isDefaultVariant"),
        volume_size: clearable(fields, "volumeSize"),
        volume_mount_path: clearable(fields, "volumeMountPath"),
        volume_name: clearable(fields, "volumeName"),
        storage_class: text(fields, "storageClass"),
        access_mode: text(fields, "accessMode"),
        yearly_discount_percent: fields
            .optional_whole_number("yearlyDiscountPercent", "yearlyDiscountPercent")
            .map(|percent| narrow(percent, u8::MAX)),
        monthly_price: fields.optional_whole_number("monthlyPrice", "monthlyPrice").map(Rupiah::new),
        slots_left: fields.optional_whole_number("availableQuota", "availableQuota"),
        is_active: fields.optional_flag("isActive", "isActive"),
    }
}

/// Notes the required fields that are missing.
pub fn require(fields: &mut Fields<'_>, change: &PlanChange) {
    let given = [&change.offering, &change.display_name, &change.description, &change.docker_image];
    for (field, given) in REQUIRED.into_iter().zip(given) {
        if given.is_none() && !fields.is_faulty(field) {
            fields.fault(field, format!("{field} is required"));
        }
    }
}

/// Notes every rule that the plan would break, once for each field.
pub fn judge(fields: &mut Fields<'_>, details: &PlanDetails, monthly_price: Rupiah, capacity: Capacity) {
    for rule in broken_rules(details, monthly_price, capacity) {
        if !fields.is_faulty(rule.field) {
            fields.fault(rule.field, format!("{} {}", rule.field, rule.must));
        }
    }
}

/// A body that asks for nothing is a mistake.
pub fn refuse_empty(fields: &Fields<'_>) -> Result<(), ApiError> {
    if fields.is_empty() {
        return Err(ApiError::invalid_field("body", "At least one field is required"));
    }
    Ok(())
}

fn text(fields: &mut Fields<'_>, field: &'static str) -> Option<String> {
    fields.optional_text(field, field).map(|text| text.trim().to_owned())
}

/// A text that null and the empty text take away.
fn clearable(fields: &mut Fields<'_>, field: &'static str) -> Option<String> {
    let given = text(fields, field);
    if given.is_none() && fields.has(field) { Some(String::new()) } else { given }
}

fn narrow<T: TryFrom<i64>>(number: i64, otherwise: T) -> T {
    T::try_from(number).unwrap_or(otherwise)
}
