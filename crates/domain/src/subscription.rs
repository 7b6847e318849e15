//! A subscription: request, slot, charge, provision, active; and every way back.

use std::time::Duration;

use minispod_events::{BillingCycle, CancelReason, ExpiryCause, Period, PlanSnapshot, SubscriptionEvent};
use minispod_kernel::{Aggregate, Consequence, Moment, Rupiah, Sensitive, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    bridge::{bridge, refusals},
    plan::details,
};

mod settings;
mod standing;
#[cfg(test)]
mod tests;

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
struct Sold {
    user_id: String,
    instance_id: String,
    plan: PlanSnapshot,
    cycle: BillingCycle,
    subdomain: String,
    overrides: Vec<String>,
    auto_renew: bool,
    phase: Phase,
    /// A slot was confirmed and was not given back by a suspension or expiry since.
    has_slot: bool,
    /// It waits for a slot to run again; so many days are added to its period then.
    resuming: Option<u16>,
    /// The last paid period; period 1 has its bounds from activation.
    paid: Option<Period>,
    anchor_day: u8,
    renewing: Option<Period>,
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
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a command lives for one decision; boxing would only cost reading")]
pub enum SubscriptionCommand {
    Request {
        user_id: String,
        instance_id: String,
        plan: PlanSnapshot,
        cycle: BillingCycle,
        subdomain: String,
        /// Names of the variables the customer set; the values ride beside the command into the vault.
        overrides: Vec<String>,
        auto_renew: bool,
    },
    /// The plan gave a slot.
    ConfirmSlot,
    /// The wallet paid period 1.
    ConfirmCharge,
    /// A first step was refused: compensate and end.
    Reject {
        reason: CancelReason,
    },
    /// The service answers.
    Activate {
        external_url: String,
    },
    FailProvisioning {
        detail: String,
    },
    /// Timer: the deadline for provisioning passed. No event when it is active or over.
    PassDeadline,
    /// The wallet has the money back.
    ConfirmRefund {
        period: u32,
    },
    StartRenewal,
    ConfirmRenewal {
        period: u32,
    },
    FailRenewal {
        period: u32,
        code: String,
    },
    Cancel {
        reason: CancelReason,
    },
    Suspend {
        reason: Sensitive<String>,
    },
    /// It shall run again, if the plan has a slot for it.
    StartResume {
        reason: Sensitive<String>,
    },
    /// No slot could be had, or none in time.
    FailResume {
        code: String,
    },
    /// Days without payment. What has expired is resumed with them.
    Extend {
        days: u16,
        reason: Sensitive<String>,
    },
    Expire {
        cause: ExpiryCause,
    },
    /// `None` stays as it is.
    Configure {
        auto_renew: Option<bool>,
        /// Names of all variables the customer sets; the values ride beside the command into the vault.
        overrides: Option<Vec<String>>,
    },
}

/// Rules that say no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionRefusal {
    #[error("this subscription exists already")]
    AlreadyRequested,
    #[error("there is no such subscription")]
    NotFound,
    #[error("the subscription's state does not allow this")]
    WrongState,
    #[error("a subdomain is 3 to 40 of a-z, 0-9 and inner hyphens")]
    InvalidSubdomain,
    #[error("a price is zero or more")]
    NegativePrice,
    #[error("overrides are at most 100 names of environment variables, sorted, each once")]
    InvalidOverrides,
    #[error("a subscription is extended by 1 to 365 days")]
    InvalidDays,
    #[error("the paid period is over; extend it to let it run again")]
    PeriodOver,
    #[error("a renewal is under way; try again in a moment")]
    RenewalUnderWay,
}

refusals!(SubscriptionRefusal {
    AlreadyRequested => Conflict, "subscription-already-requested";
    NotFound => NotFound, "subscription-not-found";
    WrongState => Conflict, "subscription-wrong-state";
    InvalidSubdomain => Invalid, "subscription-invalid-subdomain";
    NegativePrice => Invalid, "subscription-negative-price";
    InvalidOverrides => Invalid, "subscription-invalid-overrides";
    InvalidDays => Invalid, "subscription-invalid-days";
    PeriodOver => Conflict, "subscription-period-over";
    RenewalUnderWay => Conflict, "subscription-renewal-under-way";
});

impl Aggregate for Subscription {
    type Event = SubscriptionEvent;
    type Command = SubscriptionCommand;
    type Refusal = SubscriptionRefusal;
    const FINGERPRINT: &'static str = "subscription-4";

