//! Another plan of the same offering: now, or with the next period; done in full or taken back in full.

use std::time::Duration;

use minispod_events::{Period, PlanChangeDirection, PlanSnapshot, ProrationFigures, SubscriptionEvent};
use minispod_kernel::{Rupiah, Sensitive, Timestamp};
use serde::{Deserialize, Serialize};

use super::{PROVISIONING_DEADLINE, Phase, Sold, SubscriptionRefusal, life};
use crate::proration::{Direction, Proration};

/// How long a change of plan may take before it is taken back.
pub const CHANGE_DEADLINE: Duration = PROVISIONING_DEADLINE;
/// Why a change that was not done in time is taken back.
pub const TIMED_OUT: &str = "subscription-plan-change-timed-out";
/// Why a change of what ends is taken back.
pub const ENDED: &str = "subscription-ended";

/// A change of plan that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Change {
    number: u32,
    to: PlanSnapshot,
    direction: PlanChangeDirection,
    proration: ProrationFigures,
    at_period_end: bool,
    step: Step,
}

/// A change of plan that comes with the next period.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Scheduled {
    number: u32,
    pub(super) to: PlanSnapshot,
}

/// What it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Slot,
    Charge,
    Resize,
}

/// What the wallet pays of a change, and what it gets back.
fn sides(proration: &ProrationFigures) -> (Rupiah, Rupiah) {
    let back = Rupiah::new(proration.net.amount().saturating_neg());
    (proration.net.max(Rupiah::ZERO), back.max(Rupiah::ZERO))
}

impl Sold {
    pub(super) fn change_plan(
        &self,
        to: PlanSnapshot,
        by_administrator: bool,
        reason: Option<Sensitive<String>>,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        let paid = self.check_other_plan(&to, now)?;
        // One price is counted with, and here two would be due: the reduced one until then, the full one after it.
        if self.discounted_until.is_some_and(|until| now < until) {
            return Err(SubscriptionRefusal::DiscountedPeriod);
        }
        if Direction::of(self.plan.price, to.price) == Direction::Downgrade && !by_administrator {
            return Err(SubscriptionRefusal::CheaperPlan);
        }
        let started = self.change_started(self.next_change(), to, paid, now).ok_or(SubscriptionRefusal::Uncountable)?;
        Ok(vec![with_asker(started, by_administrator, reason)])
    }

    pub(super) fn schedule_downgrade(
        &self,
        to: PlanSnapshot,
        reason: Option<Sensitive<String>>,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        let paid = self.check_other_plan(&to, now)?;
        if Direction::of(self.plan.price, to.price) != Direction::Downgrade {
            return Err(SubscriptionRefusal::NotCheaper);
        }
        if self.downgrade.as_ref().is_some_and(|next| next.to == to) {
            return Ok(Vec::new());
        }
        Ok(vec![SubscriptionEvent::SubscriptionDowngradeScheduled {
            user_id: self.user_id.clone(),
            change: self.downgrade.as_ref().map_or_else(|| self.next_change(), |next| next.number),
            from: self.plan.clone(),
            to,
            at: paid.end,
            reason,
            occurred_at: now,
        }])
    }

    const fn next_change(&self) -> u32 {
        self.changes.saturating_add(1)
    }

    /// Nothing is wished for what has run out or was ended.
    pub(super) fn without_wishes_of_what_ends(
        &self,
        events: Vec<SubscriptionEvent>,
        now: Timestamp,
    ) -> Vec<SubscriptionEvent> {
        let ends = events.iter().any(|event| {
            matches!(
                event,
                SubscriptionEvent::SubscriptionExpired { .. } | SubscriptionEvent::SubscriptionCancelled { .. }
            )
        });
        let withdrawn = if ends { self.withdraw_downgrade(now) } else { Vec::new() };
        withdrawn.into_iter().chain(events).collect()
    }

    pub(super) fn withdraw_downgrade(&self, now: Timestamp) -> Vec<SubscriptionEvent> {
        let withdrawn = self.downgrade.as_ref().map(|next| SubscriptionEvent::SubscriptionDowngradeWithdrawn {
            user_id: self.user_id.clone(),
            change: next.number,
            occurred_at: now,
        });
        withdrawn.into_iter().collect()
    }

