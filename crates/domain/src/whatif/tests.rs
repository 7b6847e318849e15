//! The same prices give the same money; other prices give what the catalogue would have asked.

use minispod_events::{
    Capacity, IssuedTerms, Period, PlanChangeDirection, PlanDetails, PlanEvent, ProrationFigures, SellerSnapshot,
};
use time::macros::date;

use super::*;
use crate::{
    plan::details::{snapshot, tests::n8n},
    story::noon,
};

const NOVEMBER: Days = Days { from: date!(2026 - 11 - 01), to: date!(2026 - 11 - 30) };

fn details() -> PlanDetails {
    PlanDetails { offering: "n8n".into(), variant: "basic".into(), yearly_discount_percent: 10, ..n8n() }
}

fn period(number: u32) -> Period {
    Period { number, start: noon(), end: noon().plus_months(1, 22) }
}

fn published(monthly: i64) -> (&'static str, Event) {
    let (details, capacity) = (details(), Capacity(-1));
    let monthly_price = Rupiah::new(monthly);
    ("p", Event::Plan(PlanEvent::PlanPublished { details, monthly_price, capacity, occurred_at: noon() }))
}

fn requested(id: &'static str, customer: &str, cycle: BillingCycle) -> (&'static str, Event) {
    let plan = snapshot("p", &details(), Rupiah::new(25_000), cycle).expect("a price");
    let event = SubscriptionEvent::SubscriptionRequested {
        user_id: customer.into(),
        instance_id: "i".into(),
        plan,
        cycle,
        subdomain: "flow".into(),
        overrides: Vec::new(),
        auto_renew: true,
        coupon_id: None,
        occurred_at: noon(),
    };
    (id, Event::Subscription(event))
}

fn charged(id: &'static str, amount: i64) -> (&'static str, Event) {
    let event = SubscriptionEvent::SubscriptionCharged {
        user_id: "ani".into(),
        display_name: "n8n".into(),
        amount: Rupiah::new(amount),
        discount: Rupiah::ZERO,
        period: period(1),
        occurred_at: noon(),
    };
    (id, Event::Subscription(event))
}

fn renewed(id: &'static str, amount: i64, months: u32) -> (&'static str, Event) {
    let event = SubscriptionEvent::SubscriptionRenewed {
        user_id: "ani".into(),
        display_name: "n8n".into(),
        amount: Rupiah::new(amount),
        period: period(2),
        occurred_at: noon().plus_months(months, 22),
    };
    (id, Event::Subscription(event))
}

fn refunded(id: &'static str, amount: i64) -> (&'static str, Event) {
    let event = SubscriptionEvent::SubscriptionRefunded {
        user_id: "ani".into(),
        display_name: "n8n".into(),
        amount: Rupiah::new(amount),
        period: 1,
        occurred_at: noon(),
    };
    (id, Event::Subscription(event))
}

/// Ani pays monthly and renews, Budi pays for a year, Cici's service failed.
fn log() -> Vec<(&'static str, Event)> {
    vec![
        published(25_000),
        requested("a", "ani", BillingCycle::Monthly),
        charged("a", 25_000),
        renewed("a", 25_000, 0),
        renewed("a", 25_000, 1),
        requested("b", "budi", BillingCycle::Yearly),
        charged("b", 270_000),
        requested("c", "cici", BillingCycle::Monthly),
        charged("c", 25_000),
        refunded("c", 25_000),
    ]
}

fn compared(prices: PriceList, log: &[(&str, Event)]) -> Result<Comparison, PriceFault> {
    let mut what_if = WhatIf::new(prices, NOVEMBER)?;
    for (id, event) in log {
        what_if.enter(id, event);
    }
    what_if.finish()
}

fn list(monthly: Option<i64>, discount: Option<u8>) -> PriceList {
    let other = OtherPrice { monthly: monthly.map(Rupiah::new), yearly_discount_percent: discount };
    PriceList { plans: [(("n8n".to_owned(), "basic".to_owned()), other)].into(), ..PriceList::default() }
}

#[test]
fn without_other_prices_nothing_differs() {
    for prices in [PriceList::default(), list(None, None), list(Some(25_000), Some(10))] {
        let same = compared(prices, &log()).expect("sound prices");
        assert_eq!((same.total.decisions, same.total.recorded, same.total.difference), (5, 320_000, 0));
        assert!(same.decisions.iter().all(|one| one.recorded == one.would_be));
    }
}

