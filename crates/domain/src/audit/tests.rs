//! A sound log is found sound, and each thing that can be wrong is found and named.

use minispod_events::{CouponPurpose, CouponUse, Period};

use super::*;
use crate::story::noon;

const ANI: &str = "ani";
const ORDER: &str = "TU-t.1";

fn amount(amount: i64) -> Rupiah {
    Rupiah::new(amount)
}

fn credit(order: &str, by: i64, balance: i64) -> Event {
    Event::Wallet(WalletEvent::WalletCredited {
        amount: amount(by),
        balance: amount(balance),
        promotional: Rupiah::ZERO,
        cause: EntryCause::TopUp { topup_id: "t".into(), order_id: order.into() },
        counter_account: Account::GatewayClearing,
        occurred_at: noon(),
    })
}

fn debit(period: u32, by: i64, balance: i64) -> Event {
    Event::Wallet(WalletEvent::WalletDebited {
        amount: amount(by),
        balance: amount(balance),
        promotional: Rupiah::ZERO,
        cause: EntryCause::SubscriptionPeriod { subscription_id: "s".into(), period },
        counter_account: Account::Revenue,
        occurred_at: noon(),
    })
}

fn refund(period: u32, by: i64, balance: i64) -> Event {
    Event::Wallet(WalletEvent::WalletRefunded {
        amount: amount(by),
        balance: amount(balance),
        promotional: Rupiah::ZERO,
        cause: EntryCause::SubscriptionPeriodRefund { subscription_id: "s".into(), period },
        counter_account: Account::Refunds,
        occurred_at: noon(),
    })
}

fn confirmed(order: &str, by: i64) -> Event {
    Event::TopUp(TopUpEvent::TopUpConfirmed {
        user_id: ANI.into(),
        order_id: order.into(),
        amount: amount(by),
        payment_type: "qris".into(),
        transaction_id: "g".into(),
        occurred_at: noon(),
    })
}

fn period(number: u32) -> Period {
    Period { number, start: noon(), end: noon().plus_months(1, 22) }
}

fn charged(number: u32, by: i64) -> Event {
    Event::Subscription(SubscriptionEvent::SubscriptionCharged {
        user_id: ANI.into(),
        display_name: "n8n".into(),
        amount: amount(by),
        discount: Rupiah::ZERO,
        period: period(number),
        occurred_at: noon(),
    })
}

fn subject(number: u32) -> InvoiceKind {
    InvoiceKind::Subscription { subscription_id: "s".into(), display_name: "n8n".into(), period: period(number) }
}

fn drafted(number: u32, total: i64) -> Event {
    Event::Invoice(InvoiceEvent::InvoiceDrafted {
        user_id: ANI.into(),
        subject: subject(number),
        lines: Vec::new(),
        total: amount(total),
        currency: "IDR".into(),
        occurred_at: noon(),
    })
}

fn assigned(invoice: &str, number: u32) -> Event {
    let invoice_id = invoice.into();
    Event::InvoiceBook(InvoiceBookEvent::InvoiceNumberAssigned { invoice_id, number, occurred_at: noon() })
}

fn issued(number: &str) -> Event {
    Event::Invoice(serde_json::from_value(issued_json(number)).expect("an event"))
}

fn issued_json(number: &str) -> serde_json::Value {
    serde_json::json!({ "type": "InvoiceIssued", "user_id": ANI, "number": number, "total": 25,
        "subject": subject(1), "occurred_at": noon() })
}

/// A customer pays in, buys a period and has an invoice for it.
fn sound() -> Vec<(&'static str, Event)> {
    vec![
        (ANI, Event::Wallet(WalletEvent::WalletOpened { occurred_at: noon() })),
        ("t", confirmed(ORDER, 100)),
        (ANI, credit(ORDER, 100, 100)),
        (ANI, debit(1, 25, 75)),
        ("s", charged(1, 25)),
        ("i", drafted(1, 25)),
        ("2026", assigned("i", 1)),
        ("i", issued("INV-2026-000001")),
    ]
}

/// Long after `events`, with a claim for each entry.
fn audited(events: &[(&str, Event)]) -> Audited {
    let mut audit = Audit::default();
    let mut claims = Vec::new();
    for (place, (id, event)) in events.iter().enumerate() {
        if let Some(movement) = audit.enter(id, place as i64 + 1, event) {
            claims.push((format!("{}{}", claim_prefix(), movement.cause), movement.wallet));
        }
    }
    for (claim, holder) in claims {
        audit.enter_claim(&claim, &holder);
    }
    audit.finish(noon().plus(GRACE))
}

