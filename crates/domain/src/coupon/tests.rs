//! Stories of coupons, one per rule.

use minispod_events::{
    BillingCycle, CouponEvent, CouponKind, CouponLimits, CouponPurpose, CouponScope, CouponStatus, CouponUse,
    CouponWindow, Discount,
};
use minispod_kernel::{Aggregate as _, Consequence, Rupiah, Timestamp};

use super::*;
use crate::story::{Given, given, given_nothing, noon};

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn in_days(days: i64) -> Timestamp {
    Timestamp::from_unix_millis(noon().unix_millis() + days * DAY)
}

fn always() -> CouponWindow {
    CouponWindow { from: noon(), until: None }
}

fn credit() -> CouponKind {
    CouponKind::Credit { amount: Rupiah::new(25_000) }
}

fn percent(percent: u8) -> CouponKind {
    CouponKind::Discount { less: Discount::Percent { percent } }
}

const FREE: CouponKind = CouponKind::Discount { less: Discount::FreePeriod };

fn n8n() -> CouponScope {
    CouponScope { offering: Some("n8n".into()), variant: None }
}

/// What is created unless a story says otherwise.
#[derive(Clone)]
struct Draft {
    code: &'static str,
    name: String,
    description: String,
    worth: CouponKind,
    scope: CouponScope,
    limits: CouponLimits,
    window: CouponWindow,
}

fn draft() -> Draft {
    Draft {
        code: "HALLO_2026",
        name: "Hallo".into(),
        description: String::new(),
        worth: credit(),
        scope: CouponScope::default(),
        limits: CouponLimits { uses: 2, uses_each: 1 },
        window: always(),
    }
}

impl Draft {
    fn command(self) -> CouponCommand {
        let Self { code, name, description, worth, scope, limits, window } = self;
        CouponCommand::Create { code: code.into(), name, description, worth, scope, limits, window }
    }

    fn event(self) -> CouponEvent {
        let Self { code, name, description, worth, scope, limits, window } = self;
        let code = code.to_owned();
        CouponEvent::CouponCreated { code, name, description, worth, scope, limits, window, occurred_at: noon() }
    }
}

fn used(id: &str, purpose: CouponPurpose) -> CouponUse {
    CouponUse { use_id: id.into(), user_id: "ani".into(), purpose }
}

fn redeemed(id: &str) -> CouponUse {
    used(id, CouponPurpose::Redemption)
}

fn sale(variant: &str, cycle: BillingCycle, price: i64) -> CouponUse {
    let (offering, variant) = ("n8n".to_owned(), variant.to_owned());
    let subscription_id = "s".to_owned();
    used("s", CouponPurpose::Sale { subscription_id, offering, variant, cycle, price: Rupiah::new(price) })
}

fn monthly(price: i64) -> CouponUse {
    sale("basic", BillingCycle::Monthly, price)
}

fn reserve(used: CouponUse) -> CouponCommand {
    CouponCommand::Reserve { used }
}

fn reserved_of(draft: &Draft, used: CouponUse) -> CouponEvent {
    CouponEvent::CouponReserved {
        used,
        code: draft.code.into(),
        name: draft.name.clone(),
        worth: draft.worth,
        uses_each: draft.limits.uses_each,
        occurred_at: noon(),
    }
}

fn reserved(id: &str) -> CouponEvent {
    reserved_of(&draft(), redeemed(id))
}

fn released(id: &str, refused: Option<&str>) -> CouponEvent {
    CouponEvent::CouponReleased { used: redeemed(id), refused: refused.map(str::to_owned), occurred_at: noon() }
}

fn status(status: CouponStatus) -> CouponEvent {
    CouponEvent::CouponStatusChanged { status, worth: credit(), occurred_at: noon() }
}

fn deleted() -> CouponEvent {
    CouponEvent::CouponDeleted { code: draft().code.into(), worth: credit(), occurred_at: noon() }
}

fn there_is(draft: Draft) -> Given<Coupon> {
    given(vec![draft.event()])
}

