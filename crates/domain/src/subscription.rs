//! A subscription: request, slot, charge, provision, active; and every way back.

use std::time::Duration;

use minispod_events::{BillingCycle, CancelReason, Period, PlanSnapshot, SubscriptionEvent};
use minispod_kernel::{Aggregate, Consequence, Moment, Rupiah, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{bridge::bridge, plan::details};

mod changing;
mod command;
mod discounting;
mod life;
mod renewing;
mod settings;
mod standing;
#[cfg(test)]
mod tests;
mod timers;

pub use changing::{CHANGE_DEADLINE, ENDED, TIMED_OUT};
pub use command::{SubscriptionCommand, SubscriptionRefusal};
pub use life::{NOTICE_DAYS, RETENTION};
pub use standing::{EXTENSION_DAYS, RESUME_DEADLINE};

/// How long a paid service may take to become ready before the money goes back.
pub const PROVISIONING_DEADLINE: Duration = Duration::from_mins(10);
/// How long after its end a period is still followed without a gap; a later renewal begins on its own day.
pub const GRACE: Duration = Duration::from_hours(3 * 24);
/// Most environment variables that a customer may set.
pub const MAX_OVERRIDES: usize = 100;

/// State: what was sold, and how far it got.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Subscription {
    sold: Option<Sold>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own beside the phase")]
struct Sold {
    user_id: String,
    instance_id: String,
    plan: PlanSnapshot,
    cycle: BillingCycle,
    subdomain: String,
    overrides: Vec<String>,
    auto_renew: bool,
    /// The coupon that its first period was asked to cost less by.
    coupon_id: Option<String>,
    /// How much less than the plan's price the current period costs.
    discount: Rupiah,
    phase: Phase,
    /// A slot was confirmed and was not given back by a suspension or expiry since.
    has_slot: bool,
    /// It waits for a slot to run again; so many days are added to its period then.
    resuming: Option<u16>,
    /// The last paid period; period 1 has its bounds from activation.
    paid: Option<Period>,
    anchor_day: u8,
    renewing: Option<Period>,
    /// The resumption that waits pays the next period before it runs.
    restoring: bool,
    /// The paid period is over and not followed; until then it runs on.
    grace: Option<Timestamp>,
    /// Days of the last notice of the paid period.
    noticed: Option<u8>,
    /// It ends with the paid period, and whose wish that was.
    ends: Option<Ends>,
    /// It ran out because the wallet did not cover it: money lets it go on.
    unpaid: bool,
    /// Money came for it and the plan had no slot: it is tried again.
    funded: bool,
    /// The resumption that waits was asked for by the wallet, which has the money.
    asked_by_wallet: bool,
    /// Until when the period runs that was sold for less, although the next one is paid already.
    discounted_until: Option<Timestamp>,
    /// Until when its data is kept after its end.
    data_until: Option<Timestamp>,
    /// The plan of the next period.
    downgrade: Option<changing::Scheduled>,
    /// Changes of plan so far.
    changes: u32,
    change: Option<changing::Change>,
    /// Changes that ended while their charge was on its way: it goes back when it comes.
    abandoned: Vec<u32>,
    /// What the wallet is still to get back, and why.
    refund_due: Rupiah,
    failure: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Requested,
    SlotHeld,
    Provisioning,
    Active,
    /// It must not run, for an administrator said so.
    Suspended,
    /// It must not run, for nobody paid on.
    Expired,
    /// It failed; the refund is on its way.
    Compensating,
    Cancelled,
    /// Over, and its data is deleted.
    Purged,
}

/// Who wished a subscription's end; what they said is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Ends {
    ByCustomer,
    ByAdministrator,
}

impl Aggregate for Subscription {
    type Event = SubscriptionEvent;
    type Command = SubscriptionCommand;
    type Refusal = SubscriptionRefusal;
    const FINGERPRINT: &'static str = "subscription-8";

