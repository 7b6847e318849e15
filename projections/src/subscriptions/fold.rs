//! How facts about subscriptions and instances become rows.

use std::collections::BTreeSet;

use minispod_events::{CancelReason, Event, Fact, InstanceEvent, InstanceSpec, Period, SubscriptionEvent};
use minispod_kernel::{Rupiah, Timestamp};
use sqlx::PgConnection;

use super::rows::{DriftState, InstanceRow, InstanceStatus, SubscriptionRow, SubscriptionStatus};
use crate::{ProjectionError, rows::Rows};

pub(super) async fn apply(tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
    let (mut of_subscriptions, mut of_instances) = (BTreeSet::new(), BTreeSet::new());
    for fact in facts {
        match fact.event {
            Event::Subscription(_) => of_subscriptions.insert(fact.recorded.aggregate_id.clone()),
            Event::Instance(_) => of_instances.insert(fact.recorded.aggregate_id.clone()),
            _ => false,
        };
    }
    let mut subscriptions = Rows::load(tx, of_subscriptions).await?;
    let mut instances = Rows::load(tx, of_instances).await?;
    for fact in facts {
        let id = &fact.recorded.aggregate_id;
        match &fact.event {
            Event::Subscription(event) => fold_subscription(&mut subscriptions, id, event),
            Event::Instance(event) => fold_instance(&mut instances, id, event),
            _ => {}
        }
    }
    subscriptions.store(tx).await?;
    instances.store(tx).await
}

fn fold_subscription(rows: &mut Rows<SubscriptionRow>, id: &str, event: &SubscriptionEvent) {
    if let Some(row) = requested(id, event) {
        rows.put(row);
        return;
    }
    let Some(row) = rows.edit(id) else { return };
    match event {
        SubscriptionEvent::SubscriptionCharged { period, .. } => {
            row.charged = true;
            row.start_date = period.start;
            set_period(row, period);
        }
        SubscriptionEvent::SubscriptionProvisioningStarted { overrides, .. }
        | SubscriptionEvent::SubscriptionSettingsChanged { overrides, .. } => row.overrides.clone_from(overrides),
        SubscriptionEvent::SubscriptionActivated { period, external_url, occurred_at, .. } => {
            row.status = SubscriptionStatus::Active;
            row.start_date = period.start;
            row.activated_at = Some(*occurred_at);
            row.external_url = Some(external_url.clone());
            row.failure = None;
            set_period(row, period);
        }
        SubscriptionEvent::SubscriptionProvisioningFailed { detail, .. } => row.failure = Some(detail.clone()),
        SubscriptionEvent::SubscriptionRenewed { period, amount, .. } => {
            row.status = SubscriptionStatus::Active;
            row.price = *amount;
            row.discount = Rupiah::ZERO;
            row.failure = None;
            set_period(row, period);
        }
        SubscriptionEvent::SubscriptionRenewalFailed { code, .. }
        | SubscriptionEvent::SubscriptionResumeFailed { code, .. } => row.failure = Some(code.clone()),
        SubscriptionEvent::SubscriptionCancelled { reason, data_until, .. } => {
            row.status = SubscriptionStatus::Cancelled;
            row.cancel_reason = Some(reason_text(reason));
            over(row, *data_until);
        }
        SubscriptionEvent::SubscriptionSuspended { .. } => row.status = SubscriptionStatus::Suspended,
        SubscriptionEvent::SubscriptionExpired { data_until, .. } => {
            row.status = SubscriptionStatus::Expired;
            over(row, *data_until);
        }
        SubscriptionEvent::SubscriptionResumed { .. } => {
            row.status = SubscriptionStatus::Active;
            row.failure = None;
            row.data_until = None;
        }
        SubscriptionEvent::SubscriptionExtended { period, .. } => {
            set_period(row, period);
            row.cancel_at = row.cancel_at.map(|_| period.end);
        }
        SubscriptionEvent::SubscriptionAutoRenewChanged { auto_renew, .. } => row.auto_renew = *auto_renew,
        _ => follow_life(row, event),
    }
    row.updated_at = minispod_kernel::Event::occurred_at(event);
}