#[test]
fn a_coupon_takes_off_another_price_what_it_takes_off_by_its_own_terms_and_only_once() {
    let less = Discount::Percent { percent: 20 };
    let discounted = SubscriptionEvent::SubscriptionDiscounted {
        user_id: "ani".into(),
        coupon_id: "c".into(),
        less,
        list_price: Rupiah::new(25_000),
        discount: Rupiah::new(5_000),
        price: Rupiah::new(20_000),
        occurred_at: noon(),
    };
    let log = [
        published(25_000),
        requested("a", "ani", BillingCycle::Monthly),
        ("a", Event::Subscription(discounted)),
        charged("a", 20_000),
        renewed("a", 25_000, 0),
    ];
    let amounts = |monthly| -> Vec<(i64, i64)> {
        let compared = compared(list(Some(monthly), None), &log).expect("sound prices");
        compared.decisions.iter().map(|one| (one.recorded.amount(), one.would_be.amount())).collect()
    };
    assert_eq!(amounts(25_000), [(20_000, 20_000), (25_000, 25_000)]);
    assert_eq!(amounts(30_000), [(20_000, 24_000), (25_000, 30_000)]);
}

#[test]
fn another_price_is_charged_renewed_and_given_back_by_the_catalogues_own_function() {
    let dearer = compared(list(Some(30_000), None), &log()).expect("sound prices");
    let would_be: Vec<_> = dearer.decisions.iter().map(|one| (one.decision, one.would_be.amount())).collect();
    assert_eq!(
        would_be,
        [
            (Decision::Charge, 30_000),
            (Decision::Renewal, 30_000),
            (Decision::Charge, 324_000),
            (Decision::Charge, 30_000),
            (Decision::Refund, -30_000),
        ],
        "the renewal of December is not asked for"
    );
    assert_eq!(dearer.customers["ani"].difference, 10_000);
    assert_eq!(dearer.customers["budi"].difference, 54_000);
    assert_eq!(dearer.customers["cici"].difference, 0, "what is given back costs nothing");
    assert_eq!(dearer.plans["n8n/basic"], dearer.total);
}

fn pro() -> PlanDetails {
    PlanDetails { variant: "pro".into(), ..details() }
}

/// Half of the month is left: 32,500 less 12,500.
fn changed_to_pro(id: &'static str) -> (&'static str, Event) {
    let event = SubscriptionEvent::SubscriptionPlanChanged {
        user_id: "ani".into(),
        change: 1,
        from_plan_id: "p".into(),
        from_display_name: "n8n".into(),
        plan: snapshot("q", &pro(), Rupiah::new(65_000), BillingCycle::Monthly).expect("a price"),
        direction: PlanChangeDirection::Upgrade,
        proration: ProrationFigures {
            total_days: 30,
            remaining_days: 15,
            old_price: Rupiah::new(25_000),
            new_price: Rupiah::new(65_000),
            unused: Rupiah::new(12_500),
            prorated_new: Rupiah::new(32_500),
            net: Rupiah::new(20_000),
        },
        charged: Rupiah::new(20_000),
        refunded: Rupiah::ZERO,
        period: period(1),
        life_due: noon(),
        occurred_at: noon(),
    };
    (id, Event::Subscription(event))
}

#[test]
fn a_change_of_plan_is_prorated_by_the_other_prices_and_what_follows_is_the_new_plans() {
    use Decision::{Charge, PlanChange, Renewal};
    let (details, monthly_price, capacity) = (pro(), Rupiah::new(65_000), Capacity(-1));
    let published_pro = PlanEvent::PlanPublished { details, monthly_price, capacity, occurred_at: noon() };
    let log = [
        published(25_000),
        ("q", Event::Plan(published_pro)),
        requested("a", "ani", BillingCycle::Monthly),
        charged("a", 25_000),
        changed_to_pro("a"),
        renewed("a", 65_000, 0),
    ];
    let amounts = |prices| {
        let compared = compared(prices, &log).expect("sound prices");
        compared.decisions.iter().map(|one| (one.decision, one.would_be.amount())).collect::<Vec<_>>()
    };
    assert_eq!(amounts(PriceList::default()), [(Charge, 25_000), (PlanChange, 20_000), (Renewal, 65_000)]);
    assert_eq!(
        amounts(list(Some(45_000), None)),
        [(Charge, 45_000), (PlanChange, 10_000), (Renewal, 65_000)],
        "the old plan dearer"
    );
    let mut dearer = list(None, None);
    let other = OtherPrice { monthly: Some(Rupiah::new(85_000)), yearly_discount_percent: None };
    dearer.plans.insert(("n8n".to_owned(), "pro".to_owned()), other);
    assert_eq!(amounts(dearer), [(Charge, 25_000), (PlanChange, 30_000), (Renewal, 85_000)], "the new plan dearer");
}

