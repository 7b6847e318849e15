//! Recorded billing decisions, decided again with other prices. Nothing is changed: facts go in, a comparison comes out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use minispod_events::{
    BillingCycle, Discount, Event, InvoiceEvent, InvoiceKind, PlanSnapshot, ProrationFigures, SubscriptionEvent,
    TaxSnapshot,
};
use minispod_kernel::{Aggregate as _, Rupiah, Timestamp};
use serde::Serialize;
use time::Date;

use crate::{
    Plan, coupon,
    plan::details::{is_price, price_of},
    proration::Proration,
    tax::{TaxRule, TaxSchedule},
};

/// The types of aggregates that are read.
pub const READ: [&str; 3] = ["plan", "subscription", "invoice"];

/// A plan by offering and variant, written `n8n/basic`.
pub type PlanName = (String, String);

/// What a plan would cost; `None`: as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OtherPrice {
    pub monthly: Option<Rupiah>,
    pub yearly_discount_percent: Option<u8>,
}

/// Other prices.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PriceList {
    pub plans: BTreeMap<PlanName, OtherPrice>,
    /// Of every plan that names none of its own.
    pub yearly_discount_percent: Option<u8>,
    /// `None`: as on the recorded invoices.
    pub tax: Option<TaxSchedule>,
}

/// Why a list of prices cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceFault {
    #[error("there is no plan {}; there are {}", .unknown.join(", "), .known.join(", "))]
    UnknownPlans { unknown: Vec<String>, known: Vec<String> },
    #[error("the monthly price {price} of {plan} must be 0 to 1,000,000,000 whole rupiah")]
    Price { plan: String, price: Rupiah },
    #[error("the yearly discount {percent} of {plan} must be a whole number from 0 to 100")]
    Discount { plan: String, percent: u8 },
}

/// `n8n/basic`.
pub fn written(plan: &PlanName) -> String {
    format!("{}/{}", plan.0, plan.1)
}

impl PriceList {
    /// Whether every price could be sold.
    pub fn check(&self) -> Result<(), PriceFault> {
        for (plan, other) in &self.plans {
            if let Some(price) = other.monthly.filter(|price| !is_price(*price)) {
                return Err(PriceFault::Price { plan: written(plan), price });
            }
        }
        let own = self.plans.iter().map(|(plan, other)| (written(plan), other.yearly_discount_percent));
        let mut all = own.chain([("every plan".to_owned(), self.yearly_discount_percent)]);
        match all.find_map(|(plan, percent)| percent.filter(|percent| *percent > 100).map(|percent| (plan, percent))) {
            Some((plan, percent)) => Err(PriceFault::Discount { plan, percent }),
            None => Ok(()),
        }
    }

    /// Whether a subscription that was sold so would be charged anew.
    fn touches(&self, sold: &Sold) -> bool {
        let is_yearly = sold.cycle == BillingCycle::Yearly;
        match self.plans.get(&sold.plan) {
            Some(other) => other.monthly.is_some() || (is_yearly && self.discount(sold, other).is_some()),
            None => is_yearly && self.yearly_discount_percent.is_some(),
        }
    }

    fn discount(&self, sold: &Sold, other: &OtherPrice) -> Option<u8> {
        other.yearly_discount_percent.or(self.yearly_discount_percent).filter(|percent| *percent != sold.discount)
    }

    /// What one period would cost: the catalogue's own price function with these numbers, and the coupon's own.
    fn price(&self, sold: &Sold) -> Option<Rupiah> {
        let other = self.plans.get(&sold.plan).copied().unwrap_or_default();
        let discount = self.discount(sold, &other).unwrap_or(sold.discount);
        let price = price_of(other.monthly.unwrap_or(sold.monthly), sold.cycle, discount)?;
        price.checked_sub(sold.less.map_or(Rupiah::ZERO, |less| coupon::discount(less, price)))
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The first period.
    Charge,
    Renewal,
    /// A period given back; its amounts are negative.
    Refund,
    /// Another plan for the rest of a period; negative when the wallet got money back.
    PlanChange,
}

/// One decision, as it was and as it would have been. Tax is what of the amount it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redecided {
    pub customer: String,
    pub subscription: String,
    pub plan: String,
    pub decision: Decision,
    pub period: u32,
    /// Jakarta day, `YYYY-MM-DD`.
    pub day: String,
    pub recorded: Rupiah,
    pub would_be: Rupiah,
    pub recorded_tax: Rupiah,
    pub tax_would_be: Rupiah,
}

/// Some decisions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sum {
    pub decisions: usize,
    pub recorded: i64,
    pub would_be: i64,
    pub difference: i64,
    pub recorded_tax: i64,
    pub tax_would_be: i64,
}

