//! The life of what is paid for: notices, the end of a period, and what is kept after the end.

use std::time::Duration;

use minispod_events::{CancelReason, ExpiryCause, Period, SubscriptionEvent};
use minispod_kernel::{Rupiah, Sensitive, Timestamp};

use super::{Ends, GRACE, Phase, Sold, SubscriptionRefusal};

/// How many days before an end its owner is told.
pub const NOTICE_DAYS: [u8; 3] = [7, 3, 1];
/// How long the data of what has ended is kept.
pub const RETENTION: Duration = Duration::from_hours(30 * 24);
/// When what is late already is looked at: another instant than any before it, so that the timer fires again.
const SOON: Duration = Duration::from_secs(1);

const DAY_IN_MILLISECONDS: i64 = 24 * 60 * 60 * 1_000;

/// When what ends at `end` is next looked at: its notices, then its end, and soon when that is over.
pub(super) fn next_look(end: Timestamp, now: Timestamp) -> Timestamp {
    let notices = NOTICE_DAYS.iter().map(|days| days_before(end, *days));
    notices.chain([end]).find(|at| *at > now).unwrap_or_else(|| now.plus(SOON))
}

/// The notice whose moment came last; those before it have nothing left to say.
fn notice_due(end: Timestamp, now: Timestamp) -> Option<u8> {
    NOTICE_DAYS.into_iter().rev().find(|days| days_before(end, *days) <= now)
}

fn days_before(end: Timestamp, days: u8) -> Timestamp {
    Timestamp::from_unix_millis(end.unix_millis().saturating_sub(i64::from(days) * DAY_IN_MILLISECONDS))
}