fn revise(revision: CouponRevision) -> CouponCommand {
    CouponCommand::Revise(revision)
}

#[test]
fn a_coupon_is_created_once_and_its_code_is_its_own_until_it_is_deleted() {
    given_nothing::<Coupon>().when(draft().command()).then(vec![draft().event()]);
    there_is(draft()).when(draft().command()).then_refused(CouponRefusal::AlreadyCreated);
    given::<Coupon>(vec![draft().event(), deleted()])
        .when(draft().command())
        .then_refused(CouponRefusal::AlreadyCreated);
    let key = "coupon-code/HALLO_2026".to_owned();
    assert_eq!(Coupon::consequences("c", &draft().event()), [Consequence::Hold { key: key.clone() }]);
    assert_eq!(Coupon::consequences("c", &deleted()), [Consequence::Release { key }]);
}

#[test]
fn each_unfit_part_of_a_coupon_is_refused_by_its_own_rule() {
    let refused = |draft: Draft| given_nothing::<Coupon>().when(draft.command()).refusal();
    for code in ["AB", "lower", "WITH SPACE", "ÜBER", ""] {
        assert_eq!(refused(Draft { code, ..draft() }), CouponRefusal::InvalidCode, "{code}");
    }
    for name in [String::new(), "  ".to_owned(), "x".repeat(101)] {
        assert_eq!(refused(Draft { name, ..draft() }), CouponRefusal::InvalidText);
    }
    assert_eq!(refused(Draft { description: "x".repeat(501), ..draft() }), CouponRefusal::InvalidText);
    for amount in [0, 999, 10_000_001, -5] {
        let amount = Rupiah::new(amount);
        for worth in [
            CouponKind::Credit { amount },
            CouponKind::Welcome { amount },
            CouponKind::Discount { less: Discount::Fixed { amount } },
        ] {
            assert_eq!(refused(Draft { worth, ..draft() }), CouponRefusal::InvalidWorth, "{worth:?}");
        }
    }
    for worth in [percent(0), percent(101)] {
        assert_eq!(refused(Draft { worth, ..draft() }), CouponRefusal::InvalidWorth);
    }
    for (uses, uses_each) in [(0, 1), (1_000_001, 1), (1, 0), (1, 101)] {
        let limits = CouponLimits { uses, uses_each };
        assert_eq!(refused(Draft { limits, ..draft() }), CouponRefusal::InvalidLimits);
    }
    for until in [noon(), in_days(-1)] {
        let window = CouponWindow { from: in_days(-2), until: Some(until) };
        assert_eq!(refused(Draft { window, ..draft() }), CouponRefusal::InvalidWindow);
    }
    let window = CouponWindow { from: in_days(3), until: Some(in_days(2)) };
    assert_eq!(refused(Draft { window, ..draft() }), CouponRefusal::InvalidWindow);
}

#[test]
fn promotional_money_is_for_no_service_and_a_free_period_is_for_one() {
    let refused = |draft: Draft| given_nothing::<Coupon>().when(draft.command()).refusal();
    assert_eq!(refused(Draft { scope: n8n(), ..draft() }), CouponRefusal::InvalidScope);
    assert_eq!(refused(Draft { worth: FREE, ..draft() }), CouponRefusal::InvalidScope);
    let free = Draft { worth: FREE, scope: n8n(), ..draft() };
    given_nothing::<Coupon>().when(free.clone().command()).then(vec![free.event()]);
}

#[test]
fn a_welcome_bonus_is_given_once_to_each() {
    let worth = CouponKind::Welcome { amount: Rupiah::new(20_000) };
    let twice = Draft { worth, limits: CouponLimits { uses: 9, uses_each: 2 }, ..draft() };
    given_nothing::<Coupon>().when(twice.command()).then_refused(CouponRefusal::InvalidLimits);
}

