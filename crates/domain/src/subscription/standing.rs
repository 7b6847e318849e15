//! Whether a paid subscription may run: suspension, resumption, extension, expiry.

use std::{ops::RangeInclusive, time::Duration};

use minispod_events::{ExpiryCause, Period, SubscriptionEvent};
use minispod_kernel::{Sensitive, Timestamp};

use super::{GRACE, Phase, RETENTION, Sold, SubscriptionRefusal, life};

/// By how many days an administrator may extend at once.
pub const EXTENSION_DAYS: RangeInclusive<u16> = 1..=365;
/// How long a resumption waits for the plan's word. A slot that comes later goes back.
pub const RESUME_DEADLINE: Duration = Duration::from_mins(1);
/// How long after a plan had no slot for what is funded it is asked again.
pub const SLOT_RETRY: Duration = Duration::from_hours(6);

impl Sold {
    pub(super) fn suspend(
        &self,
        reason: Sensitive<String>,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        match self.phase {
            Phase::Suspended if self.resuming.is_none() => Ok(Vec::new()),
            Phase::Active => {
                self.check_no_renewal()?;
                Ok(vec![SubscriptionEvent::SubscriptionSuspended {
                    user_id: self.user_id.clone(),
                    instance_id: self.instance_id.clone(),
                    plan_id: self.plan.plan_id.clone(),
                    display_name: self.plan.display_name.clone(),
                    reason,
                    life_due: self.paid.map(|paid| life::not_before(paid.end.plus(GRACE), now)),
                    occurred_at: now,
                }])
            }
            _ => Err(SubscriptionRefusal::WrongState),
        }
    }

    /// Only for time that is paid, grace included: what is over would run for nothing.
    pub(super) fn start_resume(
        &self,
        reason: Sensitive<String>,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        match self.phase {
            Phase::Active => Ok(Vec::new()),
            Phase::Suspended | Phase::Expired if self.resuming.is_some() => Ok(Vec::new()),
            Phase::Suspended | Phase::Expired => {
                if self.paid.is_none_or(|paid| paid.end.plus(GRACE) <= now) {
                    return Err(SubscriptionRefusal::PeriodOver);
                }
                Ok(vec![self.resume_started(0, reason, now)])
            }
            _ => Err(SubscriptionRefusal::WrongState),
        }
    }

    pub(super) fn extend(
        &self,
        days: u16,
        reason: Sensitive<String>,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        if !EXTENSION_DAYS.contains(&days) {
            return Err(SubscriptionRefusal::InvalidDays);
        }
        let paid = self.paid.ok_or(SubscriptionRefusal::WrongState)?;
        match self.phase {
            Phase::Active | Phase::Suspended if self.resuming.is_none() => {
                self.check_no_renewal()?;
                Ok(vec![self.extended(paid, days, Some(reason), now)])
            }
            Phase::Expired if self.resuming.is_none() => Ok(vec![self.resume_started(days, reason, now)]),
            _ => Err(SubscriptionRefusal::WrongState),
        }
    }

    pub(super) fn expire(
        &self,
        cause: ExpiryCause,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        match self.phase {
            _ if self.resuming.is_some() => Err(SubscriptionRefusal::WrongState),
            Phase::Expired => Ok(Vec::new()),
            Phase::Active | Phase::Suspended => {
                self.check_no_renewal()?;
                Ok(vec![self.expired(cause, now)])
            }
            _ => Err(SubscriptionRefusal::WrongState),
        }
    }

    pub(super) fn expired(&self, cause: ExpiryCause, now: Timestamp) -> SubscriptionEvent {
        let waits = cause == ExpiryCause::Unpaid && self.auto_renew;
        SubscriptionEvent::SubscriptionExpired {
            user_id: self.user_id.clone(),
            instance_id: self.instance_id.clone(),
            plan_id: self.plan.plan_id.clone(),
            display_name: self.plan.display_name.clone(),
            held_slot: self.has_slot,
            cause,
            data_until: Some(now.plus(RETENTION)),
            amount: waits.then_some(self.plan.price),
            occurred_at: now,
        }
    }

    /// The slot is there: the days it was promised, and it runs.
    pub(super) fn resumed(&self, now: Timestamp) -> Vec<SubscriptionEvent> {
        let days = self.resuming.filter(|days| *days > 0);
        let extended = self.paid.zip(days).map(|(paid, days)| self.extended(paid, days, None, now));
        let (end, grace) = match &extended {
            Some(SubscriptionEvent::SubscriptionExtended { period, .. }) => (Some(period.end), None),
            _ => (self.paid.map(|paid| paid.end), self.grace),
        };
        let resumed = self.resumption(end.map(|end| life::running_due(end, grace, now)), now);
        extended.into_iter().chain([resumed]).collect()
    }