/// What is found when `more` happens after the sound beginning.
fn found(more: Vec<(&'static str, Event)>) -> Vec<Discrepancy> {
    audited(&[sound(), more].concat()).discrepancies
}

#[test]
fn a_sound_log_has_no_discrepancy() {
    let audited = audited(&sound());
    assert_eq!(audited.discrepancies, []);
    assert_eq!((audited.entries, audited.orders, audited.periods, audited.invoices), (2, 1, 1, 1));
    assert_eq!(audited.wallets, BTreeMap::from([(ANI.to_owned(), amount(75))]));
    assert_eq!((audited.numbers["2026"], audited.pending, audited.count), (1, 0, 0));
}

fn coupon_taken(use_id: &str, by: i64) -> Event {
    let used = CouponUse { use_id: use_id.into(), user_id: ANI.into(), purpose: CouponPurpose::Redemption };
    Event::CouponUses(CouponUseEvent::CouponUseTaken {
        coupon_id: "c".into(),
        used,
        code: "HALLO".into(),
        name: "Hallo".into(),
        worth: CouponKind::Credit { amount: amount(by) },
        occurred_at: noon(),
    })
}

fn granted(use_id: &str, by: i64, promotional: i64, balance: i64) -> Event {
    Event::Wallet(WalletEvent::WalletCredited {
        amount: amount(by),
        balance: amount(balance),
        promotional: amount(promotional),
        cause: EntryCause::Coupon { coupon_id: "c".into(), use_id: use_id.into() },
        counter_account: Account::Promotions,
        occurred_at: noon(),
    })
}

#[test]
fn promotional_money_is_what_coupons_gave_and_is_never_more_than_there_is() {
    let sound = || vec![("cu", coupon_taken("u", 20)), (ANI, granted("u", 20, 20, 95))];
    assert_eq!(found(sound()), []);
    assert_eq!(
        found(vec![(ANI, granted("u", 20, 20, 95))]),
        [Discrepancy::GrantUnfounded { use_id: "u".into(), at: 9 }]
    );
    let missing: Vec<_> = found(vec![("cu", coupon_taken("u", 20))]).iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["use u of a coupon says 20, and the books have no coupon/u"]);
    let mut overspent = debit(2, 25, 70);
    if let Event::Wallet(WalletEvent::WalletDebited { promotional, .. }) = &mut overspent {
        *promotional = amount(25);
    }
    let (part, left) = (amount(-25), amount(20));
    assert_eq!(
        found([sound(), vec![(ANI, overspent)]].concat()),
        [Discrepancy::Promotional { wallet: ANI.into(), at: 11, amount: amount(-25), part, left }]
    );
    let more_than_all = found(vec![("cu", coupon_taken("u", 20)), (ANI, granted("u", 20, 21, 95))]);
    assert!(matches!(more_than_all.as_slice(), [Discrepancy::Promotional { .. }]), "{more_than_all:?}");
}

#[test]
fn a_movement_tells_both_sides() {
    let mut audit = Audit::default();
    audit.enter(ANI, 1, &credit(ORDER, 100, 100));
    let movement = audit.enter(ANI, 2, &debit(1, 25, 75)).expect("it moves money");
    assert_eq!((movement.before, movement.amount, movement.after), (amount(100), amount(-25), amount(75)));
    assert_eq!((movement.cause.as_str(), movement.counter_account), ("charge/s/1", Account::Revenue));
}

#[test]
fn a_balance_that_drifts_is_found_where_it_does() {
    assert_eq!(
        found(vec![(ANI, refund(1, 25, 101))]),
        [
            Discrepancy::Balance { wallet: ANI.into(), at: 9, stated: amount(101), sum: amount(100) },
            Discrepancy::State { wallet: ANI.into(), sum: amount(100), held: amount(101) }
        ]
    );
}

#[test]
fn no_order_is_credited_twice_and_no_period_charged_twice() {
    let twice = found(vec![(ANI, credit(ORDER, 100, 175)), (ANI, debit(1, 25, 150))]);
    assert_eq!(
        twice,
        [
            Discrepancy::CreditedTwice { order: ORDER.into(), first: 3, at: 9 },
            Discrepancy::ChargedTwice { subscription: "s".into(), period: 1, first: 4, at: 10 },
        ]
    );
    let again = found(vec![(ANI, refund(1, 25, 100)), (ANI, refund(1, 25, 125))]);
    assert_eq!(again, [Discrepancy::BookedTwice { cause: "refund/s/1".into(), first: 9, at: 10 }]);
}