#[test]
fn another_discount_touches_yearly_subscriptions_only() {
    let own = compared(list(None, Some(20)), &log()).expect("sound prices");
    let all = compared(PriceList { yearly_discount_percent: Some(20), ..PriceList::default() }, &log());
    for less in [own, all.expect("sound prices")] {
        assert_eq!((less.customers["ani"].difference, less.customers["budi"].difference), (0, -30_000));
    }
}

#[test]
fn what_was_sold_at_an_older_price_is_compared_with_that() {
    let dearer = PlanEvent::PlanPriceChanged { monthly_price: Rupiah::new(99_000), occurred_at: noon() };
    let log = [log(), vec![("p", Event::Plan(dearer))]].concat();
    let same = compared(PriceList { yearly_discount_percent: Some(10), ..PriceList::default() }, &log);
    assert_eq!(same.expect("sound prices").total.difference, 0);
}

#[test]
fn tax_rows_follow_the_amount_and_the_lists_rate() {
    let tax = TaxSnapshot {
        rate_basis_points: 1_100,
        base_numerator: 1,
        base_denominator: 1,
        price: Rupiah::new(22_523),
        base: Rupiah::new(22_523),
        tax: Rupiah::new(2_477),
    };
    let issued = InvoiceEvent::InvoiceIssued {
        user_id: "ani".into(),
        number: "INV-2026-000001".into(),
        subject: InvoiceKind::Subscription {
            subscription_id: "a".into(),
            display_name: "n8n".into(),
            period: period(1),
        },
        total: Rupiah::new(25_000),
        terms: Some(IssuedTerms { seller: SellerSnapshot::default(), tax: Some(tax) }),
        occurred_at: noon(),
    };
    let log = [log(), vec![("i", Event::Invoice(issued))]].concat();
    let dearer = compared(list(Some(111_000), None), &log).expect("sound prices");
    let first = &dearer.decisions[0];
    assert_eq!((first.recorded_tax.amount(), first.tax_would_be.amount()), (2_477, 11_000));
    assert_eq!(dearer.decisions[2].tax_would_be, Rupiah::ZERO, "no tax was on that invoice");
    let rule = TaxRule { from: Date::MIN, rate_basis_points: 1_200, base_numerator: 1, base_denominator: 1 };
    let taxed = PriceList { tax: Some(TaxSchedule::new(vec![rule]).expect("sound")), ..PriceList::default() };
    let taxed = compared(taxed, &log).expect("sound prices");
    assert_eq!((taxed.total.difference, taxed.decisions[3].tax_would_be.amount()), (0, 2_679));
    assert_eq!(taxed.decisions[4].tax_would_be.amount(), -2_679, "given back with the money");
}

#[test]
fn a_list_that_cannot_be_used_is_refused_by_name() {
    let prices = PriceList {
        plans: [(("n8n".to_owned(), "gold".to_owned()), OtherPrice::default())].into(),
        ..PriceList::default()
    };
    let (unknown, known) = (vec!["n8n/gold".to_owned()], vec!["n8n/basic".to_owned()]);
    assert_eq!(compared(prices, &log()), Err(PriceFault::UnknownPlans { unknown, known }));
    let plan = "n8n/basic".to_owned();
    let price = Rupiah::new(-1);
    assert_eq!(list(Some(-1), None).check(), Err(PriceFault::Price { plan: plan.clone(), price }));
    assert_eq!(list(None, Some(101)).check(), Err(PriceFault::Discount { plan, percent: 101 }));
    let every = PriceList { yearly_discount_percent: Some(101), ..PriceList::default() };
    assert_eq!(
        every.check().map_err(|fault| fault.to_string()).err().as_deref(),
        Some("the yearly discount 101 of every plan must be a whole number from 0 to 100")
    );
}