/// What is wished for the next period, and what plan it has.
fn follow_life(row: &mut SubscriptionRow, event: &SubscriptionEvent) {
    match event {
        SubscriptionEvent::SubscriptionCancellationScheduled { at, .. } => row.cancel_at = Some(*at),
        SubscriptionEvent::SubscriptionCancellationWithdrawn { .. } => row.cancel_at = None,
        SubscriptionEvent::SubscriptionGraceStarted { until, .. } => row.grace_until = Some(*until),
        SubscriptionEvent::SubscriptionDowngradeScheduled { to, .. } => row.next_plan_id = Some(to.plan_id.clone()),
        SubscriptionEvent::SubscriptionDowngradeWithdrawn { .. }
        | SubscriptionEvent::SubscriptionPlanChangeStarted { at_period_end: true, .. } => row.next_plan_id = None,
        SubscriptionEvent::SubscriptionPlanChanged { plan, .. } => {
            row.plan_id.clone_from(&plan.plan_id);
            row.variant.clone_from(&plan.variant);
            row.display_name.clone_from(&plan.display_name);
            row.docker_image.clone_from(&plan.docker_image);
            row.price = plan.price;
            row.discount = Rupiah::ZERO;
        }
        SubscriptionEvent::SubscriptionDiscounted { discount, .. } => row.discount = *discount,
        SubscriptionEvent::SubscriptionPlanChangeFailed { code, .. }
        | SubscriptionEvent::SubscriptionPlanChangeReverted { code, .. } => row.failure = Some(code.clone()),
        // Nobody's live subscription any more.
        SubscriptionEvent::SubscriptionPurged { expired, .. } => {
            row.data_until = None;
            if *expired {
                row.status = SubscriptionStatus::Cancelled;
                row.cancel_reason = Some("expired and deleted".to_owned());
            }
        }
        _ => {}
    }
}

/// Nothing is wished for what is over.
fn over(row: &mut SubscriptionRow, data_until: Option<Timestamp>) {
    row.data_until = data_until;
    row.grace_until = None;
    row.next_plan_id = None;
    row.cancel_at = None;
}

fn set_period(row: &mut SubscriptionRow, period: &Period) {
    row.period_number = period.number;
    row.period_start = period.start;
    row.expires_at = period.end;
    row.grace_until = None;
}

fn requested(id: &str, event: &SubscriptionEvent) -> Option<SubscriptionRow> {
    let SubscriptionEvent::SubscriptionRequested {
        user_id,
        instance_id,
        plan,
        cycle,
        subdomain,
        overrides,
        auto_renew,
        coupon_id,
        occurred_at,
    } = event
    else {
        return None;
    };
    Some(SubscriptionRow {
        id: id.to_owned(),
        user_id: user_id.clone(),
        plan_id: plan.plan_id.clone(),
        instance_id: instance_id.clone(),
        status: SubscriptionStatus::PendingDeployment,
        charged: false,
        offering: plan.offering.clone(),
        variant: plan.variant.clone(),
        display_name: plan.display_name.clone(),
        price: plan.price,
        discount: Rupiah::ZERO,
        coupon_id: coupon_id.clone(),
        cycle: *cycle,
        docker_image: plan.docker_image.clone(),
        subdomain: subdomain.clone(),
        overrides: overrides.clone(),
        auto_renew: *auto_renew,
        external_url: None,
        period_number: 0,
        start_date: *occurred_at,
        period_start: *occurred_at,
        expires_at: *occurred_at,
        activated_at: None,
        cancel_at: None,
        cancel_reason: None,
        grace_until: None,
        next_plan_id: None,
        data_until: None,
        failure: None,
        created_at: *occurred_at,
        updated_at: *occurred_at,
    })
}

