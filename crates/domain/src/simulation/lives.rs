//! Every subscription's life as its events tell it, and the rules that each must keep.

use std::collections::{BTreeMap, BTreeSet};

use minispod_domain::subscription::{GRACE, live_key, subdomain_key};
use minispod_events::{BillingCycle, InstanceEvent, Period, SubscriptionEvent};
use minispod_kernel::{Rupiah, Timestamp};

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
    Purged,
}

/// One subscription.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own beside the standing")]
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
    /// Cheaper from the next period on.
    pub cheaper: bool,
    /// It ends with its period.
    pub ends: bool,
    anchor: u8,
    price: i64,
    /// How much less the first period costs.
    discount: i64,
    renewing: Option<Period>,
    resuming: bool,
    deadline: Option<Timestamp>,
    grace: Option<Timestamp>,
    data_until: Option<Timestamp>,
    change: Option<Change>,
    /// Periods and days of which their owner was told.
    told: BTreeSet<(u32, Timestamp, u8)>,
}

/// A change of plan that is under way.
#[derive(Debug, Clone)]
struct Change {
    number: u32,
    to: String,
    deadline: Timestamp,
    has_slot: bool,
    paid: i64,
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
    /// The same of changes of plan; negative where one gave something back.
    changes: BTreeMap<(String, u32), i64>,
}

impl Life {
    /// The customer's one of its offering.
    pub fn lives(&self) -> bool {
        !matches!(self.standing, Standing::Cancelled | Standing::Purged)
    }

    fn stand(&mut self, standing: Standing, since: Timestamp) {
        (self.standing, self.since) = (standing, since);
    }

    /// A period follows the one before it without a gap. It begins on its own day when the grace is over, or when
    /// nothing ran any more.
    fn start_renewal(&mut self, id: &str, period: &Period, now: Timestamp, findings: &mut Findings) {
        let last = self.period.unwrap_or(*period);
        let runs_until = if self.standing == Standing::Expired { last.end } else { last.end.plus(GRACE) };
        let start = if now <= runs_until { last.end } else { now };
        let fits = period.number == last.number + 1 && period.start == start;
        findings.expect(fits, || format!("{id}: {period:?} is to follow {last:?} at {now}"));
        self.renewing = Some(*period);
    }

    fn renew(&mut self, id: &str, period: &Period, amount: Rupiah, findings: &mut Findings) {
        let asked = self.renewing.take();
        findings.expect(asked == Some(*period), || format!("{id}: {period:?} was renewed, {asked:?} was asked for"));
        findings.expect(amount.amount() == self.price, || format!("{id}: {amount} for what costs {}", self.price));
        if self.period.is_none_or(|last| last.end != period.start) {
            self.anchor = period.start.jakarta_date().day();
        }
        self.check_length(id, period, findings);
        self.period = Some(*period);
        self.grace = None;
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

    /// Whether it waits for somebody longer than it may; nobody has anything left to do at `now`.
    fn hangs(&self, now: Timestamp) -> Option<&'static str> {
        let over = |until: Option<Timestamp>| until.is_none_or(|until| until <= now);
        let paid_until = self.period.map(|period| period.end);
        match self.standing {
            Standing::Requested | Standing::SlotHeld | Standing::Compensating => Some("waits for a step"),
            Standing::Provisioning if over(self.deadline) => Some("is provisioned after its deadline"),
            _ if self.renewing.is_some() => Some("waits for its charge"),
            _ if self.resuming => Some("waits for a slot to run again"),
            _ if self.change.as_ref().is_some_and(|change| change.deadline <= now) => Some("changes its plan for ever"),
            Standing::Active if over(paid_until) && self.change.is_none() && over(self.grace) => {
                Some("runs unpaid beyond its grace")
            }
            Standing::Active if over(paid_until.map(|end| end.plus(GRACE))) && self.change.is_none() => {
                Some("runs unpaid for longer than the grace")
            }
            Standing::Suspended if over(paid_until.map(|end| end.plus(GRACE))) => Some("is suspended after its time"),
            Standing::Expired if over(self.data_until) => Some("is kept for ever"),
            Standing::Cancelled if self.data_until.is_some_and(|until| until <= now) => Some("keeps its data"),
            _ => None,
        }
    }

