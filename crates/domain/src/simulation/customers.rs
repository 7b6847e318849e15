//! The customers: what each of them does when they look at what they have.

use std::time::Duration;

use minispod_domain::{
    AccessCommand, AnyCommand, CouponCommand, SubscriptionCommand, TopUpCommand, UserCommand, topup,
};
use minispod_events::{
    BillingCycle, CancelReason, CouponPurpose, CouponUse, Role, SignUpMethod, SubscriptionEvent, TopUpEvent,
};
use minispod_kernel::{Rupiah, Sensitive, Timestamp};

use super::{
    books::Books,
    catalogue::Catalogue,
    chance::Chance,
    coupons,
    lives::{Life, Lives, Standing},
};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// When somebody does something about a service that was not paid: in grace, at its edges, long after, too late.
const BAD_MOMENTS: [Duration; 8] = [
    HOUR,
    Duration::from_hours(24),
    Duration::from_hours(71),
    Duration::from_hours(73),
    Duration::from_hours(9 * 24),
    Duration::from_hours(29 * 24),
    Duration::from_hours(31 * 24),
    Duration::from_hours(50 * 24),
];

/// How somebody handles money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Has always enough.
    Careful,
    /// Pays when it is nearly too late, or is.
    Late,
    /// Pays for what is wanted now and forgets.
    Rare,
}

/// Somebody.
#[derive(Debug)]
pub struct Customer {
    pub id: String,
    habit: Habit,
    topups: u32,
    requests: u32,
    codes: u32,
    /// Their top-ups, the newest last, and whether it may be paid again.
    newest: Option<(String, bool)>,
}

/// A command, whose and to which aggregate.
pub struct Deed {
    pub id: String,
    pub command: AnyCommand,
    /// The situation that it makes, for the statistics.
    pub what: &'static str,
}

/// What somebody sees.
pub struct View<'a> {
    pub catalogue: &'a Catalogue,
    pub lives: &'a Lives,
    pub books: &'a Books,
    pub now: Timestamp,
}

impl Customer {
    /// The customer number `number`.
    pub fn new(number: usize, chance: &mut Chance) -> Self {
        let habit = *chance.pick(&[Habit::Careful, Habit::Careful, Habit::Late, Habit::Rare]);
        Self { id: format!("user-{number}"), habit, topups: 0, requests: 0, codes: 0, newest: None }
    }

    /// Signs up.
    pub fn register(&self) -> Deed {
        let command = UserCommand::Register {
            name: Sensitive::Open(self.id.clone()),
            email: Sensitive::Open(format!("{}@example.com", self.id)),
            email_claim: format!("claim-{}", self.id),
            role: Role::User,
            method: SignUpMethod::Password,
        };
        Deed { id: self.id.clone(), command: AnyCommand::User(command), what: "signed up" }
    }

    /// Follows the link in the mail.
    pub fn verify(&self) -> Deed {
        let command = AnyCommand::User(UserCommand::Access(AccessCommand::VerifyEmail));
        Deed { id: self.id.clone(), command, what: "proved the address" }
    }

    /// Enters a code that somebody told.
    fn redeem(&mut self) -> Deed {
        self.codes += 1;
        let used = CouponUse {
            use_id: format!("{}-c{}", self.id, self.codes),
            user_id: self.id.clone(),
            purpose: CouponPurpose::Redemption,
        };
        let command = AnyCommand::Coupon(CouponCommand::Reserve { used });
        Deed { id: coupons::CREDIT.to_owned(), command, what: "entered a code" }
    }

    /// How long until they look again by themselves.
    pub fn pause(&self, chance: &mut Chance) -> Duration {
        match self.habit {
            Habit::Careful => chance.between(DAY, DAY * 9),
            Habit::Late => chance.between(DAY * 2, DAY * 16),
            Habit::Rare => chance.between(DAY * 4, DAY * 30),
        }
    }