impl Sold {
    /// A process under way sets the timer again when it ends.
    pub(super) fn pass_milestone(&self, now: Timestamp) -> Vec<SubscriptionEvent> {
        if self.renewing.is_some() || self.resuming.is_some() || self.change.is_some() {
            return Vec::new();
        }
        match (self.phase, self.paid) {
            (Phase::Active, Some(paid)) if paid.end > now => self.notice(paid, now).into_iter().collect(),
            (Phase::Active, Some(paid)) => self.period_over(paid, now),
            (Phase::Suspended, Some(paid)) if paid.end.plus(GRACE) <= now => {
                vec![self.expired(ExpiryCause::NotRenewed, now)]
            }
            (Phase::Expired, _) if self.data_until.is_some_and(|until| until > now) => {
                self.look_at_data(now).into_iter().chain(self.ask_again(now)).collect()
            }
            (Phase::Expired | Phase::Cancelled, _) => self.look_at_data(now).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn notice(&self, paid: Period, now: Timestamp) -> Option<SubscriptionEvent> {
        let days_left = notice_due(paid.end, now)?;
        if self.noticed.is_some_and(|before| before <= days_left) {
            return None;
        }
        Some(SubscriptionEvent::SubscriptionEndApproaching {
            user_id: self.user_id.clone(),
            display_name: self.plan.display_name.clone(),
            period: paid.number,
            days_left,
            end: paid.end,
            amount: self.downgrade.as_ref().map_or(self.plan.price, |next| next.to.price),
            auto_renew: self.auto_renew && self.ends.is_none(),
            life_due: next_look(paid.end, now),
            occurred_at: now,
        })
    }

    /// The end that was wished for, the cheaper plan, the next period, or nothing more.
    fn period_over(&self, paid: Period, now: Timestamp) -> Vec<SubscriptionEvent> {
        if self.grace.is_some_and(|until| now < until) {
            return Vec::new();
        }
        if let Some(end) = self.unwanted(now) {
            return vec![end];
        }
        let cheaper = self.downgrade.clone().filter(|_| self.grace.is_none());
        cheaper
            .and_then(|next| self.change_at_end(next, paid, now))
            .or_else(|| self.renewal_started(now))
            .into_iter()
            .collect()
    }

    /// How it ends when nobody wants a next period.
    pub(super) fn unwanted(&self, now: Timestamp) -> Option<SubscriptionEvent> {
        // What they said stands beside their wish in the log.
        let reason = match self.ends {
            Some(Ends::ByCustomer) => CancelReason::Customer { text: Sensitive::Forgotten },
            Some(Ends::ByAdministrator) => CancelReason::Administrator { text: Sensitive::Forgotten },
            None if !self.auto_renew => return Some(self.expired(ExpiryCause::NotRenewed, now)),
            None => return None,
        };
        Some(self.cancelled(reason, Rupiah::ZERO, now))
    }

    /// W29: one retention for what ran out and for what was cancelled.
    fn look_at_data(&self, now: Timestamp) -> Option<SubscriptionEvent> {
        let data_until = self.data_until?;
        if data_until <= now {
            return Some(SubscriptionEvent::SubscriptionPurged {
                user_id: self.user_id.clone(),
                instance_id: self.instance_id.clone(),
                offering: self.plan.offering.clone(),
                subdomain: self.subdomain.clone(),
                display_name: self.plan.display_name.clone(),
                expired: self.phase == Phase::Expired,
                occurred_at: now,
            });
        }
        let days_left = notice_due(data_until, now)?;
        if self.noticed.is_some_and(|before| before <= days_left) {
            return None;
        }
        Some(SubscriptionEvent::SubscriptionDataEndApproaching {
            user_id: self.user_id.clone(),
            display_name: self.plan.display_name.clone(),
            days_left,
            data_until,
            life_due: next_look(data_until, now),
            occurred_at: now,
        })
    }

    /// In grace the paid time is over already.
    pub(super) fn schedule_cancellation(
        &self,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<Vec<SubscriptionEvent>, SubscriptionRefusal> {
        match (self.phase, self.paid) {
            (Phase::Active, _) if self.ends.is_some() => Ok(Vec::new()),
            (Phase::Active, Some(paid)) if paid.end > now => {
                Ok(vec![SubscriptionEvent::SubscriptionCancellationScheduled {
                    at: paid.end,
                    user_id: Some(self.user_id.clone()),
                    reason: Some(reason),
                    occurred_at: now,
                }])
            }
            (Phase::Active, Some(_)) => Err(SubscriptionRefusal::PeriodOver),
            _ => Err(SubscriptionRefusal::WrongState),
        }
    }

    pub(super) fn cancellation_withdrawn(&self, now: Timestamp) -> Option<SubscriptionEvent> {
        let user_id = self.user_id.clone();
        self.ends.map(|_| SubscriptionEvent::SubscriptionCancellationWithdrawn { user_id, occurred_at: now })
    }

    /// When its life is next looked at, as it stands.
    pub(super) fn life_due(&self, now: Timestamp) -> Option<Timestamp> {
        let paid = self.paid?;
        match self.phase {
            Phase::Active => Some(running_due(paid.end, self.grace, now)),
            Phase::Suspended => Some(not_before(paid.end.plus(GRACE), now)),
            Phase::Expired | Phase::Cancelled => self.data_until.map(|end| next_look(end, now)),
            _ => None,
        }
    }

    pub(super) fn apply_life(&mut self, event: &SubscriptionEvent) {
        match event {
            SubscriptionEvent::SubscriptionEndApproaching { days_left, .. }
            | SubscriptionEvent::SubscriptionDataEndApproaching { days_left, .. } => self.noticed = Some(*days_left),
            SubscriptionEvent::SubscriptionCancellationScheduled { reason, .. } => {
                let by_administrator = matches!(reason, Some(CancelReason::Administrator { .. }));
                self.ends = Some(if by_administrator { Ends::ByAdministrator } else { Ends::ByCustomer });
            }
            SubscriptionEvent::SubscriptionCancellationWithdrawn { .. } => self.ends = None,
            _ => {}
        }
    }
}

/// Of what runs: the end of its grace, or the next moment of its period.
pub(super) fn running_due(end: Timestamp, grace: Option<Timestamp>, now: Timestamp) -> Timestamp {
    grace.map_or_else(|| next_look(end, now), |until| not_before(until, now))
}

pub(super) fn not_before(due: Timestamp, now: Timestamp) -> Timestamp {
    if due > now { due } else { now.plus(SOON) }
}