    /// The timers that it must have by their last word.
    fn timers(&self) -> Vec<&'static str> {
        let mut timers = Vec::new();
        if self.standing == Standing::Provisioning {
            timers.push("deadline");
        }
        let looked_at = matches!(self.standing, Standing::Active | Standing::Suspended | Standing::Expired)
            || self.standing == Standing::Cancelled && self.data_until.is_some();
        if looked_at && self.change.is_none() {
            timers.push("life");
        }
        if self.change.is_some() {
            timers.push("change");
        }
        timers
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
        if let SubscriptionEvent::SubscriptionRequested { user_id, .. } = event {
            self.alive.entry(user_id.clone()).or_default().insert(id.to_owned());
            self.all.extend(begun(event, now).map(|life| (id.to_owned(), life)));
            return;
        }
        let Some(life) = self.all.get_mut(id) else {
            return findings.expect(false, || format!("{id}: {event:?} before it was requested"));
        };
        findings.expect(life.lives() || is_late(event), || format!("{id}: {event:?} after its end"));
        life.observe(id, event, now, findings);
        life.observe_standing(id, event, now, findings);
        life.observe_change(id, event, findings);
        let over = !life.lives();
        if let Some(alive) = self.alive.get_mut(&life.user).filter(|_| over) {
            alive.remove(id);
        }
        self.count_money(id, event);
    }

    /// What a subscription keeps of its money, by its own events.
    fn count_money(&mut self, id: &str, event: &SubscriptionEvent) {
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
            SubscriptionEvent::SubscriptionPlanChangePaid { change, amount, .. } if amount.is_positive() => {
                self.changes.insert((id.to_owned(), *change), amount.amount());
            }
            SubscriptionEvent::SubscriptionPlanChanged { change, charged, refunded, .. } if charged != refunded => {
                self.changes.insert((id.to_owned(), *change), charged.amount() - refunded.amount());
            }
            SubscriptionEvent::SubscriptionPlanChangeReverted { change, .. } => {
                self.changes.remove(&(id.to_owned(), *change));
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
            if let Some(why) = life.hangs(now) {
                findings.expect(false, || format!("{id} {why}, {:?} since {}: {life:?}", life.standing, life.since));
            }
            let may_run = matches!(life.standing, Standing::Provisioning | Standing::Active);
            let runs = self.running.contains(&life.instance);
            let waits = life.grace.is_none() || books.awaiting.contains(id);
            findings.expect(waits, || format!("{id} is in grace and waits for nothing: {life:?}"));
            findings.expect(runs == may_run, || format!("{id} is {:?}, its instance runs: {runs}", life.standing));
        }
        for id in &books.awaiting {
            let life = self.all.get(id).filter(|life| life.lives());
            findings.expect(life.is_some(), || format!("{id} is over and waits for money"));
        }
        for (what, lives, books) in
            [("periods", &self.kept, &books.periods), ("changes of plan", &self.changes, &books.changes)]
        {
            findings.expect(lives == books, || {
                let by_lives = lives.iter().filter(|(which, cost)| books.get(*which) != Some(*cost));
                let by_books = books.iter().filter(|(which, cost)| lives.get(*which) != Some(*cost));
                let (by_lives, by_books) = (by_lives.collect::<Vec<_>>(), by_books.collect::<Vec<_>>());
                format!("{what} that were paid by subscriptions {by_lives:?}, by wallets {by_books:?}")
            });
        }
    }

    /// Who must hold a slot of which plan.
    pub fn slot_holders(&self) -> BTreeSet<(String, String)> {
        let mut holders = BTreeSet::new();
        for (id, life) in &self.all {
            if matches!(life.standing, Standing::SlotHeld | Standing::Provisioning | Standing::Active) {
                holders.insert((life.plan_id.clone(), id.clone()));
            }
            if let Some(change) = life.change.as_ref().filter(|change| change.has_slot) {
                holders.insert((change.to.clone(), id.clone()));
            }
        }
        holders
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

    /// Every timer belongs to what lives and is yet to come, and what lives has the timers it needs.
    pub fn check_timers(&self, timers: &[Waiting], now: Timestamp, findings: &mut Findings) {
        let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Waiting { id, due, aggregate_id } in timers {
            findings.expect(*due > now, || format!("{id} was due at {due} and still waits at {now}"));
            of.entry(aggregate_id).or_default().push(id.rsplit('/').next().unwrap_or_default());
        }
        for (id, life) in &self.all {
            let mut wanted = life.timers();
            let mut found = of.remove(id.as_str()).unwrap_or_default();
            // While its plan changes the next look may wait or not: the end of the change sets it anew.
            if life.change.is_some() {
                found.retain(|timer| *timer != "life");
            }
            wanted.sort_unstable();
            found.sort_unstable();
            findings.expect(wanted == found, || format!("{id} has the timers {found:?}, not {wanted:?}: {life:?}"));
        }
        findings.expect(of.is_empty(), || format!("timers of nobody: {of:?}"));
    }
}