/// People's own words stay in the log, sealed: a read model would have to forget them by itself.
fn reason_text(reason: &CancelReason) -> String {
    match reason {
        CancelReason::Customer { .. } => "cancelled by the customer".to_owned(),
        CancelReason::Administrator { .. } => "cancelled by an administrator".to_owned(),
        CancelReason::SoldOut => "sold out".to_owned(),
        CancelReason::InsufficientBalance => "insufficient balance".to_owned(),
        CancelReason::Refused { code } => code.clone(),
        CancelReason::ProvisioningFailed { detail } => detail.clone(),
    }
}

fn fold_instance(rows: &mut Rows<InstanceRow>, id: &str, event: &InstanceEvent) {
    if let Some(row) = InstanceRow::after(rows.get(id).cloned(), id, event) {
        rows.put(row);
    }
}

impl InstanceRow {
    /// The row after `event`: `row` is the one before it, `None` before the instance was asked for.
    pub fn after(row: Option<Self>, id: &str, event: &InstanceEvent) -> Option<Self> {
        let at = minispod_kernel::Event::occurred_at(event);
        if let InstanceEvent::InstanceProvisionRequested { spec, generation, .. } = event {
            return Some(provisioned(id, spec, *generation, at));
        }
        let mut row = row?;
        follow(&mut row, event, at);
        if is_report(event) {
            row.last_status_sync = Some(at);
        }
        row.updated_at = at;
        Some(row)
    }
}

/// Objects of an instance that are named where they differ.
const MOST_OBJECTS: usize = 20;

/// The cluster's own words may name what is somebody else's, so its owner reads this and the like; of this one the fact
/// has the words for operators, of the others `hindrance` has them.
const HOSTS_REFUSED: &str = "the cluster does not take its hosts as they are asked for; it is tried again";
const START_HINDERED: &str = "Something in the cluster keeps it from starting; our team is looking at it.";
const REMOVAL_HINDERED: &str = "Something in the cluster keeps it from being removed; our team is looking at it.";
const DRIFT_STANDS: &str = "Something in the cluster keeps it from being put right; our team is looking at it.";

fn follow(row: &mut InstanceRow, event: &InstanceEvent, at: Timestamp) {
    match event {
        InstanceEvent::InstanceObjectsApplied { .. } => applied(row, event),
        InstanceEvent::InstanceReady { external_url, .. } => {
            row.status = InstanceStatus::Running;
            row.external_url = Some(external_url.clone());
            row.ready_at = Some(at);
            no_fault(row);
            if row.volume_claim_name.is_some() {
                "Bound".clone_into(&mut row.volume_status);
            }
        }
        InstanceEvent::InstanceUnhealthy { detail, .. } => seen(row, InstanceStatus::Unknown, Some(detail)),
        InstanceEvent::InstanceFailed { detail, .. } => seen(row, InstanceStatus::Failed, Some(detail)),
        InstanceEvent::InstanceStopped { .. } => {
            seen(row, InstanceStatus::Stopped, None);
            no_hindrance(row);
        }
        InstanceEvent::InstanceStartRequested { spec, generation, .. } => {
            ask(row, spec, *generation, InstanceStatus::Pending);
        }
        InstanceEvent::InstanceRestartRequested { spec, generation, .. } => {
            ask(row, spec, *generation, InstanceStatus::Restarting);
            row.restart_count += 1;
        }
        InstanceEvent::InstanceResizeRequested { spec, generation, .. } => {
            ask(row, spec, *generation, InstanceStatus::Restarting);
        }
        InstanceEvent::InstanceResetRequested { spec, generation, .. } => {
            ask(row, spec, *generation, InstanceStatus::Resetting);
        }
        InstanceEvent::InstanceReset { .. } => {
            row.reset_count += 1;
            row.last_reset_at = Some(at);
        }
        InstanceEvent::InstanceStopRequested { spec, generation, .. }
        | InstanceEvent::InstanceDeletionRequested { spec, generation, .. } => {
            let status = row.status;
            ask(row, spec, *generation, status);
        }
        InstanceEvent::InstanceDeleted { volume_purged, .. } => {
            seen(row, InstanceStatus::Deleted, None);
            no_hindrance(row);
            if *volume_purged && row.volume_size.is_some() {
                "Deleted".clone_into(&mut row.volume_status);
            }
        }
        InstanceEvent::InstanceReconfigured { spec, .. } => {
            take_spec(row, spec);
            row.overrides.clone_from(&spec.overrides);
        }
        InstanceEvent::InstanceRemovalHindered { detail, .. } => hindered(row, REMOVAL_HINDERED, detail),
        InstanceEvent::InstanceStartHindered { detail, .. } => hindered(row, START_HINDERED, detail),
        InstanceEvent::InstanceHostsRefused { .. } => row.last_error = Some(HOSTS_REFUSED.to_owned()),
        InstanceEvent::InstanceHostsChanged { .. } => row.last_error = row.last_error.take().filter(is_no_refusal),
        InstanceEvent::InstanceDriftDetected { .. }
        | InstanceEvent::InstanceDriftStands { .. }
        | InstanceEvent::InstanceDriftRepaired { .. } => follow_drift(row, event, at),
        // What a lock means for the cluster has events of its own; a request for an instance was written above.
        InstanceEvent::InstanceLocked { .. }
        | InstanceEvent::InstanceHealingPlanned { .. }
        | InstanceEvent::InstanceHealingGivenUp { .. }
        | InstanceEvent::InstanceHostsRequested { .. }
        | InstanceEvent::InstanceRestingHostsRequested { .. }
        | InstanceEvent::InstanceResized { .. }
        | InstanceEvent::InstanceResizeFailed { .. }
        | InstanceEvent::InstanceUnlocked { .. }
        | InstanceEvent::InstanceProvisionRequested { .. } => {}
    }
}

