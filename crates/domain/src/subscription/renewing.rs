//! The next period: by itself, by hand, by money that arrives, and what follows when it is not covered.

use minispod_events::{ExpiryCause, SubscriptionEvent};
use minispod_kernel::{Rupiah, Sensitive, Timestamp};

use super::{GRACE, Phase, Sold, SubscriptionRefusal, life};

impl Sold {
    /// By hand: ahead of time, in grace, or after the end. What does not run takes a slot before it pays.
    pub(super) fn renew(&self, now: Timestamp) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        match self.phase {
            _ if self.change.is_some() => Err(SubscriptionRefusal::PlanChangeUnderWay),
            Phase::Active => self.start_renewal(now),
            Phase::Expired if self.resuming.is_some() && !self.restoring => Err(SubscriptionRefusal::WrongState),
            Phase::Expired if self.resuming.is_some() => Ok(Vec::new()),
            Phase::Expired => Ok(vec![self.restoration_started(false, now)]),
            _ => Err(SubscriptionRefusal::WrongState),
        }
    }

    /// Only what the wallet let down goes on by itself, and only for who wants it to.
    pub(super) fn renew_funded(&self, now: Timestamp) -> Vec<SubscriptionEvent> {
        if !self.auto_renew || self.renewing.is_some() || self.resuming.is_some() || self.change.is_some() {
            return Vec::new();
        }
        match self.phase {
            Phase::Active if self.grace.is_some() => self.renewal_started(now).into_iter().collect(),
            Phase::Expired if self.unpaid => vec![self.restoration_started(true, now)],
            _ => Vec::new(),
        }
    }

    pub(super) fn start_renewal(&self, now: Timestamp) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        if self.renewing.is_some() {
            return Ok(Vec::new());
        }
        self.renewal_started(now).map(|event| vec![event]).ok_or(SubscriptionRefusal::WrongState)
    }

    /// The next period follows the last one without a gap, also in grace; after that, and for what did not run, it
    /// begins today.
    pub(super) fn renewal_started(&self, now: Timestamp) -> Option<SubscriptionEvent> {
        let paid = self.paid?;
        let number = paid.number.saturating_add(1);
        let goes_on = if self.phase == Phase::Expired { now <= paid.end } else { now <= paid.end.plus(GRACE) };
        let period = if goes_on {
            self.period(number, paid.end, self.anchor_day)
        } else {
            self.period(number, now, now.jakarta_date().day())
        };
        Some(SubscriptionEvent::SubscriptionRenewalStarted {
            user_id: self.user_id.clone(),
            period,
            amount: self.plan.price,
            occurred_at: now,
        })
    }

    pub(super) fn restoration_started(&self, funded: bool, now: Timestamp) -> SubscriptionEvent {
        SubscriptionEvent::SubscriptionResumeStarted {
            user_id: self.user_id.clone(),
            plan_id: self.plan.plan_id.clone(),
            extension_days: 0,
            reason: Sensitive::Open("renewal".to_owned()),
            renews: true,
            funded,
            occurred_at: now,
        }
    }

    /// Who pays for more does not want it to end.
    pub(super) fn renewed(&self, period: u32, now: Timestamp) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        let period = self.renewing.filter(|asked| asked.number == period).ok_or(SubscriptionRefusal::WrongState)?;
        let renewed = SubscriptionEvent::SubscriptionRenewed {
            user_id: self.user_id.clone(),
            display_name: self.plan.display_name.clone(),
            period,
            amount: self.plan.price,
            occurred_at: now,
        };
        let resumed = (self.phase == Phase::Expired).then(|| self.resumption(None, now));
        Ok([renewed].into_iter().chain(self.cancellation_withdrawn(now)).chain(resumed).collect())
    }

    /// Ahead of time nothing else changes. At the end the grace begins, once; at its end it is over.
    pub(super) fn fail_renewal(&self, period: u32, code: String, now: Timestamp) -> Vec<SubscriptionEvent> {
        let (Some(asked), Some(paid)) = (self.renewing, self.paid) else { return Vec::new() };
        if asked.number != period {
            return Vec::new();
        }
        let is_early = self.phase == Phase::Active && paid.end > now;
        let failed = SubscriptionEvent::SubscriptionRenewalFailed {
            user_id: self.user_id.clone(),
            period,
            code: code.clone(),
            life_due: is_early.then(|| life::next_look(paid.end, now)),
            occurred_at: now,
        };
        let next = match self.grace {
            _ if is_early => None,
            _ if self.phase == Phase::Expired => Some(self.resume_failed(code, Some(self.plan.plan_id.clone()), now)),
            Some(until) if now < until => None,
            Some(_) => Some(self.expired(ExpiryCause::Unpaid, now)),
            None => Some(self.unwanted(now).unwrap_or_else(|| self.let_down(paid.end, period, now))),
        };
        [failed].into_iter().chain(next).collect()
    }

    fn let_down(&self, end: Timestamp, period: u32, now: Timestamp) -> SubscriptionEvent {
        let until = end.plus(GRACE);
        if until <= now {
            return self.expired(ExpiryCause::Unpaid, now);
        }
        SubscriptionEvent::SubscriptionGraceStarted {
            user_id: self.user_id.clone(),
            display_name: self.plan.display_name.clone(),
            period,
            amount: self.plan.price,
            until,
            occurred_at: now,
        }
    }

    pub(super) fn apply_renewal(&mut self, event: &SubscriptionEvent) {
        match event {
            SubscriptionEvent::SubscriptionRenewalStarted { period, .. } => {
                self.renewing = Some(*period);
                self.has_slot = true;
            }
            SubscriptionEvent::SubscriptionRenewed { period, .. } => {
                if self.paid.is_none_or(|paid| paid.end != period.start) {
                    self.anchor_day = period.start.jakarta_date().day();
                }
                if self.discount.is_positive() {
                    self.discounted_until = self.paid.map(|paid| paid.end);
                }
                self.paid = Some(*period);
                self.renewing = None;
                self.discount = Rupiah::ZERO;
                self.grace = None;
                self.noticed = None;
            }
            SubscriptionEvent::SubscriptionRenewalFailed { .. } => self.renewing = None,
            SubscriptionEvent::SubscriptionGraceStarted { until, .. } => self.grace = Some(*until),
            _ => {}
        }
    }
}
