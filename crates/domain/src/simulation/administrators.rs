//! The administrators: now and then one of them does something to a subscription, a plan or a wallet.

use minispod_domain::{AnyCommand, CouponCommand, CouponRevision, PlanCommand, SubscriptionCommand, WalletCommand};
use minispod_events::{CancelReason, Capacity, CouponStatus, EntryCause, ExpiryCause};
use minispod_kernel::{Rupiah, Sensitive};

use super::{
    chance::Chance,
    coupons,
    customers::{Deed, View},
};

/// What an administrator does now, perhaps nothing.
pub fn choose(view: &View<'_>, chance: &mut Chance) -> Option<Deed> {
    match chance.below(100) {
        0..60 => with_a_subscription(view, chance),
        60..75 => with_a_plan(view, chance),
        75..85 => with_a_wallet(view, chance),
        85..90 => Some(with_a_coupon(chance)),
        _ => None,
    }
}

fn with_a_subscription(view: &View<'_>, chance: &mut Chance) -> Option<Deed> {
    let alive: Vec<&String> = view.lives.all.iter().filter(|(_, life)| life.lives()).map(|(id, _)| id).collect();
    if alive.is_empty() {
        return None;
    }
    let id = (*chance.pick(&alive)).clone();
    let text = || Sensitive::Open("an administrator's reason".to_owned());
    let (command, what) = match chance.below(104) {
        0..30 => (SubscriptionCommand::Suspend { reason: text() }, "was suspended"),
        30..65 => (SubscriptionCommand::StartResume { reason: text() }, "was resumed"),
        65..85 => {
            let days = *chance.pick(&[1, 3, 7, 30, 365]);
            (SubscriptionCommand::Extend { days, reason: text() }, "was extended")
        }
        85..95 => {
            let cause = ExpiryCause::Administrator { text: text() };
            (SubscriptionCommand::Expire { cause }, "was expired")
        }
        95..98 => {
            let reason = CancelReason::Administrator { text: text() };
            (SubscriptionCommand::Cancel { reason }, "was cancelled by an administrator")
        }
        _ => {
            let life = view.lives.all.get(&id)?;
            let plans = view.catalogue.plans.values();
            let others: Vec<_> = plans.filter(|it| it.offering == life.offering && it.id != life.plan_id).collect();
            let to = others.get(chance.below(others.len()))?.snapshot(life.cycle);
            let reason = Some(text());
            (SubscriptionCommand::ChangePlan { to, by_administrator: true, reason }, "was moved to another plan")
        }
    };
    Some(Deed { id, command: AnyCommand::Subscription(command), what })
}

fn with_a_plan(view: &View<'_>, chance: &mut Chance) -> Option<Deed> {
    let plans: Vec<_> = view.catalogue.plans.values().collect();
    if plans.is_empty() {
        return None;
    }
    let plan = *chance.pick(&plans);
    let (command, what) = match chance.below(10) {
        0..3 if plan.price.is_positive() => {
            let by = *chance.pick(&[90, 95, 105, 110]);
            let monthly_price = plan.price.prorated(by, 100).unwrap_or(plan.price);
            (PlanCommand::ChangePrice { monthly_price }, "a price changed")
        }
        3..6 if !plan.capacity.is_unlimited() => {
            let capacity = Capacity((plan.capacity.0 + chance.below(5) as i64 - 2).max(1));
            (PlanCommand::ChangeCapacity { capacity }, "a capacity changed")
        }
        6..10 if plan.retired => (PlanCommand::Reinstate, "a plan came back"),
        8 => (PlanCommand::Retire, "a plan was retired"),
        _ => return None,
    };
    Some(Deed { id: plan.id.clone(), command: AnyCommand::Plan(command), what })
}

fn with_a_coupon(chance: &mut Chance) -> Deed {
    let id = *chance.pick(&[coupons::CREDIT, coupons::WELCOME, coupons::DISCOUNTS[0], coupons::DISCOUNTS[1]]);
    let command = match chance.below(10) {
        0..2 => CouponCommand::SetStatus { status: CouponStatus::Disabled },
        2..8 => CouponCommand::SetStatus { status: CouponStatus::Active },
        _ => CouponCommand::Revise(CouponRevision { uses_each: Some(1), ..CouponRevision::default() }),
    };
    Deed { id: id.to_owned(), command: AnyCommand::Coupon(command), what: "a coupon was seen to" }
}

fn with_a_wallet(view: &View<'_>, chance: &mut Chance) -> Option<Deed> {
    let owners: Vec<&String> = view.lives.all.values().map(|life| &life.user).collect();
    if owners.is_empty() {
        return None;
    }
    let id = (*chance.pick(&owners)).clone();
    let amount = Rupiah::new(*chance.pick(&[-100_000, -5_000, -1_000, 1_000, 5_000, 25_000]));
    let cause = EntryCause::Adjustment { key: format!("gift-{}", chance.number()), reason: "goodwill".to_owned() };
    let command = WalletCommand::Adjust { amount, cause };
    Some(Deed { id, command: AnyCommand::Wallet(command), what: "a wallet was adjusted" })
}