    fn decide(&self, command: SubscriptionCommand, at: &Moment) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        match (&self.sold, command) {
            (None, command @ SubscriptionCommand::Request { .. }) => request(command, at.now),
            (None, _) => Err(SubscriptionRefusal::NotFound),
            (Some(_), SubscriptionCommand::Request { .. }) => Err(SubscriptionRefusal::AlreadyRequested),
            (Some(sold), command) => sold.decide(command, at.now),
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
                phase: Phase::Requested,
                has_slot: false,
                resuming: None,
                paid: None,
                anchor_day: 1,
                renewing: None,
                refund_due: Rupiah::ZERO,
                failure: String::new(),
            });
        }
        if let Some(sold) = &mut self.sold {
            sold.apply(event);
        }
    }

    fn consequences(id: &str, event: &SubscriptionEvent) -> Vec<Consequence> {
        match event {
            SubscriptionEvent::SubscriptionRequested { user_id, plan, subdomain, .. } => vec![
                Consequence::Hold { key: live_key(user_id, &plan.offering) },
                Consequence::Hold { key: subdomain_key(&plan.offering, subdomain) },
            ],
            SubscriptionEvent::SubscriptionProvisioningStarted { deadline, .. } => vec![Consequence::SetTimer {
                id: deadline_timer(id),
                due: *deadline,
                aggregate_type: "subscription",
                aggregate_id: id.to_owned(),
                command: json!({ "aggregate": "subscription", "command": { "do": "pass_deadline" } }),
            }],
            SubscriptionEvent::SubscriptionActivated { .. }
            | SubscriptionEvent::SubscriptionProvisioningFailed { .. } => {
                vec![Consequence::CancelTimer { id: deadline_timer(id) }]
            }
            SubscriptionEvent::SubscriptionCancelled { user_id, offering, subdomain, .. } => vec![
                Consequence::Release { key: live_key(user_id, offering) },
                Consequence::Release { key: subdomain_key(offering, subdomain) },
            ],
            SubscriptionEvent::SubscriptionResumeStarted { occurred_at, .. } => {
                vec![standing::give_up_timer(id, *occurred_at)]
            }
            SubscriptionEvent::SubscriptionResumed { .. } | SubscriptionEvent::SubscriptionResumeFailed { .. } => {
                vec![Consequence::CancelTimer { id: resume_timer(id) }]
            }
            SubscriptionEvent::SubscriptionSuspended { .. }
            | SubscriptionEvent::SubscriptionExtended { .. }
            | SubscriptionEvent::SubscriptionExpired { .. }
            | SubscriptionEvent::SubscriptionAutoRenewChanged { .. }
            | SubscriptionEvent::SubscriptionSettingsChanged { .. }
            | SubscriptionEvent::SubscriptionSlotHeld { .. }
            | SubscriptionEvent::SubscriptionCharged { .. }
            | SubscriptionEvent::SubscriptionRefunded { .. }
            | SubscriptionEvent::SubscriptionRenewalStarted { .. }
            | SubscriptionEvent::SubscriptionRenewed { .. }
            | SubscriptionEvent::SubscriptionRenewalFailed { .. }
            | SubscriptionEvent::SubscriptionCancellationScheduled { .. } => Vec::new(),
        }
    }
}

fn request(command: SubscriptionCommand, now: Timestamp) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
    let SubscriptionCommand::Request { user_id, instance_id, plan, cycle, subdomain, overrides, auto_renew } = command
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
        occurred_at: now,
    }])
}

impl Sold {
    fn decide(
        &self,
        command: SubscriptionCommand,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        match command {
            SubscriptionCommand::Suspend { reason } => self.suspend(reason, now),
            SubscriptionCommand::StartResume { reason } => self.start_resume(reason, now),
            SubscriptionCommand::FailResume { code } => Ok(self.fail_resume(code, now)),
            SubscriptionCommand::Extend { days, reason } => self.extend(days, reason, now),
            SubscriptionCommand::Expire { cause } => self.expire(cause, now),
            SubscriptionCommand::Configure { auto_renew, overrides } => self.configure(auto_renew, overrides, now),
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
            (Command::ConfirmSlot, Phase::Requested) => Ok(vec![SubscriptionEvent::SubscriptionSlotHeld {
                user_id: self.user_id.clone(),
                price: self.plan.price,
                occurred_at: now,
            }]),
            (Command::ConfirmSlot, Phase::Suspended | Phase::Expired) if self.resuming.is_some() => {
                Ok(self.resumed(now))
            }
            (Command::ConfirmSlot, _) if self.has_slot => Ok(Vec::new()),
            (Command::ConfirmCharge, Phase::SlotHeld) => Ok(self.charge_and_provision(now)),
            (Command::ConfirmCharge, _) if self.paid.is_some() => Ok(Vec::new()),
            (Command::Reject { reason } | Command::Cancel { reason }, Phase::Requested | Phase::SlotHeld)
            | (Command::Cancel { reason }, Phase::Active | Phase::Suspended | Phase::Expired) => {
                Ok(vec![self.cancelled(reason, Rupiah::ZERO, now)])
            }
            (Command::PassDeadline, Phase::Provisioning) => {
                Ok(self.fail("it was not ready before the deadline".to_owned(), now))
            }
            (Command::PassDeadline, _)
            | (Command::Reject { .. } | Command::Cancel { .. }, Phase::Cancelled)
            | (Command::Cancel { .. }, Phase::Compensating)
            // What must not run is stopped by what said so, not by whoever saw it run before.
            | (Command::Activate { .. }, Phase::Active | Phase::Suspended | Phase::Expired)
            | (Command::FailProvisioning { .. }, Phase::Compensating | Phase::Cancelled) => Ok(Vec::new()),
            (Command::Activate { external_url }, Phase::Provisioning) => Ok(vec![self.activated(external_url, now)]),
            (Command::FailProvisioning { detail }, Phase::Provisioning) => Ok(self.fail(detail, now)),
            (Command::ConfirmRefund { .. }, _) => Ok(self.confirm_refund(now)),
            (Command::StartRenewal, Phase::Active) => self.start_renewal(now),
            (Command::ConfirmRenewal { period }, _) if self.paid.is_some_and(|paid| period <= paid.number) => {
                Ok(Vec::new())
            }
            (Command::ConfirmRenewal { period }, Phase::Active) => self.renewed(period, now),
            (Command::FailRenewal { period, code }, _) => Ok(self.fail_renewal(period, code, now)),
            (Command::Cancel { reason }, Phase::Provisioning) => {
                let failed = self.failed("it was cancelled before it was ready".to_owned(), now);
                Ok(vec![failed, self.cancelled(reason, self.plan.price, now)])
            }
            _ => Err(SubscriptionRefusal::WrongState),
        }
    }