    fn decide(&self, command: SubscriptionCommand, at: &Moment) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        match (&self.sold, command) {
            (None, command @ SubscriptionCommand::Request { .. }) => request(command, at.now),
            (None, _) => Err(SubscriptionRefusal::NotFound),
            (Some(_), SubscriptionCommand::Request { .. }) => Err(SubscriptionRefusal::AlreadyRequested),
            (Some(sold), command) => {
                let events = sold.decide(command, at.now)?;
                Ok(sold.without_wishes_of_what_ends(events, at.now))
            }
        }
    }

    fn apply(&mut self, event: &SubscriptionEvent) {
        if let SubscriptionEvent::SubscriptionRequested {
            user_id,
            instance_id,
            plan,
            cycle,
            subdomain,
            overrides,
            auto_renew,
            coupon_id,
            ..
        } = event
        {
            self.sold = Some(Sold {
                user_id: user_id.clone(),
                instance_id: instance_id.clone(),
                plan: plan.clone(),
                cycle: *cycle,
                subdomain: subdomain.clone(),
                overrides: overrides.clone(),
                auto_renew: *auto_renew,
                coupon_id: coupon_id.clone(),
                discount: Rupiah::ZERO,
                phase: Phase::Requested,
                has_slot: false,
                resuming: None,
                paid: None,
                anchor_day: 1,
                renewing: None,
                restoring: false,
                grace: None,
                noticed: None,
                ends: None,
                unpaid: false,
                funded: false,
                asked_by_wallet: false,
                discounted_until: None,
                data_until: None,
                downgrade: None,
                changes: 0,
                change: None,
                abandoned: Vec::new(),
                refund_due: Rupiah::ZERO,
                failure: String::new(),
            });
        }
        if let Some(sold) = &mut self.sold {
            sold.apply(event);
        }
    }

    fn consequences(id: &str, event: &SubscriptionEvent) -> Vec<Consequence> {
        timers::consequences(id, event)
    }
}

fn request(command: SubscriptionCommand, now: Timestamp) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
    let SubscriptionCommand::Request { user_id, instance_id, plan, cycle, subdomain, overrides, auto_renew, coupon_id } =
        command
    else {
        return Err(SubscriptionRefusal::NotFound);
    };
    if !is_subdomain(&subdomain) {
        return Err(SubscriptionRefusal::InvalidSubdomain);
    }
    if plan.price < Rupiah::ZERO {
        return Err(SubscriptionRefusal::NegativePrice);
    }
    settings::check(&overrides)?;
    Ok(vec![SubscriptionEvent::SubscriptionRequested {
        user_id,
        instance_id,
        plan,
        cycle,
        subdomain,
        overrides,
        auto_renew,
        coupon_id,
        occurred_at: now,
    }])
}

impl Sold {
    fn decide(
        &self,
        command: SubscriptionCommand,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        use SubscriptionCommand as Command;
        match command {
            Command::Suspend { .. } | Command::Extend { .. } | Command::Expire { .. } if self.change.is_some() => {
                Err(SubscriptionRefusal::PlanChangeUnderWay)
            }
            Command::Suspend { reason } => self.suspend(reason, now),
            Command::StartResume { reason } => self.start_resume(reason, now),
            Command::FailResume { code } => Ok(self.fail_resume(code, now)),
            Command::Extend { days, reason } => self.extend(days, reason, now),
            Command::Expire { cause } => self.expire(cause, now),
            Command::Configure { auto_renew, overrides } => self.configure(auto_renew, overrides, now),
            Command::PassMilestone => Ok(self.pass_milestone(now)),
            Command::ScheduleCancellation { reason } => self.schedule_cancellation(reason, now),
            Command::ChangePlan { to, by_administrator, reason } => self.change_plan(to, by_administrator, reason, now),
            Command::ScheduleDowngrade { to, reason } => self.schedule_downgrade(to, reason, now),
            Command::WithdrawDowngrade => Ok(self.withdraw_downgrade(now)),
            Command::ConfirmPlanCharge { change } => self.confirm_plan_charge(change, now),
            Command::ConfirmResize { change } => Ok(self.confirm_resize(change, now)),
            Command::FailPlanChange { change, code } => Ok(self.fail_plan_change(change, code, now)),
            Command::StartRenewal => self.renew(now),
            Command::RenewFunded => Ok(self.renew_funded(now)),
            Command::FailRenewal { period, code } => Ok(self.fail_renewal(period, code, now)),
            Command::ConfirmSlot { plan_id } => self.confirm_slot(plan_id.as_deref(), now),
            Command::Cancel { reason } => self.cancel(reason, now),
            Command::ApplyDiscount { coupon_id, less } => self.apply_discount(&coupon_id, less, now),
            step => self.proceed(step, now),
        }
    }