/// Whether the event says what the cluster did, and not what somebody asked for.
fn is_report(event: &InstanceEvent) -> bool {
    matches!(
        event,
        InstanceEvent::InstanceObjectsApplied { .. }
            | InstanceEvent::InstanceReady { .. }
            | InstanceEvent::InstanceUnhealthy { .. }
            | InstanceEvent::InstanceFailed { .. }
            | InstanceEvent::InstanceStopped { .. }
            | InstanceEvent::InstanceDeleted { .. }
            | InstanceEvent::InstanceReset { .. }
            | InstanceEvent::InstanceDriftDetected { .. }
            | InstanceEvent::InstanceHostsChanged { .. }
            | InstanceEvent::InstanceHostsRefused { .. }
            | InstanceEvent::InstanceDriftRepaired { .. }
            | InstanceEvent::InstanceDriftStands { .. }
            | InstanceEvent::InstanceRemovalHindered { .. }
            | InstanceEvent::InstanceStartHindered { .. }
    )
}

fn is_no_refusal(error: &String) -> bool {
    error != HOSTS_REFUSED
}

/// What was found again after it stood has not been right in between.
fn follow_drift(row: &mut InstanceRow, event: &InstanceEvent, at: Timestamp) {
    match event {
        InstanceEvent::InstanceDriftDetected { findings, .. } => {
            row.drift_state = DriftState::Found;
            row.drift_objects = findings.iter().take(MOST_OBJECTS).map(|finding| finding.object.clone()).collect();
            row.drift_since = row.drift_since.or(Some(at));
        }
        InstanceEvent::InstanceDriftStands { detail, .. } => {
            row.drift_state = DriftState::Stands;
            row.drift_since = row.drift_since.or(Some(at));
            hindered(row, DRIFT_STANDS, detail);
        }
        InstanceEvent::InstanceDriftRepaired { .. } => {
            no_drift(row);
            // What runs has no fault any more; what does not may have another.
            if row.status == InstanceStatus::Running || row.last_error.as_deref() == Some(DRIFT_STANDS) {
                no_fault(row);
            }
        }
        _ => {}
    }
}

fn no_drift(row: &mut InstanceRow) {
    row.drift_state = DriftState::None;
    row.drift_objects.clear();
    row.drift_since = None;
}