    /// When they look again after something happened to a subscription of theirs.
    pub fn alarmed(event: &SubscriptionEvent, chance: &mut Chance) -> Option<Duration> {
        match event {
            SubscriptionEvent::SubscriptionGraceStarted { .. }
            | SubscriptionEvent::SubscriptionExpired { .. }
            | SubscriptionEvent::SubscriptionDataEndApproaching { .. } => Some(*chance.pick(&BAD_MOMENTS)),
            SubscriptionEvent::SubscriptionCancelled { .. } => Some(chance.between(HOUR, DAY * 20)),
            _ => None,
        }
    }

    /// When they look again after something happened to a top-up of theirs.
    pub fn told(&mut self, topup_id: &str, event: &TopUpEvent, chance: &mut Chance) -> Option<Duration> {
        match event {
            TopUpEvent::TopUpConfirmed { .. } => {
                self.newest = None;
                Some(chance.between(MINUTE, HOUR))
            }
            TopUpEvent::TopUpDenied { .. } | TopUpEvent::TopUpExpired { .. } | TopUpEvent::TopUpCancelled { .. } => {
                self.newest = Some((topup_id.to_owned(), true));
                Some(chance.between(MINUTE, DAY))
            }
            _ => None,
        }
    }

    /// What they do now, perhaps nothing.
    pub fn choose(&mut self, view: &View<'_>, chance: &mut Chance) -> Vec<Deed> {
        let mine = view.lives.of(&self.id);
        let mut deeds = Vec::new();
        if let Some((topup_id, true)) = self.newest.clone()
            && chance.per_mille(400)
        {
            self.newest = None;
            let expires_at = view.now.plus(DAY);
            let command = AnyCommand::TopUp(TopUpCommand::StartAttempt { expires_at });
            deeds.push(Deed { id: topup_id, command, what: "paid again" });
        }
        if chance.per_mille(60) {
            deeds.push(self.redeem());
        }
        for (id, life) in &mine {
            deeds.extend(self.look_after(id, life, view, chance));
        }
        if mine.is_empty() || (mine.len() < 2 && chance.per_mille(60)) {
            deeds.extend(self.want_one(&mine, view, chance));
        }
        deeds
    }

    fn look_after(&mut self, id: &str, life: &Life, view: &View<'_>, chance: &mut Chance) -> Vec<Deed> {
        let price = view.catalogue.plans.get(&life.plan_id).map_or(0, |plan| plan.snapshot(life.cycle).price.amount());
        let balance = view.books.balance(&self.id);
        let left = life.period.map(|period| period.end.to_utc() - view.now.to_utc());
        let runs_out = left.is_some_and(|left| left.whole_days() < 8);
        let of = |command, what| Deed { id: id.to_owned(), command: AnyCommand::Subscription(command), what };
        let mut deeds = Vec::new();
        let pays = match self.habit {
            Habit::Careful => runs_out,
            Habit::Late => left.is_some_and(|left| left.whole_days() < 2) && chance.per_mille(700),
            Habit::Rare => left.is_some_and(|left| left.whole_days() < -1) && chance.per_mille(500),
        };
        if pays && balance < price {
            deeds.push(self.top_up(price - balance, view, chance));
        }
        let by_hand = runs_out && chance.per_mille(if life.auto_renew { 100 } else { 600 });
        if by_hand && matches!(life.standing, Standing::Active | Standing::Expired) {
            deeds.push(of(SubscriptionCommand::StartRenewal, "renewed by hand"));
        }
        match chance.below(1_000) {
            0..8 => deeds.push(of(cancel(), "cancelled now")),
            8..30 => {
                let wanted = SubscriptionCommand::Configure { auto_renew: Some(!life.auto_renew), overrides: None };
                deeds.push(of(wanted, "switched auto-renew"));
            }
            30..45 => {
                let overrides = Some(vec!["LOG_LEVEL".to_owned()]);
                deeds.push(of(SubscriptionCommand::Configure { auto_renew: None, overrides }, "changed settings"));
            }
            45..52 => deeds.push(of(SubscriptionCommand::StartRenewal, "renewed early")),
            52..64 => {
                let reason = CancelReason::Customer { text: Sensitive::Open("enough, but not yet".to_owned()) };
                deeds.push(of(SubscriptionCommand::ScheduleCancellation { reason }, "cancelled for the period's end"));
            }
            64..120 => deeds.extend(other_plan(life, view, chance).map(|(command, what)| of(command, what))),
            _ => {}
        }
        deeds
    }