impl Sum {
    fn add(&mut self, one: &Redecided) {
        self.decisions += 1;
        self.recorded += one.recorded.amount();
        self.would_be += one.would_be.amount();
        self.difference = self.would_be - self.recorded;
        self.recorded_tax += one.recorded_tax.amount();
        self.tax_would_be += one.tax_would_be.amount();
    }
}

/// The comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub total: Sum,
    pub customers: BTreeMap<String, Sum>,
    pub plans: BTreeMap<String, Sum>,
    /// In log order.
    pub decisions: Vec<Redecided>,
}

/// A subscription as it was sold.
#[derive(Clone)]
struct Sold {
    customer: String,
    plan: PlanName,
    cycle: BillingCycle,
    /// The catalogue of that moment.
    monthly: Rupiah,
    discount: u8,
    /// A coupon on the period that is paid.
    less: Option<Discount>,
}

struct Recorded {
    subscription: String,
    /// At that moment.
    sold: Sold,
    decision: Decision,
    period: u32,
    amount: Rupiah,
    at: Timestamp,
    change: Option<Changed>,
}

/// What a change of plan was counted from.
struct Changed {
    number: u32,
    from: Sold,
    figures: ProrationFigures,
}

/// What an invoice is for.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Billed {
    Period(String, u32),
    Change(String, u32),
}

/// Days, both included.
#[derive(Debug, Clone, Copy)]
pub struct Days {
    pub from: Date,
    pub to: Date,
}

/// A comparison under way; events are entered in log order from the first on.
pub struct WhatIf {
    prices: PriceList,
    days: Days,
    plans: HashMap<String, Plan>,
    known: BTreeSet<PlanName>,
    sold: HashMap<String, Sold>,
    taxed: HashMap<Billed, TaxSnapshot>,
    recorded: Vec<Recorded>,
}

impl WhatIf {
    /// With these prices, of these days.
    pub fn new(prices: PriceList, days: Days) -> Result<Self, PriceFault> {
        prices.check()?;
        Ok(Self {
            prices,
            days,
            plans: HashMap::new(),
            known: BTreeSet::new(),
            sold: HashMap::new(),
            taxed: HashMap::new(),
            recorded: Vec::new(),
        })
    }

    /// The next event of aggregate `id`.
    pub fn enter(&mut self, id: &str, event: &Event) {
        match event {
            Event::Plan(event) => {
                let plan = self.plans.entry(id.to_owned()).or_default();
                plan.apply(event);
                self.known.extend(plan.offer().map(|(details, _)| (details.offering.clone(), details.variant.clone())));
            }
            Event::Subscription(event) => self.enter_subscription(id, event),
            Event::Invoice(InvoiceEvent::InvoiceIssued { subject, terms: Some(terms), .. }) => {
                let billed = match subject {
                    InvoiceKind::Subscription { subscription_id, period, .. } => {
                        Some(Billed::Period(subscription_id.clone(), period.number))
                    }
                    InvoiceKind::PlanChange { subscription_id, change, .. } => {
                        Some(Billed::Change(subscription_id.clone(), *change))
                    }
                    InvoiceKind::TopUp { .. } => None,
                };
                self.taxed.extend(billed.zip(terms.tax));
            }
            _ => {}
        }
    }

    fn enter_subscription(&mut self, id: &str, event: &SubscriptionEvent) {
        let (decision, period, amount, at) = match event {
            SubscriptionEvent::SubscriptionRequested { user_id, plan, cycle, .. } => {
                let sold = self.sold_now(user_id, plan, *cycle);
                self.sold.insert(id.to_owned(), sold);
                return;
            }
            SubscriptionEvent::SubscriptionDiscounted { less, .. } => return self.lessen(id, Some(*less)),
            SubscriptionEvent::SubscriptionPlanChanged { .. } => return self.enter_change(id, event),
            SubscriptionEvent::SubscriptionCharged { period, amount, occurred_at, .. } => {
                (Decision::Charge, period.number, *amount, *occurred_at)
            }
            SubscriptionEvent::SubscriptionRenewed { period, amount, occurred_at, .. } => {
                self.lessen(id, None);
                (Decision::Renewal, period.number, *amount, *occurred_at)
            }
            SubscriptionEvent::SubscriptionRefunded { period, amount, occurred_at, .. } => {
                (Decision::Refund, *period, Rupiah::new(-amount.amount()), *occurred_at)
            }
            _ => return,
        };
        let Some(sold) = self.sold.get(id).cloned() else { return };
        self.record(Recorded { subscription: id.to_owned(), sold, decision, period, amount, at, change: None });
    }

    fn lessen(&mut self, id: &str, less: Option<Discount>) {
        if let Some(sold) = self.sold.get_mut(id) {
            sold.less = less;
        }
    }

    /// By the catalogue of this moment.
    fn sold_now(&self, user_id: &str, plan: &PlanSnapshot, cycle: BillingCycle) -> Sold {
        let offer = self.plans.get(&plan.plan_id).and_then(Plan::offer);
        let (monthly, discount) =
            offer.map_or((plan.price, 0), |(details, monthly)| (monthly, details.yearly_discount_percent));
        let plan = (plan.offering.clone(), plan.variant.clone());
        Sold { customer: user_id.to_owned(), plan, cycle, monthly, discount, less: None }
    }

