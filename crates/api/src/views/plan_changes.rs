//! How a change of plan looks before it is made: the options, and the sum of one.

use minispod_domain::{Direction, Objection, Proration};
use minispod_kernel::Rupiah;
use minispod_projections::{catalogue::PlanRow, subscriptions::SubscriptionRow};
use serde_json::{Value, json};

/// `{id, name, variant, price}` of the plan a subscription has, as it was sold.
fn current(row: &SubscriptionRow) -> Value {
    json!({ "id": row.plan_id, "name": row.display_name, "variant": row.variant, "price": row.price.amount() })
}

/// The plan a subscription has, at the head of its options.
pub fn current_service(row: &SubscriptionRow, plan: Option<&PlanRow>) -> Value {
    json!({
        "id": row.plan_id,
        "name": row.display_name,
        "variant": row.variant,
        "monthlyPrice": plan.map_or(row.price, |plan| plan.monthly_price).amount(),
    })
}

/// One plan it may become.
pub fn option(plan: &PlanRow, proration: &Proration) -> Value {
    let details = &plan.details;
    let direction = proration.direction();
    json!({
        "serviceId": plan.id,
        "serviceName": details.display_name,
        "variant": details.variant,
        "variantDisplayName": details.variant_display_name,
        "monthlyPrice": plan.monthly_price.amount(),
        "features": details.features,
        "resources": { "cpu": details.cpu_limit, "memory": details.mem_limit },
        "changeType": direction.as_str(),
        "proratedCost": proration.charge().amount(),
        "isUpgrade": direction == Direction::Upgrade,
        "isDowngrade": direction == Direction::Downgrade,
        "savings": proration.refund().amount(),
    })
}

/// The sum (`Calc`); every figure in whole rupiah.
pub fn calculation(row: &SubscriptionRow, target: &PlanRow, proration: &Proration, balance: Rupiah) -> Value {
    json!({
        "subscriptionId": row.id,
        "currentService": current(row),
        "targetService": {
            "id": target.id,
            "name": target.details.display_name,
            "variant": target.details.variant,
            "price": proration.new_price.amount(),
        },
        "billingCycle": {
            "start": row.period_start.to_contract(),
            "end": row.expires_at.to_contract(),
            "totalDays": proration.total_days,
            "remainingDays": proration.remaining_days,
        },
        "financial": {
            "oldPlanPrice": proration.old_price.amount(),
            "newPlanPrice": proration.new_price.amount(),
            "unusedAmount": proration.unused.amount(),
            "proratedNewAmount": proration.prorated_new.amount(),
            "netAmount": proration.net.amount(),
            "chargeAmount": proration.charge().amount(),
            "refundAmount": proration.refund().amount(),
        },
        "changeType": proration.direction().as_str(),
        "userBalance": balance.amount(),
    })
}

/// `{code, message}` of what is in the way.
pub fn reason(objection: &Objection) -> Value {
    json!({ "code": objection.code(), "message": objection.to_string() })
}