#[test]
fn a_coupon_is_used_as_often_as_it_allows_and_what_comes_back_can_be_used_again() {
    let past = vec![draft().event(), reserved("u1")];
    given::<Coupon>(past.clone()).when(reserve(redeemed("u2"))).then(vec![reserved("u2")]);
    let full = [past, vec![reserved("u2")]].concat();
    given::<Coupon>(full.clone()).when(reserve(redeemed("u3"))).then_refused(CouponRefusal::UsedUp);
    let release = CouponCommand::Release { used: redeemed("u2"), refused: Some("coupon-used-before".into()) };
    let back = released("u2", Some("coupon-used-before"));
    given::<Coupon>(full.clone()).when(release).then(vec![back.clone()]);
    given::<Coupon>([full, vec![back]].concat()).when(reserve(redeemed("u3"))).then(vec![reserved("u3")]);
}

#[test]
fn a_coupon_is_used_inside_its_time_and_while_it_is_active() {
    let window = CouponWindow { from: in_days(1), until: Some(in_days(2)) };
    let timed = Draft { window, ..draft() };
    there_is(timed.clone()).when(reserve(redeemed("u"))).then_refused(CouponRefusal::NotYet);
    let one_ms_early = Timestamp::from_unix_millis(in_days(2).unix_millis() - 1);
    assert!(!there_is(timed.clone()).at(one_ms_early).when(reserve(redeemed("u"))).events().is_empty());
    there_is(timed).at(in_days(2)).when(reserve(redeemed("u"))).then_refused(CouponRefusal::Expired);
    for (said, refusal) in
        [(CouponStatus::Disabled, CouponRefusal::NotActive), (CouponStatus::Expired, CouponRefusal::Expired)]
    {
        given::<Coupon>(vec![draft().event(), status(said)]).when(reserve(redeemed("u"))).then_refused(refusal);
    }
    let again = vec![draft().event(), status(CouponStatus::Disabled), status(CouponStatus::Active)];
    given::<Coupon>(again).when(reserve(redeemed("u"))).then(vec![reserved("u")]);
}

#[test]
fn a_coupon_is_used_only_for_what_it_is_for() {
    let welcome = CouponKind::Welcome { amount: Rupiah::new(20_000) };
    let off = Draft { worth: percent(20), ..draft() };
    for (worth, used) in [
        (welcome, redeemed("u")),
        (percent(20), redeemed("u")),
        (credit(), used("u", CouponPurpose::Welcome)),
        (credit(), monthly(100_000)),
        (welcome, monthly(100_000)),
    ] {
        there_is(Draft { worth, ..draft() }).when(reserve(used)).then_refused(CouponRefusal::OtherKind);
    }
    there_is(off.clone()).when(reserve(monthly(100_000))).then(vec![reserved_of(&off, monthly(100_000))]);
    let of_welcome = Draft { worth: welcome, ..draft() };
    let bonus = used("u", CouponPurpose::Welcome);
    there_is(of_welcome.clone()).when(reserve(bonus.clone())).then(vec![reserved_of(&of_welcome, bonus)]);
}

#[test]
fn a_discount_is_for_the_plans_it_names() {
    let refused = |scope: CouponScope| {
        let draft = Draft { worth: percent(20), scope, ..draft() };
        there_is(draft).when(reserve(monthly(100_000))).refusal()
    };
    let named = |offering: Option<&str>, variant: Option<&str>| CouponScope {
        offering: offering.map(str::to_owned),
        variant: variant.map(str::to_owned),
    };
    assert_eq!(refused(named(Some("ghost"), None)), CouponRefusal::OtherPlan);
    assert_eq!(refused(named(None, Some("pro"))), CouponRefusal::OtherPlan);
    assert_eq!(refused(named(Some("n8n"), Some("pro"))), CouponRefusal::OtherPlan);
    let fit = Draft { worth: percent(20), scope: named(Some("n8n"), Some("basic")), ..draft() };
    assert!(!there_is(fit).when(reserve(monthly(100_000))).events().is_empty());
}

