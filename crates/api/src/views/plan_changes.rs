//! How a change of plan looks before it is made: the options, and the sum of one.

use minispod_domain::{Direction, Objection, Proration};
use minispod_events::ProrationFigures;
use minispod_kernel::Rupiah;
use minispod_projections::{
    catalogue::PlanRow, plan_changes::PlanChangeRow, subscriptions::SubscriptionRow, users::UserRow,
};
use serde_json::{Value, json};

use super::instant;

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

/// One change of plan, and who asked for it. The reason is the asker's own words: it stays sealed in the log.
pub fn listed(row: &PlanChangeRow, initiator: Option<&UserRow>) -> Value {
    let sides = row.figures.map(|figures| {
        let back = Rupiah::new(figures.net.amount().saturating_neg());
        (figures.net.max(Rupiah::ZERO), back.max(Rupiah::ZERO))
    });
    let service = |name: &str, variant: &str, price: Rupiah| json!({ "displayName": name, "variant": variant, "monthlyPrice": price.to_string() });
    json!({
        "id": row.id,
        "subscriptionId": row.subscription_id,
        "fromServiceId": row.from_plan_id,
        "toServiceId": row.to_plan_id,
        "changeType": row.change_type.as_str(),
        "status": row.status.as_str(),
        "proratedAmount": row.figures.map_or(Rupiah::ZERO, |figures| figures.net).to_string(),
        "refundAmount": sides.map(|(_, refund)| refund.to_string()),
        "chargeAmount": sides.map(|(charge, _)| charge.to_string()),
        "initiatedBy": row.initiated_by,
        "reason": null,
        "failureReason": row.failure,
        "initiatedAt": row.initiated_at.to_contract(),
        "scheduledFor": instant(row.due_at),
        "completedAt": instant(row.completed_at),
        "rolledBackAt": instant(row.rolled_back_at),
        "createdAt": row.initiated_at.to_contract(),
        "updatedAt": row.updated_at.to_contract(),
        "fromService": service(&row.from_display_name, &row.from_variant, row.from_price),
        "toService": service(&row.to_display_name, &row.to_variant, row.to_price),
        "calculation": row.figures.as_ref().map(figures),
        "initiator": initiator.map(|person| json!({ "name": person.name, "email": person.email })),
    })
}

fn figures(figures: &ProrationFigures) -> Value {
    json!({
        "totalDays": figures.total_days,
        "remainingDays": figures.remaining_days,
        "oldPlanPrice": figures.old_price.to_string(),
        "newPlanPrice": figures.new_price.to_string(),
        "unusedAmount": figures.unused.to_string(),
        "proratedNewAmount": figures.prorated_new.to_string(),
        "netAmount": figures.net.to_string(),
    })
}