fn hindered(row: &mut InstanceRow, sentence: &str, detail: &str) {
    row.last_error = Some(sentence.to_owned());
    row.hindrance = Some(detail.to_owned());
}

fn no_fault(row: &mut InstanceRow) {
    row.last_error = None;
    row.hindrance = None;
}

/// What hindered it does not any more; another fault that was told stays.
fn no_hindrance(row: &mut InstanceRow) {
    row.hindrance = None;
    let is_other = |error: &String| !matches!(error.as_str(), START_HINDERED | REMOVAL_HINDERED | DRIFT_STANDS);
    row.last_error = row.last_error.take().filter(is_other);
}

fn seen(row: &mut InstanceRow, status: InstanceStatus, error: Option<&String>) {
    row.status = status;
    if error.is_some() {
        row.last_error = error.cloned();
    }
}

fn ask(row: &mut InstanceRow, spec: &InstanceSpec, generation: u32, status: InstanceStatus) {
    take_spec(row, spec);
    // All of it is applied anew.
    no_drift(row);
    no_hindrance(row);
    row.generation = generation;
    row.status = status;
}

fn applied(row: &mut InstanceRow, event: &InstanceEvent) {
    let InstanceEvent::InstanceObjectsApplied {
        generation,
        namespace,
        workload,
        internal_url,
        external_url,
        volume_claim,
        simulated,
        ..
    } = event
    else {
        return;
    };
    row.generation = *generation;
    row.namespace = Some(namespace.clone());
    row.pod_name = Some(workload.clone());
    row.internal_url = Some(internal_url.clone());
    row.external_url = Some(external_url.clone());
    row.volume_claim_name.clone_from(volume_claim);
    row.simulated = *simulated;
}

fn take_spec(row: &mut InstanceRow, spec: &InstanceSpec) {
    row.variant.clone_from(&spec.variant);
    row.display_name.clone_from(&spec.display_name);
    row.docker_image.clone_from(&spec.docker_image);
    row.container_port = spec.container_port;
    row.cpu_request.clone_from(&spec.cpu_request);
    row.cpu_limit.clone_from(&spec.cpu_limit);
    row.mem_request.clone_from(&spec.mem_request);
    row.mem_limit.clone_from(&spec.mem_limit);
    row.volume_size.clone_from(&spec.volume_size);
    row.volume_mount_path.clone_from(&spec.volume_mount_path);
    row.subdomain.clone_from(&spec.subdomain);
}

fn provisioned(id: &str, spec: &InstanceSpec, generation: u32, at: Timestamp) -> InstanceRow {
    InstanceRow {
        id: id.to_owned(),
        subscription_id: spec.subscription_id.clone(),
        user_id: spec.user_id.clone(),
        offering: spec.offering.clone(),
        variant: spec.variant.clone(),
        display_name: spec.display_name.clone(),
        docker_image: spec.docker_image.clone(),
        container_port: spec.container_port,
        status: InstanceStatus::Pending,
        generation,
        pod_name: None,
        namespace: None,
        internal_url: None,
        external_url: None,
        simulated: false,
        cpu_request: spec.cpu_request.clone(),
        cpu_limit: spec.cpu_limit.clone(),
        mem_request: spec.mem_request.clone(),
        mem_limit: spec.mem_limit.clone(),
        overrides: spec.overrides.clone(),
        subdomain: spec.subdomain.clone(),
        volume_claim_name: None,
        volume_status: if spec.volume_size.is_some() { "Pending" } else { "None" }.to_owned(),
        volume_size: spec.volume_size.clone(),
        volume_mount_path: spec.volume_mount_path.clone(),
        last_error: None,
        hindrance: None,
        last_status_sync: None,
        ready_at: None,
        restart_count: 0,
        reset_count: 0,
        last_reset_at: None,
        drift_state: DriftState::None,
        drift_objects: Vec::new(),
        drift_since: None,
        created_at: at,
        updated_at: at,
    }
}