    /// From here on it is another plan's subscription.
    fn enter_change(&mut self, id: &str, event: &SubscriptionEvent) {
        let SubscriptionEvent::SubscriptionPlanChanged {
            user_id,
            change,
            plan,
            proration,
            charged,
            refunded,
            period,
            occurred_at,
            ..
        } = event
        else {
            return;
        };
        let Some(from) = self.sold.get(id).cloned() else { return };
        let sold = self.sold_now(user_id, plan, from.cycle);
        self.sold.insert(id.to_owned(), sold.clone());
        self.record(Recorded {
            subscription: id.to_owned(),
            sold,
            decision: Decision::PlanChange,
            period: period.number,
            amount: Rupiah::new(charged.amount() - refunded.amount()),
            at: *occurred_at,
            change: Some(Changed { number: *change, from, figures: *proration }),
        });
    }

    fn record(&mut self, one: Recorded) {
        if (self.days.from..=self.days.to).contains(&one.at.jakarta_date()) {
            self.recorded.push(one);
        }
    }

    /// The comparison, once the whole log is in.
    pub fn finish(self) -> Result<Comparison, PriceFault> {
        let unknown: Vec<String> =
            self.prices.plans.keys().filter(|plan| !self.known.contains(*plan)).map(written).collect();
        if !unknown.is_empty() {
            return Err(PriceFault::UnknownPlans { unknown, known: self.known.iter().map(written).collect() });
        }
        let decisions: Vec<Redecided> = self.recorded.iter().filter_map(|one| self.redecide(one)).collect();
        let (mut total, mut customers, mut plans) = (Sum::default(), BTreeMap::new(), BTreeMap::new());
        for one in &decisions {
            total.add(one);
            customers.entry(one.customer.clone()).or_insert_with(Sum::default).add(one);
            plans.entry(one.plan.clone()).or_insert_with(Sum::default).add(one);
        }
        Ok(Comparison { total, customers, plans, decisions })
    }

    fn redecide(&self, one: &Recorded) -> Option<Redecided> {
        let sold = &one.sold;
        let would_be = self.would_be(one)?;
        let sign = if one.decision == Decision::Refund || would_be < Rupiah::ZERO { -1 } else { 1 };
        let day = one.at.jakarta_date();
        let billed = match &one.change {
            Some(change) => Billed::Change(one.subscription.clone(), change.number),
            None => Billed::Period(one.subscription.clone(), one.period),
        };
        let recorded_tax = self.taxed.get(&billed);
        let signed = |tax: Rupiah| Rupiah::new(tax.amount() * sign);
        Some(Redecided {
            customer: sold.customer.clone(),
            subscription: one.subscription.clone(),
            plan: written(&sold.plan),
            decision: one.decision,
            period: one.period,
            day: day.to_string(),
            recorded: one.amount,
            would_be,
            recorded_tax: signed(recorded_tax.map(|tax| tax.tax).unwrap_or_default()),
            tax_would_be: signed(self.tax(recorded_tax, signed(would_be), day)),
        })
    }

    /// What the list does not touch stays as it was to the rupiah.
    fn would_be(&self, one: &Recorded) -> Option<Rupiah> {
        let price = |sold: &Sold, recorded: Rupiah| {
            if self.prices.touches(sold) { self.prices.price(sold) } else { Some(recorded) }
        };
        let Some(Changed { from, figures, .. }) = &one.change else {
            let amount = Rupiah::new(one.amount.amount().abs());
            let sign = if one.decision == Decision::Refund { -1 } else { 1 };
            return Some(Rupiah::new(price(&one.sold, amount)?.amount() * sign));
        };
        if !self.prices.touches(from) && !self.prices.touches(&one.sold) {
            return Some(one.amount);
        }
        let (old, new) = (price(from, figures.old_price)?, price(&one.sold, figures.new_price)?);
        Some(Proration::over(old, new, figures.remaining_days, figures.total_days)?.net)
    }

    /// The tax inside `amount`: by the list, else by the rate on the recorded invoice.
    fn tax(&self, recorded: Option<&TaxSnapshot>, amount: Rupiah, day: Date) -> Rupiah {
        let kept = recorded.and_then(|tax| {
            let rule = TaxRule {
                from: Date::MIN,
                rate_basis_points: tax.rate_basis_points,
                base_numerator: tax.base_numerator,
                base_denominator: tax.base_denominator,
            };
            TaxSchedule::new(vec![rule]).ok()
        });
        let schedule = self.prices.tax.as_ref().or(kept.as_ref());
        schedule.and_then(|schedule| schedule.split(day, amount)).map(|split| split.tax).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
