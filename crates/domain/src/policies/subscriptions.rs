//! The processes of a subscription: slot, charge, provisioning, renewal, and the way back from each.

use minispod_events::{
    CancelReason, EntryCause, InstanceEvent, InstanceSpec, InvoiceKind, MailTemplate, Period, PlanEvent, PlanSnapshot,
    SubscriptionEvent, WalletEvent,
};
use minispod_kernel::{Rupiah, Timestamp};

use super::{
    Reaction, coupons,
    documents::{draft_of, line, mail},
    lifetimes, plan_changes,
};
use crate::{AnyCommand, InstanceCommand, OnRefusal, PlanCommand, SubscriptionCommand, WalletCommand};

/// What an invoice calls what a coupon takes off.
const DISCOUNT: &str = "Coupon discount";

pub fn after_subscription(id: &str, event: &SubscriptionEvent) -> Vec<Reaction> {
    match event {
        SubscriptionEvent::SubscriptionRequested { plan, .. } => vec![allocate_slot(id, plan)],
        SubscriptionEvent::SubscriptionSlotHeld { user_id, price, coupon: Some(coupon), .. } => {
            vec![coupons::reserve_for_sale(id, user_id, *price, coupon)]
        }
        SubscriptionEvent::SubscriptionSlotHeld { user_id, price, coupon: None, .. }
        | SubscriptionEvent::SubscriptionDiscounted { user_id, price, .. } => vec![charge(id, user_id, *price)],
        SubscriptionEvent::SubscriptionCharged { user_id, display_name, amount, discount, period, .. } => {
            vec![invoice(id, user_id, display_name, *amount, *discount, *period)]
        }
        SubscriptionEvent::SubscriptionRenewed { user_id, display_name, amount, period, .. } => {
            vec![
                invoice(id, user_id, display_name, *amount, Rupiah::ZERO, *period),
                lifetimes::stop_awaiting(id, user_id),
            ]
        }
        SubscriptionEvent::SubscriptionProvisioningStarted { .. } => provision(id, event).into_iter().collect(),
        SubscriptionEvent::SubscriptionActivated { user_id, display_name, external_url, .. } => {
            let template = MailTemplate::ServiceReady {
                subscription_id: id.to_owned(),
                display_name: display_name.clone(),
                external_url: external_url.clone(),
            };
            vec![mail("service-ready-mail", &["service-ready", id], user_id, template)]
        }
        SubscriptionEvent::SubscriptionProvisioningFailed { user_id, instance_id, refund, .. } => {
            let back = refund.is_positive().then(|| refund_first_period(id, user_id, *refund));
            back.into_iter().chain([delete_instance(instance_id, true)]).collect()
        }
        SubscriptionEvent::SubscriptionRenewalStarted { user_id, period, amount, .. } => {
            vec![charge_renewal(id, user_id, *amount, period.number)]
        }
        SubscriptionEvent::SubscriptionCancelled { .. } => after_end(id, event),
        SubscriptionEvent::SubscriptionSuspended { .. } | SubscriptionEvent::SubscriptionExpired { .. } => {
            lifetimes::after_rest(id, event)
        }
        SubscriptionEvent::SubscriptionResumeStarted { plan_id, .. } => vec![regain_slot(id, plan_id)],
        SubscriptionEvent::SubscriptionResumed { .. } => lifetimes::after_resumption(id, event),
        SubscriptionEvent::SubscriptionResumeFailed { .. } => lifetimes::after_failed_resumption(id, event),
        SubscriptionEvent::SubscriptionExtended { user_id, .. } => vec![lifetimes::stop_awaiting(id, user_id)],
        SubscriptionEvent::SubscriptionEndApproaching { .. }
        | SubscriptionEvent::SubscriptionGraceStarted { .. }
        | SubscriptionEvent::SubscriptionDataEndApproaching { .. }
        | SubscriptionEvent::SubscriptionPurged { .. } => lifetimes::after_milestone(id, event),
        SubscriptionEvent::SubscriptionPlanChangeStarted { .. }
        | SubscriptionEvent::SubscriptionPlanChangeSlotHeld { .. }
        | SubscriptionEvent::SubscriptionPlanChangePaid { .. }
        | SubscriptionEvent::SubscriptionPlanChanged { .. }
        | SubscriptionEvent::SubscriptionPlanChangeFailed { .. }
        | SubscriptionEvent::SubscriptionPlanChangeReverted { .. } => plan_changes::after_change(id, event),
        SubscriptionEvent::SubscriptionSettingsChanged { instance_id, overrides, .. } => {
            let command = InstanceCommand::Reconfigure { overrides: overrides.clone() };
            vec![to_instance("reconfigure-instance", instance_id, command)]
        }
        SubscriptionEvent::SubscriptionRefunded { .. }
        | SubscriptionEvent::SubscriptionRenewalFailed { .. }
        | SubscriptionEvent::SubscriptionAutoRenewChanged { .. }
        | SubscriptionEvent::SubscriptionCancellationWithdrawn { .. }
        | SubscriptionEvent::SubscriptionDowngradeScheduled { .. }
        | SubscriptionEvent::SubscriptionDowngradeWithdrawn { .. }
        | SubscriptionEvent::SubscriptionCancellationScheduled { .. } => Vec::new(),
    }
}