    /// The steps of subscribing, renewing and ending.
    fn proceed(
        &self,
        command: SubscriptionCommand,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        use SubscriptionCommand as Command;
        match (command, self.phase) {
            (Command::ConfirmCharge, Phase::SlotHeld) => Ok(self.charge_and_provision(now)),
            (Command::ConfirmCharge, _) if self.paid.is_some() => Ok(Vec::new()),
            (Command::Reject { reason }, Phase::Requested | Phase::SlotHeld) => {
                Ok(vec![self.cancelled(reason, Rupiah::ZERO, now)])
            }
            (Command::PassDeadline, Phase::Provisioning) => {
                Ok(self.fail("it was not ready before the deadline".to_owned(), now))
            }
            (Command::PassDeadline, _)
            | (Command::Reject { .. }, Phase::Cancelled | Phase::Purged)
            // What must not run is stopped by what said so, not by whoever saw it run before.
            | (Command::Activate { .. }, Phase::Active | Phase::Suspended | Phase::Expired)
            | (Command::FailProvisioning { .. }, Phase::Compensating | Phase::Cancelled) => Ok(Vec::new()),
            (Command::Activate { external_url }, Phase::Provisioning) => Ok(vec![self.activated(external_url, now)]),
            (Command::FailProvisioning { detail }, Phase::Provisioning) => Ok(self.fail(detail, now)),
            (Command::ConfirmRefund { .. }, _) => Ok(self.confirm_refund(now)),
            (Command::ConfirmRenewal { period }, _) if self.paid.is_some_and(|paid| period <= paid.number) => {
                Ok(Vec::new())
            }
            (Command::ConfirmRenewal { period }, Phase::Active | Phase::Expired) => self.renewed(period, now),
            _ => Err(SubscriptionRefusal::WrongState),
        }
    }

    /// The slot of the plan that was sold, or of the one it shall move to.
    fn confirm_slot(
        &self,
        plan_id: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        if let Some(events) = plan_id.and_then(|plan_id| self.confirm_other_slot(plan_id, now)) {
            return Ok(events);
        }
        if plan_id.is_some_and(|plan_id| plan_id != self.plan.plan_id) {
            return Err(SubscriptionRefusal::WrongState);
        }
        match self.phase {
            Phase::Requested => Ok(vec![SubscriptionEvent::SubscriptionSlotHeld {
                user_id: self.user_id.clone(),
                price: self.plan.price,
                coupon: self.coupon_asked(),
                occurred_at: now,
            }]),
            _ if self.has_slot => Ok(Vec::new()),
            Phase::Expired if self.resuming.is_some() && self.restoring => self.start_renewal(now),
            Phase::Suspended | Phase::Expired if self.resuming.is_some() => Ok(self.resumed(now)),
            _ => Err(SubscriptionRefusal::WrongState),
        }
    }

