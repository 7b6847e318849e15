//! Every subscription's life as its events tell it, and the rules that each must keep.

use std::collections::{BTreeMap, BTreeSet};

use minispod_domain::subscription::{GRACE, live_key, subdomain_key};
use minispod_events::{BillingCycle, InstanceEvent, Period, SubscriptionEvent};
use minispod_kernel::Timestamp;

use super::{books::Books, findings::Findings, world::Waiting};

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Requested,
    SlotHeld,
    Provisioning,
    Active,
    Suspended,
    Expired,
    Compensating,
    Cancelled,
}

/// One subscription.
#[derive(Debug, Clone)]
pub struct Life {
    pub user: String,
    pub plan_id: String,
    pub offering: String,
    pub subdomain: String,
    pub instance: String,
    pub cycle: BillingCycle,
    pub standing: Standing,
    pub since: Timestamp,
    pub period: Option<Period>,
    pub auto_renew: bool,
    anchor: u8,
    price: i64,
    renewing: Option<Period>,
    resuming: bool,
    deadline: Option<Timestamp>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Lives {
    pub all: BTreeMap<String, Life>,
    /// Those of each customer that are not over.
    alive: BTreeMap<String, BTreeSet<String>>,
    /// Instances that are asked to run.
    running: BTreeSet<String>,
    /// What the paid periods cost, where they cost anything.
    kept: BTreeMap<(String, u32), i64>,
}

impl Life {
    /// Not over.
    pub fn lives(&self) -> bool {
        self.standing != Standing::Cancelled
    }

    fn stand(&mut self, standing: Standing, since: Timestamp) {
        (self.standing, self.since) = (standing, since);
    }

    /// A period follows the one before it without a gap, or begins on its own day when the grace is over.
    fn start_renewal(&mut self, id: &str, period: &Period, now: Timestamp, findings: &mut Findings) {
        let last = self.period.unwrap_or(*period);
        let start = if now <= last.end.plus(GRACE) { last.end } else { now };
        let fits = period.number == last.number + 1 && period.start == start;
        findings.expect(fits, || format!("{id}: {period:?} is to follow {last:?} at {now}"));
        self.renewing = Some(*period);
    }

    fn renew(&mut self, id: &str, period: &Period, findings: &mut Findings) {
        let asked = self.renewing.take();
        findings.expect(asked == Some(*period), || format!("{id}: {period:?} was renewed, {asked:?} was asked for"));
        if self.period.is_none_or(|last| last.end != period.start) {
            self.anchor = period.start.jakarta_date().day();
        }
        self.check_length(id, period, findings);
        self.period = Some(*period);
    }

    /// By the calendar: as many months, on the anchor's day or the month's last.
    fn check_length(&self, id: &str, period: &Period, findings: &mut Findings) {
        let (start, end) = (period.start.jakarta_date(), period.end.jakarta_date());
        let month_of = |year: i32, month: u8| year * 12 + i32::from(month);
        let length = month_of(end.year(), end.month().into()) - month_of(start.year(), start.month().into());
        let due = match self.cycle {
            BillingCycle::Monthly => 1,
            BillingCycle::Yearly => 12,
        };
        findings.expect(length == due, || format!("{id}: {period:?} has {length} months"));
        let day = self.anchor.min(end.month().length(end.year()));
        findings.expect(end.day() == day, || format!("{id}: {period:?} ends on {}, anchor {}", end.day(), self.anchor));
    }
}

impl Lives {
    /// Follows an instance.
    pub fn observe_instance(&mut self, id: &str, event: &InstanceEvent) {
        match event {
            InstanceEvent::InstanceProvisionRequested { .. } | InstanceEvent::InstanceStartRequested { .. } => {
                self.running.insert(id.to_owned());
            }
            InstanceEvent::InstanceStopRequested { .. } | InstanceEvent::InstanceDeletionRequested { .. } => {
                self.running.remove(id);
            }
            _ => {}
        }
    }