    /// The sum is over the paid period, so there must be one, and nothing may move it meanwhile.
    fn check_other_plan(&self, to: &PlanSnapshot, now: Timestamp) -> Result<Period, SubscriptionRefusal> {
        let paid = self.paid.filter(|_| self.phase == Phase::Active).ok_or(SubscriptionRefusal::WrongState)?;
        if self.change.is_some() {
            return Err(SubscriptionRefusal::PlanChangeUnderWay);
        }
        if self.renewing.is_some() {
            return Err(SubscriptionRefusal::RenewalUnderWay);
        }
        if to.offering != self.plan.offering {
            return Err(SubscriptionRefusal::OtherOffering);
        }
        if to.plan_id == self.plan.plan_id {
            return Err(SubscriptionRefusal::SamePlan);
        }
        if paid.end <= now { Err(SubscriptionRefusal::PeriodOver) } else { Ok(paid) }
    }

    /// What was scheduled, now that the period is over: nothing is left of it, so nothing is paid for the change, and
    /// the next period costs what the new plan does.
    pub(super) fn change_at_end(&self, next: Scheduled, paid: Period, now: Timestamp) -> Option<SubscriptionEvent> {
        let mut started = self.change_started(next.number, next.to, paid, now)?;
        if let SubscriptionEvent::SubscriptionPlanChangeStarted { at_period_end, .. } = &mut started {
            *at_period_end = true;
        }
        Some(started)
    }

    fn change_started(&self, change: u32, to: PlanSnapshot, paid: Period, now: Timestamp) -> Option<SubscriptionEvent> {
        // By what was paid: a discount was for the plan it was given for, and what is left of it stays there.
        let sum = Proration::of(self.current_price(), to.price, paid.start, paid.end, now)?;
        let direction = Direction::of(self.plan.price, to.price);
        Some(SubscriptionEvent::SubscriptionPlanChangeStarted {
            user_id: self.user_id.clone(),
            change,
            from: self.plan.clone(),
            to,
            direction: direction.into(),
            proration: sum.into(),
            by_administrator: false,
            at_period_end: false,
            reason: None,
            deadline: now.plus(CHANGE_DEADLINE),
            occurred_at: now,
        })
    }

    /// `None`: `plan_id` is not the plan that it shall move to.
    pub(super) fn confirm_other_slot(&self, plan_id: &str, now: Timestamp) -> Option<Vec<SubscriptionEvent>> {
        let change = self.change.as_ref().filter(|change| change.to.plan_id == plan_id)?;
        let held = SubscriptionEvent::SubscriptionPlanChangeSlotHeld {
            user_id: self.user_id.clone(),
            change: change.number,
            charge: sides(&change.proration).0,
            occurred_at: now,
        };
        Some(if change.step == Step::Slot { vec![held] } else { Vec::new() })
    }

    /// A charge of a change that ended without it is refused, so that it goes back.
    pub(super) fn confirm_plan_charge(
        &self,
        number: u32,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        if self.abandoned.contains(&number) {
            return Err(SubscriptionRefusal::WrongState);
        }
        let Some(change) = self.under_way(number).filter(|change| change.step == Step::Charge) else {
            return Ok(Vec::new());
        };
        Ok(vec![SubscriptionEvent::SubscriptionPlanChangePaid {
            user_id: self.user_id.clone(),
            instance_id: self.instance_id.clone(),
            change: number,
            amount: sides(&change.proration).0,
            to: change.to.clone(),
            occurred_at: now,
        }])
    }

    pub(super) fn confirm_resize(&self, number: u32, now: Timestamp) -> Vec<SubscriptionEvent> {
        let (Some(change), Some(paid)) = (self.under_way(number), self.paid) else { return Vec::new() };
        if change.step != Step::Resize {
            return Vec::new();
        }
        let (charged, refunded) = sides(&change.proration);
        let changed = SubscriptionEvent::SubscriptionPlanChanged {
            user_id: self.user_id.clone(),
            change: number,
            from_plan_id: self.plan.plan_id.clone(),
            from_display_name: self.plan.display_name.clone(),
            plan: change.to.clone(),
            direction: change.direction,
            proration: change.proration,
            charged,
            refunded,
            period: paid,
            life_due: life::running_due(paid.end, self.grace, now),
            occurred_at: now,
        };
        // A cheaper plan that was wished for before this one is not wished for any more.
        [changed].into_iter().chain(self.withdraw_downgrade(now)).collect()
    }