pub fn after_plan(plan_id: &str, event: &PlanEvent) -> Vec<Reaction> {
    match event {
        PlanEvent::PlanSlotAllocated { subscription_id, .. } => {
            let command = SubscriptionCommand::ConfirmSlot { plan_id: Some(plan_id.to_owned()) };
            let confirm = to_subscription("confirm-slot", subscription_id, command);
            let (plan_id, subscription_id) = (plan_id.to_owned(), subscription_id.clone());
            vec![confirm.or(OnRefusal::ReleaseSlot { plan_id, subscription_id }).inline()]
        }
        PlanEvent::PlanPublished { .. }
        | PlanEvent::PlanRevised { .. }
        | PlanEvent::PlanPriceChanged { .. }
        | PlanEvent::PlanCapacityChanged { .. }
        | PlanEvent::PlanRetired { .. }
        | PlanEvent::PlanReinstated { .. }
        | PlanEvent::PlanDeleted { .. }
        | PlanEvent::PlanSlotReleased { .. } => Vec::new(),
    }
}

pub fn after_wallet(user_id: &str, event: &WalletEvent) -> Vec<Reaction> {
    match event {
        WalletEvent::WalletDebited {
            amount,
            cause: EntryCause::SubscriptionPeriod { subscription_id, period },
            ..
        } => {
            let period = *period;
            let confirm = if period == 1 {
                to_subscription("confirm-charge", subscription_id, SubscriptionCommand::ConfirmCharge)
            } else {
                to_subscription("confirm-renewal", subscription_id, SubscriptionCommand::ConfirmRenewal { period })
            };
            let (user_id, subscription_id) = (user_id.to_owned(), subscription_id.clone());
            vec![confirm.or(OnRefusal::RefundCharge { user_id, subscription_id, period, amount: *amount }).inline()]
        }
        WalletEvent::WalletRefunded {
            cause: EntryCause::SubscriptionPeriodRefund { subscription_id, period }, ..
        } => {
            let command = SubscriptionCommand::ConfirmRefund { period: *period };
            vec![to_subscription("confirm-refund", subscription_id, command).inline()]
        }
        WalletEvent::WalletDebited { amount, cause: EntryCause::PlanChange { subscription_id, change }, .. } => {
            vec![plan_changes::after_charge(user_id, subscription_id, *change, *amount)]
        }
        WalletEvent::WalletFundsArrived { subscription_id, .. } => {
            vec![to_subscription("renew-funded", subscription_id, SubscriptionCommand::RenewFunded)]
        }
        WalletEvent::WalletOpened { .. }
        | WalletEvent::WalletFundsAwaited { .. }
        | WalletEvent::WalletFundsNoLongerAwaited { .. }
        | WalletEvent::WalletCredited { .. }
        | WalletEvent::WalletDebited { .. }
        | WalletEvent::WalletRefunded { .. }
        | WalletEvent::WalletReversed { .. }
        | WalletEvent::WalletAdjusted { .. } => Vec::new(),
    }
}