fn begun(event: &SubscriptionEvent, now: Timestamp) -> Option<Life> {
    let SubscriptionEvent::SubscriptionRequested { user_id, instance_id, plan, cycle, subdomain, auto_renew, .. } =
        event
    else {
        return None;
    };
    Some(Life {
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
        cheaper: false,
        ends: false,
        anchor: 1,
        price: plan.price.amount(),
        discount: 0,
        renewing: None,
        resuming: false,
        deadline: None,
        grace: None,
        data_until: None,
        change: None,
        told: BTreeSet::new(),
    })
}

/// What may be said after the end.
fn is_late(event: &SubscriptionEvent) -> bool {
    matches!(
        event,
        SubscriptionEvent::SubscriptionRefunded { .. }
            | SubscriptionEvent::SubscriptionDataEndApproaching { .. }
            | SubscriptionEvent::SubscriptionPurged { expired: false, .. }
    )
}

impl Life {
    fn observe(&mut self, id: &str, event: &SubscriptionEvent, now: Timestamp, findings: &mut Findings) {
        match event {
            SubscriptionEvent::SubscriptionSlotHeld { .. } => self.stand(Standing::SlotHeld, now),
            SubscriptionEvent::SubscriptionCharged { amount, .. } => {
                let due = self.price - self.discount;
                findings.expect(amount.amount() == due, || format!("{id} cost {amount}, not {due}"));
            }
            SubscriptionEvent::SubscriptionDiscounted { list_price, discount, price, .. } => {
                let fits = self.standing == Standing::SlotHeld
                    && list_price.amount() == self.price
                    && price.amount() == self.price - discount.amount()
                    && (1..=self.price).contains(&discount.amount());
                findings.expect(fits, || format!("{id} costs {}, is sold for {price} less {discount}", self.price));
                self.discount = discount.amount();
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
                let paid = self.price - self.discount;
                findings.expect(refund.amount() == paid, || format!("{id} cost {paid}, gets {refund}"));
                self.stand(Standing::Compensating, now);
            }
            SubscriptionEvent::SubscriptionRenewalStarted { period, .. } => {
                self.start_renewal(id, period, now, findings);
            }
            SubscriptionEvent::SubscriptionRenewalFailed { .. } => self.renewing = None,
            SubscriptionEvent::SubscriptionRenewed { period, amount, .. } => {
                self.renew(id, period, *amount, findings);
            }
            SubscriptionEvent::SubscriptionGraceStarted { until, .. } => {
                let end = self.period.map(|period| period.end);
                let fits = end.is_some_and(|end| end <= now && *until == end.plus(GRACE));
                findings.expect(fits, || format!("{id}: grace until {until} after {end:?}"));
                findings.expect(self.auto_renew && !self.ends, || format!("{id}: grace for who wants no more"));
                self.grace = Some(*until);
            }
            SubscriptionEvent::SubscriptionEndApproaching { period, days_left, end, .. } => {
                let paid = self.period.map(|paid| (paid.number, paid.end));
                findings.expect(paid == Some((*period, *end)), || format!("{id}: {period} ends {end}, not {paid:?}"));
                self.tell(id, *period, *end, *days_left, now, findings);
            }
            SubscriptionEvent::SubscriptionDataEndApproaching { days_left, data_until, .. } => {
                self.tell(id, 0, *data_until, *days_left, now, findings);
            }
            _ => {}
        }
    }

    /// Somebody is told of an end once for each number of days, and not later than the number says.
    fn tell(&mut self, id: &str, of: u32, end: Timestamp, days: u8, now: Timestamp, findings: &mut Findings) {
        let left = (end.to_utc() - now.to_utc()).whole_milliseconds();
        let day = 24 * 60 * 60 * 1_000;
        let in_time = left > 0 && left <= i128::from(days) * day;
        findings.expect(in_time, || format!("{id}: told at {now} that {days} days are left until {end}"));
        let is_new = self.told.insert((of, end, days));
        findings.expect(is_new, || format!("{id}: told twice that {days} days are left until {end}"));
    }