#[test]
fn what_was_never_paid_is_not_credited_and_what_was_never_charged_not_given_back() {
    assert_eq!(
        found(vec![(ANI, credit("TU-x.1", 5, 80))]),
        [Discrepancy::CreditUnfounded { order: "TU-x.1".into(), at: 9 }]
    );
    let (cause, charged) = ("refund/s/1".into(), amount(25));
    assert_eq!(
        found(vec![(ANI, refund(1, 26, 101))]),
        [Discrepancy::RefundTooLarge { cause, at: 9, amount: amount(26), charged }]
    );
}

#[test]
fn money_never_moves_the_wrong_way() {
    let wrong = found(vec![(ANI, debit(2, -5, 80))]);
    assert_eq!(wrong, [Discrepancy::NotPositive { wallet: ANI.into(), at: 9, amount: amount(-5) }]);
}

#[test]
fn what_was_paid_or_charged_or_invoiced_is_booked_with_the_same_amount() {
    let (confirmed, charged) = (confirmed("TU-x.1", 5), charged(2, 25));
    let missing = found(vec![("x", confirmed.clone()), ("s", charged.clone()), ("j", drafted(1, 24))]);
    assert_eq!(
        missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "the payment of order TU-x.1 says 5, and the books have no topup/TU-x.1",
            "period 2 of subscription s says 25, and the books have no charge/s/2",
            "invoice j says 24, and charge/s/1 is booked with 25",
        ]
    );
    let mut audit = Audit::default();
    audit.enter("x", 1, &confirmed);
    audit.enter("s", 2, &charged);
    let young = audit.finish(noon().plus(GRACE / 2));
    assert_eq!((young.pending, young.discrepancies), (2, vec![]), "it may be on its way");
}

#[test]
fn a_free_period_is_not_booked() {
    assert_eq!(found(vec![("s", charged(2, 0)), ("j", drafted(2, 0))]), []);
}

#[test]
fn invoice_numbers_have_no_gap_and_an_invoice_one_of_them() {
    let gap = found(vec![("2026", assigned("j", 3)), ("j", issued("INV-2026-000003"))]);
    assert_eq!(gap, [Discrepancy::NumberGap { year: "2026".into(), before: 1, found: 3 }]);
    let twice = found(vec![("2026", assigned("i", 2))]);
    let (first, second) = ("INV-2026-000001".to_owned(), "INV-2026-000002".to_owned());
    assert_eq!(twice, [Discrepancy::NumberedTwice { invoice: "i".into(), first, second: second.clone() }]);
    let other = found(vec![("j", issued(&second))]);
    assert_eq!(other, [Discrepancy::IssuedOtherwise { invoice: "j".into(), issued: second.clone(), numbered: None }]);
    let never = found(vec![("2026", assigned("j", 2))]);
    assert_eq!(never, [Discrepancy::NotIssued { invoice: "j".into(), number: second }]);
}

#[test]
fn claims_and_entries_are_the_same() {
    let mut audit = Audit::default();
    audit.enter("t", 1, &confirmed(ORDER, 100));
    audit.enter(ANI, 2, &credit(ORDER, 100, 100));
    audit.enter(ANI, 3, &debit(1, 25, 75));
    audit.enter_claim("entry/topup/TU-t.1", "budi");
    audit.enter_claim("entry/topup/TU-x.1", ANI);
    assert_eq!(
        audit.finish(noon()).discrepancies,
        [
            Discrepancy::ClaimDiffers { claim: "entry/topup/TU-t.1".into(), holder: "budi".into(), wallet: ANI.into() },
            Discrepancy::ClaimUnfounded { claim: "entry/topup/TU-x.1".into() },
            Discrepancy::ClaimMissing { cause: "charge/s/1".into(), wallet: ANI.into() },
        ]
    );
}

#[test]
fn more_than_can_be_told_is_counted() {
    let mut audit = Audit::default();
    for at in 0..TOLD_MAX + 5 {
        audit.enter_claim(&format!("entry/{at}"), ANI);
    }
    let audited = audit.finish(noon());
    assert_eq!((audited.discrepancies.len(), audited.count), (TOLD_MAX, TOLD_MAX + 5));
}