pub fn after_instance(instance_id: &str, event: &InstanceEvent) -> Vec<Reaction> {
    match event {
        InstanceEvent::InstanceReady { subscription_id, external_url, .. } => {
            let command = SubscriptionCommand::Activate { external_url: external_url.clone() };
            let stop = OnRefusal::StopInstance { instance_id: instance_id.to_owned() };
            vec![to_subscription("activate", subscription_id, command).or(stop)]
        }
        InstanceEvent::InstanceFailed { subscription_id, detail, .. } => {
            let command = SubscriptionCommand::FailProvisioning { detail: detail.clone() };
            vec![to_subscription("fail-provisioning", subscription_id, command)]
        }
        InstanceEvent::InstanceResized { .. } | InstanceEvent::InstanceResizeFailed { .. } => {
            plan_changes::after_resize(event)
        }
        InstanceEvent::InstanceReset { subscription_id, user_id, display_name, generation, .. } => {
            let (id, display_name) = (subscription_id.clone(), display_name.clone());
            let told = MailTemplate::InstanceReset { subscription_id: id, display_name };
            let cause = ["instance-reset", instance_id, &generation.to_string()];
            vec![mail("instance-reset-mail", &cause, user_id, told)]
        }
        InstanceEvent::InstanceHealingPlanned { subscription_id, user_id, display_name, due, attempt: 1, .. } => {
            let (id, display_name) = (subscription_id.clone(), display_name.clone());
            let told = MailTemplate::InstanceUnhealthy { subscription_id: id, display_name };
            let cause = ["instance-unhealthy", instance_id, &due.unix_millis().to_string()];
            vec![mail("instance-unhealthy-mail", &cause, user_id, told)]
        }
        InstanceEvent::InstanceHealingGivenUp {
            subscription_id, user_id, display_name, occurred_at, attempts, ..
        } => {
            let (id, display_name, attempts) = (subscription_id.clone(), display_name.clone(), *attempts);
            let told = MailTemplate::InstanceNotHealing { subscription_id: id, display_name, attempts };
            let cause = ["instance-not-healing", instance_id, &occurred_at.unix_millis().to_string()];
            vec![mail("instance-not-healing-mail", &cause, user_id, told)]
        }
        InstanceEvent::InstanceProvisionRequested { .. }
        | InstanceEvent::InstanceHealingPlanned { .. }
        | InstanceEvent::InstanceDriftDetected { .. }
        | InstanceEvent::InstanceDriftRepaired { .. }
        | InstanceEvent::InstanceDriftStands { .. }
        | InstanceEvent::InstanceRemovalHindered { .. }
        | InstanceEvent::InstanceStartHindered { .. }
        | InstanceEvent::InstanceResetRequested { .. }
        | InstanceEvent::InstanceResizeRequested { .. }
        | InstanceEvent::InstanceObjectsApplied { .. }
        | InstanceEvent::InstanceUnhealthy { .. }
        | InstanceEvent::InstanceStopRequested { .. }
        | InstanceEvent::InstanceStopped { .. }
        | InstanceEvent::InstanceStartRequested { .. }
        | InstanceEvent::InstanceRestartRequested { .. }
        | InstanceEvent::InstanceDeletionRequested { .. }
        | InstanceEvent::InstanceDeleted { .. }
        | InstanceEvent::InstanceLocked { .. }
        | InstanceEvent::InstanceUnlocked { .. }
        | InstanceEvent::InstanceHostsRequested { .. }
        | InstanceEvent::InstanceRestingHostsRequested { .. }
        | InstanceEvent::InstanceHostsChanged { .. }
        | InstanceEvent::InstanceHostsRefused { .. }
        | InstanceEvent::InstanceReconfigured { .. } => Vec::new(),
    }
}

pub fn to_subscription(policy: &'static str, id: &str, command: SubscriptionCommand) -> Reaction {
    Reaction::new(policy, id, AnyCommand::Subscription(command))
}

fn allocate_slot(id: &str, plan: &PlanSnapshot) -> Reaction {
    let command = AnyCommand::Plan(PlanCommand::AllocateSlot { subscription_id: id.to_owned() });
    let reject = OnRefusal::RejectSubscription { subscription_id: id.to_owned() };
    Reaction::new("allocate-slot", &plan.plan_id, command).or(reject).inline()
}

/// What costs nothing goes on without the wallet.
fn charge(id: &str, user_id: &str, price: Rupiah) -> Reaction {
    if !price.is_positive() {
        return to_subscription("confirm-free", id, SubscriptionCommand::ConfirmCharge).inline();
    }
    let reject = OnRefusal::RejectSubscription { subscription_id: id.to_owned() };
    debit("charge", id, user_id, price, 1).or(reject)
}

fn charge_renewal(id: &str, user_id: &str, price: Rupiah, period: u32) -> Reaction {
    if !price.is_positive() {
        return to_subscription("confirm-free-renewal", id, SubscriptionCommand::ConfirmRenewal { period }).inline();
    }
    let fail = OnRefusal::FailRenewal { subscription_id: id.to_owned(), period };
    debit("charge-renewal", id, user_id, price, period).or(fail)
}

fn debit(policy: &'static str, id: &str, user_id: &str, amount: Rupiah, period: u32) -> Reaction {
    let cause = EntryCause::SubscriptionPeriod { subscription_id: id.to_owned(), period };
    Reaction::new(policy, user_id, AnyCommand::Wallet(WalletCommand::Debit { amount, cause })).inline()
}

fn refund_first_period(id: &str, user_id: &str, amount: Rupiah) -> Reaction {
    let cause = EntryCause::SubscriptionPeriodRefund { subscription_id: id.to_owned(), period: 1 };
    Reaction::new("refund", user_id, AnyCommand::Wallet(WalletCommand::Refund { amount, cause })).inline()
}

/// Never in-line: what an instance shall do follows the order of the log, not that of whoever is quicker.
pub fn to_instance(policy: &'static str, instance_id: &str, command: InstanceCommand) -> Reaction {
    Reaction::new(policy, instance_id, AnyCommand::Instance(command))
}