    /// What is under way is taken back first, in the same decision.
    fn cancel(&self, reason: CancelReason, now: Timestamp) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        match self.phase {
            Phase::Cancelled | Phase::Compensating => Ok(Vec::new()),
            Phase::Purged => Err(SubscriptionRefusal::WrongState),
            Phase::Provisioning => {
                let failed = self.failed("it was cancelled before it was ready".to_owned(), now);
                Ok(vec![failed, self.cancelled(reason, self.current_price(), now)])
            }
            Phase::Requested | Phase::SlotHeld | Phase::Active | Phase::Suspended | Phase::Expired => {
                let end = self.cancelled(reason, Rupiah::ZERO, now);
                Ok(self.take_back(ENDED.to_owned(), now).into_iter().chain([end]).collect())
            }
        }
    }

    /// Period 1 as it would be if the service were ready now; activation sets its real bounds.
    fn charge_and_provision(&self, now: Timestamp) -> Vec<SubscriptionEvent> {
        vec![
            SubscriptionEvent::SubscriptionCharged {
                user_id: self.user_id.clone(),
                display_name: self.plan.display_name.clone(),
                amount: self.current_price(),
                discount: self.discount,
                period: self.period(1, now, now.jakarta_date().day()),
                occurred_at: now,
            },
            SubscriptionEvent::SubscriptionProvisioningStarted {
                user_id: self.user_id.clone(),
                instance_id: self.instance_id.clone(),
                plan: self.plan.clone(),
                subdomain: self.subdomain.clone(),
                overrides: self.overrides.clone(),
                deadline: now.plus(PROVISIONING_DEADLINE),
                occurred_at: now,
            },
        ]
    }

    fn activated(&self, external_url: String, now: Timestamp) -> SubscriptionEvent {
        let anchor_day = now.jakarta_date().day();
        SubscriptionEvent::SubscriptionActivated {
            user_id: self.user_id.clone(),
            display_name: self.plan.display_name.clone(),
            period: self.period(1, now, anchor_day),
            anchor_day,
            external_url,
            occurred_at: now,
        }
    }

    /// Backwards: the money first, then slot and claims with the end. What was free ends at once.
    fn fail(&self, detail: String, now: Timestamp) -> Vec<SubscriptionEvent> {
        let failed = self.failed(detail.clone(), now);
        if self.current_price().is_positive() {
            return vec![failed];
        }
        vec![failed, self.cancelled(CancelReason::ProvisioningFailed { detail }, Rupiah::ZERO, now)]
    }

    fn failed(&self, detail: String, now: Timestamp) -> SubscriptionEvent {
        SubscriptionEvent::SubscriptionProvisioningFailed {
            user_id: self.user_id.clone(),
            instance_id: self.instance_id.clone(),
            detail,
            refund: self.current_price(),
            occurred_at: now,
        }
    }

    fn confirm_refund(&self, now: Timestamp) -> Vec<SubscriptionEvent> {
        if !self.refund_due.is_positive() {
            return Vec::new();
        }
        let refunded = SubscriptionEvent::SubscriptionRefunded {
            user_id: self.user_id.clone(),
            display_name: self.plan.display_name.clone(),
            amount: self.refund_due,
            period: 1,
            occurred_at: now,
        };
        if self.phase == Phase::Cancelled {
            return vec![refunded];
        }
        let reason = CancelReason::ProvisioningFailed { detail: self.failure.clone() };
        vec![refunded, self.cancelled(reason, self.refund_due, now)]
    }

    fn cancelled(&self, reason: CancelReason, refunded: Rupiah, now: Timestamp) -> SubscriptionEvent {
        SubscriptionEvent::SubscriptionCancelled {
            user_id: self.user_id.clone(),
            instance_id: self.instance_id.clone(),
            plan_id: self.plan.plan_id.clone(),
            offering: self.plan.offering.clone(),
            subdomain: self.subdomain.clone(),
            display_name: self.plan.display_name.clone(),
            held_slot: self.has_slot,
            refunded,
            reason,
            returned_coupon_id: self.unused_coupon(),
            data_until: self.has_data().then(|| now.plus(RETENTION)),
            occurred_at: now,
        }
    }

    /// It has run, so there may be something to keep.
    const fn has_data(&self) -> bool {
        matches!(self.phase, Phase::Active | Phase::Suspended | Phase::Expired)
    }

    fn period(&self, number: u32, start: Timestamp, anchor_day: u8) -> Period {
        let months = match self.cycle {
            BillingCycle::Monthly => 1,
            BillingCycle::Yearly => 12,
        };
        Period { number, start, end: start.plus_months(months, anchor_day) }
    }

    fn apply(&mut self, event: &SubscriptionEvent) {
        match event {
            SubscriptionEvent::SubscriptionRequested { .. } => {}
            SubscriptionEvent::SubscriptionSlotHeld { .. } => {
                self.phase = Phase::SlotHeld;
                self.has_slot = true;
            }
            SubscriptionEvent::SubscriptionDiscounted { discount, .. } => self.discount = *discount,
            SubscriptionEvent::SubscriptionCharged { period, .. } => self.paid = Some(*period),
            SubscriptionEvent::SubscriptionProvisioningStarted { .. } => self.phase = Phase::Provisioning,
            SubscriptionEvent::SubscriptionActivated { period, anchor_day, .. } => {
                self.phase = Phase::Active;
                self.paid = Some(*period);
                self.anchor_day = *anchor_day;
            }
            SubscriptionEvent::SubscriptionProvisioningFailed { detail, refund, .. } => {
                self.phase = Phase::Compensating;
                self.refund_due = *refund;
                self.failure.clone_from(detail);
            }
            SubscriptionEvent::SubscriptionRefunded { .. } => self.refund_due = Rupiah::ZERO,
            SubscriptionEvent::SubscriptionCancelled { data_until, .. } => self.end(*data_until),
            SubscriptionEvent::SubscriptionPurged { .. } => self.phase = Phase::Purged,
            SubscriptionEvent::SubscriptionRenewalStarted { .. }
            | SubscriptionEvent::SubscriptionRenewed { .. }
            | SubscriptionEvent::SubscriptionRenewalFailed { .. }
            | SubscriptionEvent::SubscriptionGraceStarted { .. } => self.apply_renewal(event),
            SubscriptionEvent::SubscriptionEndApproaching { .. }
            | SubscriptionEvent::SubscriptionDataEndApproaching { .. }
            | SubscriptionEvent::SubscriptionCancellationScheduled { .. }
            | SubscriptionEvent::SubscriptionCancellationWithdrawn { .. } => self.apply_life(event),
            SubscriptionEvent::SubscriptionDowngradeScheduled { .. }
            | SubscriptionEvent::SubscriptionDowngradeWithdrawn { .. }
            | SubscriptionEvent::SubscriptionPlanChangeStarted { .. }
            | SubscriptionEvent::SubscriptionPlanChangeSlotHeld { .. }
            | SubscriptionEvent::SubscriptionPlanChangePaid { .. }
            | SubscriptionEvent::SubscriptionPlanChanged { .. }
            | SubscriptionEvent::SubscriptionPlanChangeFailed { .. }
            | SubscriptionEvent::SubscriptionPlanChangeReverted { .. } => self.apply_change(event),
            SubscriptionEvent::SubscriptionSuspended { .. }
            | SubscriptionEvent::SubscriptionResumeStarted { .. }
            | SubscriptionEvent::SubscriptionResumed { .. }
            | SubscriptionEvent::SubscriptionResumeFailed { .. }
            | SubscriptionEvent::SubscriptionExtended { .. }
            | SubscriptionEvent::SubscriptionExpired { .. } => self.apply_standing(event),
            SubscriptionEvent::SubscriptionAutoRenewChanged { auto_renew, .. } => self.auto_renew = *auto_renew,
            SubscriptionEvent::SubscriptionSettingsChanged { overrides, .. } => self.overrides.clone_from(overrides),
        }
    }

    fn end(&mut self, data_until: Option<Timestamp>) {
        self.phase = Phase::Cancelled;
        self.renewing = None;
        self.resuming = None;
        self.restoring = false;
        self.grace = None;
        self.noticed = None;
        self.ends = None;
        self.data_until = data_until;
    }
}

/// 3 to 40 of a-z, 0-9 and inner hyphens.
pub fn is_subdomain(text: &str) -> bool {
    details::is_slug(text, 3, 40)
}

/// The claim that allows a customer one live subscription per offering.
pub fn live_key(user_id: &str, offering: &str) -> String {
    format!("live/{user_id}/{offering}")
}

/// The claim that keeps a host name unique.
pub fn subdomain_key(offering: &str, subdomain: &str) -> String {
    format!("subdomain/{offering}/{subdomain}")
}

/// The timer of the provisioning deadline.
pub fn deadline_timer(subscription_id: &str) -> String {
    format!("subscription/{subscription_id}/deadline")
}

/// The timer of the next notice, end or purge.
pub fn life_timer(subscription_id: &str) -> String {
    format!("subscription/{subscription_id}/life")
}

/// The timer that takes a change of plan back.
pub fn change_timer(subscription_id: &str) -> String {
    format!("subscription/{subscription_id}/change")
}

/// The timer that ends the wait for a slot.
pub fn resume_timer(subscription_id: &str) -> String {
    format!("subscription/{subscription_id}/resume")
}

bridge!(Subscription);