    pub(super) fn fail_plan_change(&self, number: u32, code: String, now: Timestamp) -> Vec<SubscriptionEvent> {
        self.under_way(number).and_then(|_| self.take_back(code, now)).into_iter().collect()
    }

    /// Before it is paid nothing has changed; after that everything goes back.
    pub(super) fn take_back(&self, code: String, now: Timestamp) -> Option<SubscriptionEvent> {
        let (change, paid) = self.change.as_ref().zip(self.paid)?;
        let (user_id, to_plan_id) = (self.user_id.clone(), change.to.plan_id.clone());
        let to_display_name = change.to.display_name.clone();
        let life_due = life::running_due(paid.end, self.grace, now);
        Some(if change.step == Step::Resize {
            SubscriptionEvent::SubscriptionPlanChangeReverted {
                user_id,
                instance_id: self.instance_id.clone(),
                change: change.number,
                from: self.plan.clone(),
                to_plan_id,
                to_display_name,
                given_back: sides(&change.proration).0,
                code,
                life_due,
                occurred_at: now,
            }
        } else {
            SubscriptionEvent::SubscriptionPlanChangeFailed {
                user_id,
                display_name: self.plan.display_name.clone(),
                change: change.number,
                to_plan_id,
                to_display_name,
                held_slot: change.step == Step::Charge,
                at_period_end: change.at_period_end,
                code,
                life_due,
                occurred_at: now,
            }
        })
    }

    fn under_way(&self, number: u32) -> Option<&Change> {
        self.change.as_ref().filter(|change| change.number == number)
    }

    pub(super) fn apply_change(&mut self, event: &SubscriptionEvent) {
        match event {
            SubscriptionEvent::SubscriptionDowngradeScheduled { change, to, .. } => {
                self.changes = self.changes.max(*change);
                self.downgrade = Some(Scheduled { number: *change, to: to.clone() });
            }
            SubscriptionEvent::SubscriptionDowngradeWithdrawn { .. } => self.downgrade = None,
            SubscriptionEvent::SubscriptionPlanChangeStarted {
                change,
                to,
                direction,
                proration,
                at_period_end,
                ..
            } => {
                self.changes = self.changes.max(*change);
                if *at_period_end {
                    self.downgrade = None;
                }
                self.change = Some(Change {
                    number: *change,
                    to: to.clone(),
                    direction: *direction,
                    proration: *proration,
                    at_period_end: *at_period_end,
                    step: Step::Slot,
                });
            }
            SubscriptionEvent::SubscriptionPlanChangeSlotHeld { .. } => self.change_waits_for(Step::Charge),
            SubscriptionEvent::SubscriptionPlanChangePaid { .. } => self.change_waits_for(Step::Resize),
            SubscriptionEvent::SubscriptionPlanChanged { plan, .. } => {
                self.plan.clone_from(plan);
                self.discount = Rupiah::ZERO;
                self.change = None;
            }
            SubscriptionEvent::SubscriptionPlanChangeFailed { change, held_slot, code, .. } => {
                self.change = None;
                if *held_slot && (code == TIMED_OUT || code == ENDED) {
                    self.abandoned.push(*change);
                }
            }
            SubscriptionEvent::SubscriptionPlanChangeReverted { .. } => self.change = None,
            _ => {}
        }
    }

    fn change_waits_for(&mut self, step: Step) {
        if let Some(change) = &mut self.change {
            change.step = step;
        }
    }
}

fn with_asker(
    mut started: SubscriptionEvent,
    administrator: bool,
    why: Option<Sensitive<String>>,
) -> SubscriptionEvent {
    if let SubscriptionEvent::SubscriptionPlanChangeStarted { by_administrator, reason, .. } = &mut started {
        *by_administrator = administrator;
        *reason = why;
    }
    started
}

impl From<Direction> for PlanChangeDirection {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Upgrade => Self::Upgrade,
            Direction::Downgrade => Self::Downgrade,
            Direction::Sideways => Self::Sideways,
        }
    }
}

impl From<Proration> for ProrationFigures {
    fn from(sum: Proration) -> Self {
        let Proration { total_days, remaining_days, old_price, new_price, unused, prorated_new, net } = sum;
        Self { total_days, remaining_days, old_price, new_price, unused, prorated_new, net }
    }
}