    /// Period 1 as it would be if the service were ready now; activation sets its real bounds.
    fn charge_and_provision(&self, now: Timestamp) -> Vec<SubscriptionEvent> {
        vec![
            SubscriptionEvent::SubscriptionCharged {
                user_id: self.user_id.clone(),
                display_name: self.plan.display_name.clone(),
                amount: self.plan.price,
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
        if self.plan.price.is_positive() {
            return vec![failed];
        }
        vec![failed, self.cancelled(CancelReason::ProvisioningFailed { detail }, Rupiah::ZERO, now)]
    }

    fn failed(&self, detail: String, now: Timestamp) -> SubscriptionEvent {
        SubscriptionEvent::SubscriptionProvisioningFailed {
            user_id: self.user_id.clone(),
            instance_id: self.instance_id.clone(),
            detail,
            refund: self.plan.price,
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
            occurred_at: now,
        }
    }

    /// The next period follows the last one without a gap, also in grace; after that it begins today.
    fn start_renewal(&self, now: Timestamp) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        if self.renewing.is_some() {
            return Ok(Vec::new());
        }
        let paid = self.paid.ok_or(SubscriptionRefusal::WrongState)?;
        let number = paid.number.saturating_add(1);
        let period = if now <= paid.end.plus(GRACE) {
            self.period(number, paid.end, self.anchor_day)
        } else {
            self.period(number, now, now.jakarta_date().day())
        };
        Ok(vec![SubscriptionEvent::SubscriptionRenewalStarted {
            user_id: self.user_id.clone(),
            period,
            amount: self.plan.price,
            occurred_at: now,
        }])
    }

    fn renewed(&self, period: u32, now: Timestamp) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        let period = self.renewing.filter(|asked| asked.number == period).ok_or(SubscriptionRefusal::WrongState)?;
        Ok(vec![SubscriptionEvent::SubscriptionRenewed {
            user_id: self.user_id.clone(),
            display_name: self.plan.display_name.clone(),
            period,
            amount: self.plan.price,
            occurred_at: now,
        }])
    }

    fn fail_renewal(&self, period: u32, code: String, now: Timestamp) -> Vec<SubscriptionEvent> {
        if self.renewing.is_none_or(|asked| asked.number != period) {
            return Vec::new();
        }
        let user_id = self.user_id.clone();
        vec![SubscriptionEvent::SubscriptionRenewalFailed { user_id, period, code, occurred_at: now }]
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
            SubscriptionEvent::SubscriptionRequested { .. }
            | SubscriptionEvent::SubscriptionCancellationScheduled { .. } => {}
            SubscriptionEvent::SubscriptionSlotHeld { .. } => {
                self.phase = Phase::SlotHeld;
                self.has_slot = true;
            }
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
            SubscriptionEvent::SubscriptionRenewalStarted { period, .. } => self.renewing = Some(*period),
            SubscriptionEvent::SubscriptionRenewed { period, .. } => {
                if self.paid.is_none_or(|paid| paid.end != period.start) {
                    self.anchor_day = period.start.jakarta_date().day();
                }
                self.paid = Some(*period);
                self.renewing = None;
            }
            SubscriptionEvent::SubscriptionRenewalFailed { .. } => self.renewing = None,
            SubscriptionEvent::SubscriptionCancelled { .. } => {
                self.phase = Phase::Cancelled;
                self.renewing = None;
                self.resuming = None;
            }
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

/// The timer that ends the wait for a slot.
pub fn resume_timer(subscription_id: &str) -> String {
    format!("subscription/{subscription_id}/resume")
}

bridge!(Subscription);