#[test]
fn a_free_period_is_a_month_and_no_year() {
    let free = Draft { worth: FREE, scope: n8n(), ..draft() };
    there_is(free.clone()).when(reserve(monthly(100_000))).then(vec![reserved_of(&free, monthly(100_000))]);
    let yearly = sale("basic", BillingCycle::Yearly, 1_000_000);
    there_is(free).when(reserve(yearly)).then_refused(CouponRefusal::OtherCycle);
}

#[test]
fn no_use_is_wasted_where_nothing_becomes_cheaper() {
    let off = |worth| there_is(Draft { worth, scope: n8n(), ..draft() });
    off(percent(20)).when(reserve(monthly(0))).then_refused(CouponRefusal::NothingToDiscount);
    off(percent(1)).when(reserve(monthly(99))).then_refused(CouponRefusal::NothingToDiscount);
    off(FREE).when(reserve(monthly(0))).then_refused(CouponRefusal::NothingToDiscount);
}

#[test]
fn what_customers_have_read_of_its_worth_stays_and_the_rest_can_be_revised() {
    let uses = revise(CouponRevision { uses: Some(9), name: Some("Halo".into()), ..CouponRevision::default() });
    let revised = CouponEvent::CouponRevised {
        name: "Halo".into(),
        description: String::new(),
        limits: CouponLimits { uses: 9, uses_each: 1 },
        window: always(),
        occurred_at: noon(),
    };
    there_is(draft()).when(uses).then(vec![revised.clone()]);
    there_is(draft()).when(revise(CouponRevision::default())).then_nothing();
    let both = CouponRevision {
        uses: Some(9),
        name: Some("Halo".into()),
        status: Some(CouponStatus::Disabled),
        ..CouponRevision::default()
    };
    there_is(draft()).when(revise(both)).then(vec![revised.clone(), status(CouponStatus::Disabled)]);
    let full = vec![draft().event(), reserved("u1"), reserved("u2"), revised];
    assert!(!given::<Coupon>(full).when(reserve(redeemed("u3"))).events().is_empty());
    for (command, refusal) in [
        (revise(CouponRevision { name: Some(String::new()), ..CouponRevision::default() }), CouponRefusal::InvalidText),
        (revise(CouponRevision { uses_each: Some(0), ..CouponRevision::default() }), CouponRefusal::InvalidLimits),
        (
            revise(CouponRevision { until: Some(in_days(-1)), ..CouponRevision::default() }),
            CouponRefusal::InvalidWindow,
        ),
    ] {
        there_is(draft()).when(command).then_refused(refusal);
    }
}

#[test]
fn an_end_that_is_over_does_not_stand_in_the_way_of_another_name() {
    let window = CouponWindow { from: noon(), until: Some(in_days(1)) };
    let over = there_is(Draft { window, ..draft() }).at(in_days(2));
    let rename = revise(CouponRevision { name: Some("Halo".into()), ..CouponRevision::default() });
    assert_eq!(over.when(rename).events().len(), 1);
}

#[test]
fn only_what_was_never_used_is_deleted_and_then_it_is_gone() {
    there_is(draft()).when(CouponCommand::Delete).then(vec![deleted()]);
    given::<Coupon>(vec![draft().event(), reserved("u"), released("u", None)])
        .when(CouponCommand::Delete)
        .then_refused(CouponRefusal::WasUsed);
    for command in [reserve(redeemed("u")), CouponCommand::Delete, revise(CouponRevision::default())] {
        given::<Coupon>(vec![draft().event(), deleted()]).when(command.clone()).then_refused(CouponRefusal::NotFound);
        given_nothing::<Coupon>().when(command).then_refused(CouponRefusal::NotFound);
    }
}

#[test]
fn the_same_status_is_said_once() {
    let said = |status| CouponCommand::SetStatus { status };
    there_is(draft()).when(said(CouponStatus::Active)).then_nothing();
    there_is(draft()).when(said(CouponStatus::Disabled)).then(vec![status(CouponStatus::Disabled)]);
}