    /// Follows a subscription.
    pub fn observe(&mut self, id: &str, event: &SubscriptionEvent, now: Timestamp, findings: &mut Findings) {
        if let SubscriptionEvent::SubscriptionRequested {
            user_id,
            instance_id,
            plan,
            cycle,
            subdomain,
            auto_renew,
            ..
        } = event
        {
            let life = Life {
                user: user_id.clone(),
                plan_id: plan.plan_id.clone(),
                offering: plan.offering.clone(),
                subdomain: subdomain.clone(),
                instance: instance_id.clone(),
                cycle: *cycle,
                standing: Standing::Requested,
                since: now,
                period: None,
                auto_renew: *auto_renew,
                anchor: 1,
                price: plan.price.amount(),
                renewing: None,
                resuming: false,
                deadline: None,
            };
            self.alive.entry(user_id.clone()).or_default().insert(id.to_owned());
            self.all.insert(id.to_owned(), life);
            return;
        }
        let Some(life) = self.all.get_mut(id) else {
            return findings.expect(false, || format!("{id}: {event:?} before it was requested"));
        };
        findings.expect(life.lives() || is_late(event), || format!("{id}: {event:?} after its end"));
        life.observe(id, event, now, findings);
        let over = !life.lives();
        if let Some(alive) = self.alive.get_mut(&life.user).filter(|_| over) {
            alive.remove(id);
        }
        self.count_periods(id, event);
    }

    /// What a subscription keeps of its money, by its own events.
    fn count_periods(&mut self, id: &str, event: &SubscriptionEvent) {
        match event {
            SubscriptionEvent::SubscriptionCharged { period, amount, .. }
            | SubscriptionEvent::SubscriptionRenewed { period, amount, .. }
                if amount.is_positive() =>
            {
                self.kept.insert((id.to_owned(), period.number), amount.amount());
            }
            SubscriptionEvent::SubscriptionProvisioningFailed { .. } => {
                self.kept.remove(&(id.to_owned(), 1));
            }
            _ => {}
        }
    }

    /// The subscriptions of a customer that are not over.
    pub fn of(&self, user: &str) -> Vec<(&String, &Life)> {
        let alive = self.alive.get(user).into_iter().flatten();
        alive.filter_map(|id| self.all.get_key_value(id)).collect()
    }

    /// When nobody has anything left to do: nothing hangs, nothing runs that is not paid.
    pub fn check(&self, now: Timestamp, books: &Books, findings: &mut Findings) {
        for (id, life) in &self.all {
            let hangs = match life.standing {
                Standing::Requested | Standing::SlotHeld | Standing::Compensating => true,
                Standing::Provisioning => life.deadline.is_none_or(|deadline| deadline <= now),
                _ => life.renewing.is_some() || life.resuming,
            };
            findings.expect(!hangs, || format!("{id} hangs in {:?} since {}", life.standing, life.since));
            let may_run = matches!(life.standing, Standing::Provisioning | Standing::Active);
            let runs = self.running.contains(&life.instance);
            findings.expect(runs == may_run, || format!("{id} is {:?}, its instance runs: {runs}", life.standing));
        }
        let (kept, paid) = (&self.kept, &books.periods);
        findings.expect(kept == paid, || {
            let by_lives = kept.iter().filter(|(period, cost)| paid.get(*period) != Some(*cost));
            let by_books = paid.iter().filter(|(period, cost)| kept.get(*period) != Some(*cost));
            let (by_lives, by_books) = (by_lives.collect::<Vec<_>>(), by_books.collect::<Vec<_>>());
            format!("periods that were paid by subscriptions {by_lives:?}, by wallets {by_books:?}")
        });
    }

    /// Who must hold a slot of which plan.
    pub fn slot_holders(&self) -> BTreeSet<(String, String)> {
        let holds =
            |life: &&Life| matches!(life.standing, Standing::SlotHeld | Standing::Provisioning | Standing::Active);
        let with_slot = self.all.iter().filter(|(_, life)| holds(life));
        with_slot.map(|(id, life)| (life.plan_id.clone(), id.clone())).collect()
    }

    /// The claims of live subscriptions and their subdomains.
    pub fn claims(&self) -> BTreeMap<String, String> {
        let live = self.all.iter().filter(|(_, life)| life.lives());
        live.flat_map(|(id, life)| {
            let keys = [live_key(&life.user, &life.offering), subdomain_key(&life.offering, &life.subdomain)];
            keys.map(|key| (key, id.clone()))
        })
        .collect()
    }