    fn observe_standing(&mut self, id: &str, event: &SubscriptionEvent, now: Timestamp, findings: &mut Findings) {
        match event {
            SubscriptionEvent::SubscriptionCancelled { data_until, .. } => {
                (self.renewing, self.resuming, self.grace) = (None, false, None);
                self.data_until = *data_until;
                self.stand(Standing::Cancelled, now);
            }
            SubscriptionEvent::SubscriptionPurged { expired, .. } => {
                let due = self.data_until.is_some_and(|until| until <= now);
                findings.expect(due, || format!("{id} is purged at {now}, kept until {:?}", self.data_until));
                let ran_out = self.standing == Standing::Expired;
                findings.expect(*expired == ran_out, || format!("{id} is purged as expired: {expired}"));
                self.data_until = None;
                self.stand(Standing::Purged, now);
            }
            SubscriptionEvent::SubscriptionSuspended { .. } => self.stand(Standing::Suspended, now),
            SubscriptionEvent::SubscriptionExpired { data_until, .. } => {
                (self.grace, self.ends, self.cheaper) = (None, false, false);
                self.data_until = *data_until;
                self.stand(Standing::Expired, now);
            }
            SubscriptionEvent::SubscriptionResumeStarted { .. } => self.resuming = true,
            SubscriptionEvent::SubscriptionResumeFailed { .. } => self.resuming = false,
            SubscriptionEvent::SubscriptionResumed { .. } => {
                (self.resuming, self.data_until) = (false, None);
                self.stand(Standing::Active, now);
            }
            SubscriptionEvent::SubscriptionExtended { period, .. } => {
                self.anchor = period.end.jakarta_date().day();
                self.period = Some(*period);
                self.grace = None;
            }
            SubscriptionEvent::SubscriptionAutoRenewChanged { auto_renew, .. } => self.auto_renew = *auto_renew,
            SubscriptionEvent::SubscriptionCancellationScheduled { at, .. } => {
                let end = self.period.map(|period| period.end);
                findings.expect(end == Some(*at), || format!("{id} is to end at {at}, paid until {end:?}"));
                self.ends = true;
            }
            SubscriptionEvent::SubscriptionCancellationWithdrawn { .. } => self.ends = false,
            SubscriptionEvent::SubscriptionDowngradeScheduled { .. } => self.cheaper = true,
            SubscriptionEvent::SubscriptionDowngradeWithdrawn { .. } => self.cheaper = false,
            _ => {}
        }
    }

    fn observe_change(&mut self, id: &str, event: &SubscriptionEvent, findings: &mut Findings) {
        match event {
            SubscriptionEvent::SubscriptionPlanChangeStarted { change, to, deadline, at_period_end, .. } => {
                findings.expect(self.change.is_none(), || format!("{id} changes its plan twice at once"));
                self.cheaper &= !*at_period_end;
                let (number, to, deadline) = (*change, to.plan_id.clone(), *deadline);
                self.change = Some(Change { number, to, deadline, has_slot: false, paid: 0 });
            }
            SubscriptionEvent::SubscriptionPlanChangeSlotHeld { .. } => {
                self.change.iter_mut().for_each(|change| change.has_slot = true);
            }
            SubscriptionEvent::SubscriptionPlanChangePaid { amount, .. } => {
                self.change.iter_mut().for_each(|change| change.paid = amount.amount());
            }
            SubscriptionEvent::SubscriptionPlanChanged { change, plan, proration, charged, refunded, .. } => {
                let under_way = self.change.take();
                let fits = under_way.as_ref().is_some_and(|it| {
                    it.number == *change && it.has_slot && it.to == plan.plan_id && it.paid == charged.amount()
                });
                findings.expect(fits, || format!("{id} has changed to {}: {under_way:?}", plan.plan_id));
                let net = charged.amount() - refunded.amount();
                findings.expect(net == proration.net.amount(), || format!("{id} paid {net}: {proration:?}"));
                self.plan_id.clone_from(&plan.plan_id);
                self.price = plan.price.amount();
            }
            SubscriptionEvent::SubscriptionPlanChangeFailed { held_slot, .. } => {
                let under_way = self.change.take();
                let held = under_way.as_ref().is_some_and(|change| change.has_slot);
                findings.expect(held == *held_slot, || format!("{id} gives back a slot: {held_slot}; {under_way:?}"));
            }
            SubscriptionEvent::SubscriptionPlanChangeReverted { given_back, .. } => {
                let paid = self.change.take().map(|change| change.paid);
                findings.expect(paid == Some(given_back.amount()), || format!("{id} paid {paid:?}, gets {given_back}"));
            }
            _ => {}
        }
    }
}