    fn want_one(&mut self, mine: &[(&String, &Life)], view: &View<'_>, chance: &mut Chance) -> Vec<Deed> {
        let sold: Vec<_> = view
            .catalogue
            .plans
            .values()
            .filter(|plan| mine.iter().all(|(_, life)| life.offering != plan.offering) || chance.per_mille(50))
            .collect();
        if sold.is_empty() {
            return Vec::new();
        }
        let plan = *chance.pick(&sold);
        let cycle = if chance.per_mille(200) { BillingCycle::Yearly } else { BillingCycle::Monthly };
        let snapshot = plan.snapshot(cycle);
        let (price, balance) = (snapshot.price.amount(), view.books.balance(&self.id));
        if balance < price && !chance.per_mille(80) {
            return vec![self.top_up(price - balance, view, chance)];
        }
        self.requests += 1;
        let id = format!("{}-s{}", self.id, self.requests);
        let command = SubscriptionCommand::Request {
            user_id: self.id.clone(),
            instance_id: format!("{id}-i"),
            plan: snapshot,
            cycle,
            subdomain: format!("{id}-flows"),
            overrides: Vec::new(),
            auto_renew: chance.per_mille(750),
            coupon_id: coupons::for_a_sale(chance),
        };
        vec![Deed { id, command: AnyCommand::Subscription(command), what: "wanted a service" }]
    }

    /// At least `missing`, often more, within what the shop takes.
    fn top_up(&mut self, missing: i64, view: &View<'_>, chance: &mut Chance) -> Deed {
        let more = match self.habit {
            Habit::Careful => missing * (1 + chance.below(4) as i64),
            Habit::Late => missing,
            Habit::Rare => missing + chance.below(20_000) as i64,
        };
        let amount = Rupiah::new(more).clamp(topup::LEAST_AMOUNT, topup::MOST_AMOUNT);
        self.topups += 1;
        let id = format!("{}-t{}", self.id, self.topups);
        let expires_at = view.now.plus(DAY);
        let command = TopUpCommand::Request { user_id: self.id.clone(), amount, expires_at };
        Deed { id, command: AnyCommand::TopUp(command), what: "topped up" }
    }
}

/// Another plan of the same offering: a dearer one now, a cheaper one with the next period; now and then the wrong way.
fn other_plan(life: &Life, view: &View<'_>, chance: &mut Chance) -> Option<(SubscriptionCommand, &'static str)> {
    if life.cheaper && chance.per_mille(300) {
        return Some((SubscriptionCommand::WithdrawDowngrade, "does not want the cheaper plan any more"));
    }
    let plans = view.catalogue.plans.values();
    let others: Vec<_> = plans.filter(|plan| plan.offering == life.offering && plan.id != life.plan_id).collect();
    if others.is_empty() {
        return None;
    }
    let plan = *chance.pick(&others);
    let old = view.catalogue.plans.get(&life.plan_id).map_or(Rupiah::ZERO, |plan| plan.price);
    let (to, reason) = (plan.snapshot(life.cycle), None);
    let now = (plan.price >= old) != chance.per_mille(50);
    Some(if now {
        (SubscriptionCommand::ChangePlan { to, by_administrator: false, reason }, "changed the plan")
    } else {
        (SubscriptionCommand::ScheduleDowngrade { to, reason }, "wanted a cheaper plan from the next period on")
    })
}

fn cancel() -> SubscriptionCommand {
    SubscriptionCommand::Cancel { reason: CancelReason::Customer { text: Sensitive::Open("enough".to_owned()) } }
}