    /// Every timer belongs to what lives and is yet to come.
    pub fn check_timers(&self, timers: &[Waiting], now: Timestamp, findings: &mut Findings) {
        for Waiting { id, due, aggregate_id } in timers {
            findings.expect(*due > now, || format!("{id} was due at {due} and still waits at {now}"));
            let life = self.all.get(aggregate_id);
            let belongs = match (life, id.rsplit('/').next()) {
                (Some(life), Some("deadline")) => {
                    life.standing == Standing::Provisioning && life.deadline == Some(*due)
                }
                (Some(life), Some("resume")) => life.resuming,
                (Some(life), _) => life.lives(),
                (None, _) => true,
            };
            findings.expect(belongs, || format!("{id} waits for nothing: {life:?}"));
        }
        for (id, life) in self.all.iter().filter(|(_, life)| life.standing == Standing::Provisioning) {
            let waits = timers.iter().any(|timer| timer.aggregate_id == *id && timer.id.ends_with("/deadline"));
            findings.expect(waits, || format!("{id} is provisioned without a deadline: {life:?}"));
        }
    }
}

/// What may be said after the end.
fn is_late(event: &SubscriptionEvent) -> bool {
    matches!(event, SubscriptionEvent::SubscriptionRefunded { .. })
}

impl Life {
    fn observe(&mut self, id: &str, event: &SubscriptionEvent, now: Timestamp, findings: &mut Findings) {
        match event {
            SubscriptionEvent::SubscriptionSlotHeld { .. } => self.stand(Standing::SlotHeld, now),
            SubscriptionEvent::SubscriptionCharged { amount, .. } => {
                findings.expect(amount.amount() == self.price, || format!("{id} cost {amount}, not {}", self.price));
            }
            SubscriptionEvent::SubscriptionProvisioningStarted { deadline, .. } => {
                self.deadline = Some(*deadline);
                self.stand(Standing::Provisioning, now);
            }
            SubscriptionEvent::SubscriptionActivated { period, anchor_day, .. } => {
                let in_time = self.deadline.is_some_and(|deadline| now <= deadline);
                findings.expect(in_time, || format!("{id} became active after its deadline"));
                findings.expect(period.start == now && period.number == 1, || format!("{id} begins with {period:?}"));
                findings.expect(*anchor_day == now.jakarta_date().day(), || format!("{id}: anchor {anchor_day}"));
                self.anchor = *anchor_day;
                self.check_length(id, period, findings);
                self.period = Some(*period);
                self.stand(Standing::Active, now);
            }
            SubscriptionEvent::SubscriptionProvisioningFailed { refund, .. } => {
                findings.expect(refund.amount() == self.price, || format!("{id} cost {}, gets {refund}", self.price));
                self.stand(Standing::Compensating, now);
            }
            SubscriptionEvent::SubscriptionRenewalStarted { period, .. } => {
                self.start_renewal(id, period, now, findings);
            }
            SubscriptionEvent::SubscriptionRenewalFailed { .. } => self.renewing = None,
            SubscriptionEvent::SubscriptionRenewed { period, .. } => {
                self.renew(id, period, findings);
            }
            SubscriptionEvent::SubscriptionCancelled { .. } => {
                (self.renewing, self.resuming) = (None, false);
                self.stand(Standing::Cancelled, now);
            }
            SubscriptionEvent::SubscriptionSuspended { .. } => self.stand(Standing::Suspended, now),
            SubscriptionEvent::SubscriptionExpired { .. } => self.stand(Standing::Expired, now),
            SubscriptionEvent::SubscriptionResumeStarted { .. } => self.resuming = true,
            SubscriptionEvent::SubscriptionResumeFailed { .. } => self.resuming = false,
            SubscriptionEvent::SubscriptionResumed { .. } => {
                self.resuming = false;
                self.stand(Standing::Active, now);
            }
            SubscriptionEvent::SubscriptionExtended { period, .. } => {
                self.anchor = period.end.jakarta_date().day();
                self.period = Some(*period);
            }
            SubscriptionEvent::SubscriptionAutoRenewChanged { auto_renew, .. } => self.auto_renew = *auto_renew,
            SubscriptionEvent::SubscriptionRequested { .. }
            | SubscriptionEvent::SubscriptionRefunded { .. }
            | SubscriptionEvent::SubscriptionSettingsChanged { .. }
            | SubscriptionEvent::SubscriptionCancellationScheduled { .. } => {}
        }
    }
}