    pub(super) fn resumption(&self, life_due: Option<Timestamp>, now: Timestamp) -> SubscriptionEvent {
        SubscriptionEvent::SubscriptionResumed {
            user_id: self.user_id.clone(),
            instance_id: self.instance_id.clone(),
            display_name: self.plan.display_name.clone(),
            life_due,
            occurred_at: now,
        }
    }

    /// Once it pays, only the wallet's answer ends the wait.
    pub(super) fn fail_resume(&self, code: String, now: Timestamp) -> Vec<SubscriptionEvent> {
        if self.resuming.is_none() || self.renewing.is_some() {
            return Vec::new();
        }
        vec![self.resume_failed(code, None, now)]
    }

    pub(super) fn resume_failed(
        &self,
        code: String,
        released_plan_id: Option<String>,
        now: Timestamp,
    ) -> SubscriptionEvent {
        let life_due = self.life_due(now);
        let is_tried_again = self.auto_renew && self.lacks_slot_only(released_plan_id.as_deref());
        SubscriptionEvent::SubscriptionResumeFailed {
            user_id: self.user_id.clone(),
            code,
            life_due: life_due.map(|due| if is_tried_again { due.min(now.plus(SLOT_RETRY)) } else { due }),
            released_plan_id,
            lacks_slot: (is_tried_again && !self.funded).then(|| self.plan.display_name.clone()),
            occurred_at: now,
        }
    }

    /// It is restored out of the wallet, and not the wallet let it down now.
    fn lacks_slot_only(&self, released_plan_id: Option<&str>) -> bool {
        self.restoring && self.asked_by_wallet && self.unpaid && released_plan_id.is_none()
    }

    /// What is funded asks for a slot again; who does not want that any more is left alone until the data goes.
    pub(super) fn ask_again(&self, now: Timestamp) -> Option<SubscriptionEvent> {
        if !self.funded {
            return None;
        }
        Some(if self.auto_renew {
            self.restoration_started(true, now)
        } else {
            self.resume_failed("subscription-auto-renew-off".to_owned(), None, now)
        })
    }

    fn resume_started(&self, extension_days: u16, reason: Sensitive<String>, now: Timestamp) -> SubscriptionEvent {
        SubscriptionEvent::SubscriptionResumeStarted {
            user_id: self.user_id.clone(),
            plan_id: self.plan.plan_id.clone(),
            extension_days,
            reason,
            renews: false,
            funded: false,
            occurred_at: now,
        }
    }

    /// From the later of now and the period's end: days that lie in the past would be none.
    fn extended(
        &self,
        paid: Period,
        days: u16,
        reason: Option<Sensitive<String>>,
        now: Timestamp,
    ) -> SubscriptionEvent {
        let end = paid.end.max(now).plus(Duration::from_hours(24 * u64::from(days)));
        SubscriptionEvent::SubscriptionExtended {
            user_id: self.user_id.clone(),
            display_name: self.plan.display_name.clone(),
            days,
            period: Period { end, ..paid },
            reason,
            life_due: Some(if self.phase == Phase::Active {
                life::next_look(end, now)
            } else {
                life::not_before(end.plus(GRACE), now)
            }),
            occurred_at: now,
        }
    }

    /// A period that is being paid is neither moved nor stopped under the payment's feet.
    const fn check_no_renewal(&self) -> Result<(), SubscriptionRefusal> {
        if self.renewing.is_some() { Err(SubscriptionRefusal::RenewalUnderWay) } else { Ok(()) }
    }

    pub(super) fn apply_standing(&mut self, event: &SubscriptionEvent) {
        match event {
            SubscriptionEvent::SubscriptionSuspended { .. } => self.rest(Phase::Suspended),
            SubscriptionEvent::SubscriptionExpired { cause, data_until, .. } => {
                self.rest(Phase::Expired);
                self.unpaid = *cause == ExpiryCause::Unpaid;
                self.funded = false;
                self.data_until = *data_until;
                self.grace = None;
                self.noticed = None;
                self.ends = None;
            }
            SubscriptionEvent::SubscriptionResumeStarted { extension_days, renews, funded, .. } => {
                self.resuming = Some(*extension_days);
                self.restoring = *renews;
                self.asked_by_wallet = *funded;
            }
            SubscriptionEvent::SubscriptionResumed { .. } => {
                self.phase = Phase::Active;
                self.has_slot = true;
                self.resuming = None;
                self.restoring = false;
                self.unpaid = false;
                self.funded = false;
                self.data_until = None;
            }
            SubscriptionEvent::SubscriptionResumeFailed { released_plan_id, .. } => {
                self.funded = self.lacks_slot_only(released_plan_id.as_deref());
                self.resuming = None;
                self.restoring = false;
                self.has_slot = false;
            }
            SubscriptionEvent::SubscriptionExtended { period, .. } => {
                self.paid = Some(*period);
                self.anchor_day = period.end.jakarta_date().day();
                self.grace = None;
                self.noticed = None;
            }
            _ => {}
        }
    }

    fn rest(&mut self, phase: Phase) {
        self.phase = phase;
        self.has_slot = false;
    }
}