pub fn delete_instance(instance_id: &str, purge_volume: bool) -> Reaction {
    to_instance("delete-instance", instance_id, InstanceCommand::Delete { purge_volume })
}

pub fn release_slot(id: &str, plan_id: &str) -> Reaction {
    let command = AnyCommand::Plan(PlanCommand::ReleaseSlot { subscription_id: id.to_owned() });
    Reaction::new("release-slot", plan_id, command).inline()
}

fn regain_slot(id: &str, plan_id: &str) -> Reaction {
    let command = AnyCommand::Plan(PlanCommand::RegainSlot { subscription_id: id.to_owned() });
    let fail = OnRefusal::FailResume { subscription_id: id.to_owned() };
    Reaction::new("regain-slot", plan_id, command).or(fail).inline()
}

/// `amount` is paid, `discount` less than the plan's price.
fn invoice(id: &str, user_id: &str, display_name: &str, amount: Rupiah, discount: Rupiah, period: Period) -> Reaction {
    let subject =
        InvoiceKind::Subscription { subscription_id: id.to_owned(), display_name: display_name.to_owned(), period };
    let description = format!("{display_name}, {} to {}", day(period.start), day(period.end));
    let list_price = Rupiah::new(amount.amount().saturating_add(discount.amount()));
    let taken_off = discount.is_positive().then(|| line(DISCOUNT, Rupiah::new(-discount.amount())));
    let lines = [line(&description, list_price)].into_iter().chain(taken_off).collect();
    draft_of(&["subscription", id, &period.number.to_string()], user_id, subject, lines, amount)
}

fn day(at: Timestamp) -> String {
    let date = at.jakarta_date();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// What the plan sold; of the customer's overrides the names.
fn provision(id: &str, event: &SubscriptionEvent) -> Option<Reaction> {
    let SubscriptionEvent::SubscriptionProvisioningStarted {
        user_id,
        instance_id,
        plan,
        subdomain,
        overrides,
        deadline,
        ..
    } = event
    else {
        return None;
    };
    let spec = InstanceSpec {
        instance_id: instance_id.clone(),
        subscription_id: id.to_owned(),
        user_id: user_id.clone(),
        offering: plan.offering.clone(),
        variant: plan.variant.clone(),
        display_name: plan.display_name.clone(),
        docker_image: plan.docker_image.clone(),
        container_port: plan.container_port,
        environment: plan.environment.clone(),
        overrides: overrides.clone(),
        cpu_request: plan.cpu_request.clone(),
        cpu_limit: plan.cpu_limit.clone(),
        mem_request: plan.mem_request.clone(),
        mem_limit: plan.mem_limit.clone(),
        volume_size: plan.volume_size.clone(),
        volume_mount_path: plan.volume_mount_path.clone(),
        storage_class: plan.storage_class.clone(),
        access_mode: plan.access_mode.clone(),
        subdomain: subdomain.clone(),
        hosts: Vec::new(),
        public_host: None,
        hosts_edition: 0,
    };
    let command = AnyCommand::Instance(InstanceCommand::Provision { spec, deadline: *deadline });
    Some(Reaction::new("provision", instance_id, command))
}

/// Slot back; the workload goes and, when a person ended it, its data stays for the retention time.
fn after_end(id: &str, event: &SubscriptionEvent) -> Vec<Reaction> {
    let SubscriptionEvent::SubscriptionCancelled {
        user_id,
        instance_id,
        plan_id,
        display_name,
        held_slot,
        refunded,
        reason,
        returned_coupon_id,
        data_until,
        ..
    } = event
    else {
        return Vec::new();
    };
    let release = held_slot.then(|| release_slot(id, plan_id));
    let give_back = returned_coupon_id.as_ref().map(|coupon_id| coupons::give_back(coupon_id, id, user_id));
    // What never ran never waited for money.
    let no_wait = data_until.map(|_| lifetimes::stop_awaiting(id, user_id));
    let (subscription_id, display_name) = (id.to_owned(), display_name.clone());
    let rest = match reason {
        CancelReason::Customer { .. } | CancelReason::Administrator { .. } => {
            let template = MailTemplate::SubscriptionCancelled { subscription_id, display_name };
            vec![
                delete_instance(instance_id, false),
                mail("cancelled-mail", &["subscription-cancelled", id], user_id, template),
            ]
        }
        CancelReason::ProvisioningFailed { .. } => {
            let template =
                MailTemplate::ProvisioningFailedRefunded { subscription_id, display_name, amount: *refunded };
            vec![mail("provisioning-failed-mail", &["provisioning-failed", id], user_id, template)]
        }
        // Told at once in the answer to the request.
        CancelReason::SoldOut | CancelReason::InsufficientBalance | CancelReason::Refused { .. } => Vec::new(),
    };
    release.into_iter().chain(give_back).chain(rest).chain(no_wait).collect()
}
