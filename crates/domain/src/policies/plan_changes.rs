//! The process of a change of plan: slot, charge, resources; and the way back from each.

use minispod_events::{EntryCause, InstanceEvent, InvoiceKind, MailTemplate, PlanSnapshot, SubscriptionEvent};
use minispod_kernel::Rupiah;

use super::{
    Reaction,
    documents::{draft, mail},
    subscriptions as to,
};
use crate::{AnyCommand, InstanceCommand, OnRefusal, PlanCommand, SubscriptionCommand, WalletCommand};

pub fn after_change(id: &str, event: &SubscriptionEvent) -> Vec<Reaction> {
    match event {
        SubscriptionEvent::SubscriptionPlanChangeStarted { change, to: plan, .. } => {
            let command = AnyCommand::Plan(PlanCommand::AllocateSlot { subscription_id: id.to_owned() });
            vec![Reaction::new("allocate-slot", &plan.plan_id, command).or(take_back(id, *change)).inline()]
        }
        SubscriptionEvent::SubscriptionPlanChangeSlotHeld { user_id, change, charge, .. } => {
            vec![pay(id, user_id, *charge, *change)]
        }
        SubscriptionEvent::SubscriptionPlanChangePaid { instance_id, change, to: plan, .. } => {
            vec![resize(instance_id, *change, plan).or(take_back(id, *change))]
        }
        SubscriptionEvent::SubscriptionPlanChanged { .. } => after_success(id, event),
        SubscriptionEvent::SubscriptionPlanChangeFailed { to_plan_id, held_slot, .. } => {
            let release = held_slot.then(|| to::release_slot(id, to_plan_id));
            release.into_iter().chain(told_of_failure(id, event)).collect()
        }
        SubscriptionEvent::SubscriptionPlanChangeReverted {
            user_id,
            instance_id,
            change,
            from,
            to_plan_id,
            given_back,
            ..
        } => refund(id, user_id, *given_back, *change)
            .into_iter()
            .chain([to::release_slot(id, to_plan_id), resize(instance_id, *change, from)])
            .chain(told_of_failure(id, event))
            .collect(),
        _ => Vec::new(),
    }
}

/// The instance's word on what it was asked for.
pub fn after_resize(event: &InstanceEvent) -> Vec<Reaction> {
    match event {
        InstanceEvent::InstanceResized { subscription_id, change, .. } => {
            let command = SubscriptionCommand::ConfirmResize { change: *change };
            vec![to::to_subscription("confirm-resize", subscription_id, command)]
        }
        InstanceEvent::InstanceResizeFailed { subscription_id, change, .. } => {
            let code = "instance-resize-failed".to_owned();
            let command = SubscriptionCommand::FailPlanChange { change: *change, code };
            vec![to::to_subscription("fail-plan-change", subscription_id, command)]
        }
        _ => Vec::new(),
    }
}

/// The wallet paid for a change.
pub fn after_charge(user_id: &str, subscription_id: &str, change: u32, amount: Rupiah) -> Reaction {
    let command = SubscriptionCommand::ConfirmPlanCharge { change };
    let back = OnRefusal::RefundPlanCharge {
        user_id: user_id.to_owned(),
        subscription_id: subscription_id.to_owned(),
        change,
        amount,
    };
    to::to_subscription("confirm-plan-charge", subscription_id, command).or(back).inline()
}

fn after_success(id: &str, event: &SubscriptionEvent) -> Vec<Reaction> {
    let SubscriptionEvent::SubscriptionPlanChanged {
        user_id,
        change,
        from_plan_id,
        from_display_name,
        plan,
        proration,
        charged,
        refunded,
        period,
        ..
    } = event
    else {
        return Vec::new();
    };
    let display_name = plan.display_name.clone();
    let days = proration.remaining_days;
    let description = format!("{from_display_name} to {display_name}, {days} of {} days", proration.total_days);
    let subject = InvoiceKind::PlanChange {
        subscription_id: id.to_owned(),
        display_name: display_name.clone(),
        change: *change,
        period: *period,
        refunded: *refunded,
    };
    let told = MailTemplate::PlanChanged {
        subscription_id: id.to_owned(),
        from_display_name: from_display_name.clone(),
        display_name,
        charged: *charged,
        refunded: *refunded,
    };
    let number = change.to_string();
    [to::release_slot(id, from_plan_id)]
        .into_iter()
        .chain(refund(id, user_id, *refunded, *change))
        .chain([
            draft(&["plan-change", id, &number], user_id, subject, &description, *charged),
            mail("plan-changed-mail", &["plan-changed", id, &number], user_id, told),
        ])
        .collect()
}

/// Who asked in a request reads the refusal there; what was paid for already or scheduled is told by mail.
fn told_of_failure(id: &str, event: &SubscriptionEvent) -> Option<Reaction> {
    let (user_id, change, display_name, to_display_name, refunded) = match event {
        SubscriptionEvent::SubscriptionPlanChangeFailed {
            user_id,
            change,
            display_name,
            to_display_name,
            at_period_end: true,
            ..
        } => (user_id, change, display_name, to_display_name, Rupiah::ZERO),
        SubscriptionEvent::SubscriptionPlanChangeReverted {
            user_id,
            change,
            from,
            to_display_name,
            given_back,
            ..
        } => (user_id, change, &from.display_name, to_display_name, *given_back),
        _ => return None,
    };
    let told = MailTemplate::PlanChangeReverted {
        subscription_id: id.to_owned(),
        to_display_name: to_display_name.clone(),
        display_name: display_name.clone(),
        refunded,
    };
    Some(mail("plan-change-reverted-mail", &["plan-change-reverted", id, &change.to_string()], user_id, told))
}

fn take_back(id: &str, change: u32) -> OnRefusal {
    OnRefusal::FailPlanChange { subscription_id: id.to_owned(), change }
}

/// What costs nothing goes on without the wallet.
fn pay(id: &str, user_id: &str, amount: Rupiah, change: u32) -> Reaction {
    if !amount.is_positive() {
        let command = SubscriptionCommand::ConfirmPlanCharge { change };
        return to::to_subscription("confirm-free-plan-change", id, command).inline();
    }
    let cause = EntryCause::PlanChange { subscription_id: id.to_owned(), change };
    let command = AnyCommand::Wallet(WalletCommand::Debit { amount, cause });
    Reaction::new("charge-plan-change", user_id, command).or(take_back(id, change)).inline()
}

fn refund(id: &str, user_id: &str, amount: Rupiah, change: u32) -> Option<Reaction> {
    let cause = EntryCause::PlanChangeRefund { subscription_id: id.to_owned(), change };
    let command = AnyCommand::Wallet(WalletCommand::Refund { amount, cause });
    amount.is_positive().then(|| Reaction::new("refund-plan-change", user_id, command).inline())
}

fn resize(instance_id: &str, change: u32, plan: &PlanSnapshot) -> Reaction {
    to::to_instance("resize-instance", instance_id, InstanceCommand::Resize { change, plan: plan.clone() })
}
