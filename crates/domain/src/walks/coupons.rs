//! Coupons walked through in many orders: used once, counted once, and given back when the sale came to nothing.

use minispod_events::{CouponKind, CouponLimits, CouponPurpose, CouponScope, CouponUse, CouponWindow, Discount};
use minispod_kernel::Rupiah;

use super::{setting::*, subscriptions::in_many_orders};
use crate::{
    AccessCommand, AnyCommand, CouponCommand, InstanceCommand, SubscriptionCommand, UserCommand,
    memory_bus::{MemoryBus, Order, Refused},
    story::noon,
};

/// The coupon of these walks.
pub const COUPON: &str = "coupon";

/// A coupon for everything, as often as asked.
pub fn coupon(bus: &mut MemoryBus, worth: CouponKind, uses: u32, uses_each: u32) {
    let command = CouponCommand::Create {
        code: "HALLO".into(),
        name: "Hallo".into(),
        description: String::new(),
        worth,
        scope: CouponScope::default(),
        limits: CouponLimits { uses, uses_each },
        window: CouponWindow { from: noon(), until: None },
    };
    bus.ask("coupon", COUPON, AnyCommand::Coupon(command)).expect("created");
    bus.settle(Order::InTurn);
}

/// 40 percent off.
pub const LESS: CouponKind = CouponKind::Discount { less: Discount::Percent { percent: 40 } };

/// What the first period costs with it.
const REDUCED: i64 = PRICE * 6 / 10;

/// The request of a sale with the coupon.
pub fn with_coupon(id: &str, user: &str) -> AnyCommand {
    let mut command = request_command(id, user, PRICE);
    if let AnyCommand::Subscription(SubscriptionCommand::Request { coupon_id, .. }) = &mut command {
        *coupon_id = Some(COUPON.to_owned());
    }
    command
}

/// A customer enters the code.
pub fn redeem(id: &str) -> AnyCommand {
    let used = CouponUse { use_id: id.into(), user_id: ANI.into(), purpose: CouponPurpose::Redemption };
    AnyCommand::Coupon(CouponCommand::Reserve { used })
}

/// A customer's address is proved.
pub fn verified() -> AnyCommand {
    AnyCommand::User(UserCommand::Access(AccessCommand::VerifyEmail))
}

fn promotional(bus: &MemoryBus) -> i64 {
    bus.wallet(ANI).promotional().amount()
}

/// Uses that stand, by the coupon and by its customers: they must agree.
fn uses(bus: &MemoryBus) -> usize {
    let kept = bus.count("CouponReserved") - bus.count("CouponReleased");
    let taken = bus.count("CouponUseTaken") - bus.count("CouponUseReturned");
    assert_eq!(kept, taken, "uses by the coupon and by its customers");
    taken
}

fn buy(bus: &mut MemoryBus, id: &str) -> Result<(), Refused> {
    bus.ask(&format!("buy-{id}"), id, with_coupon(id, ANI)).map(|_| ())
}

fn why_not(answer: Result<(), Refused>) -> String {
    answer.expect_err("refused").code
}

#[test]
fn a_code_gives_money_once_for_each_use_and_not_beyond_the_customers_share() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        coupon(&mut bus, CouponKind::Credit { amount: Rupiah::new(25_000) }, 9, 2);
        for id in ["u1", "u2"] {
            bus.ask(id, COUPON, redeem(id)).expect("redeemed");
            bus.ask(id, COUPON, redeem(id)).expect("answered as before");
        }
        let third = bus.ask("u3", COUPON, redeem("u3")).expect_err("the share is used");
        assert_eq!(third.code, "coupon-used-before");
        bus.settle(order);
        assert_eq!((balance(&bus), promotional(&bus), uses(&bus)), (50_000, 50_000, 2));
    });
}

#[test]
fn two_customers_cannot_both_have_the_last_use() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        coupon(&mut bus, CouponKind::Credit { amount: Rupiah::new(25_000) }, 1, 1);
        bus.tell("u1", COUPON, redeem("u1")).expect("kept");
        assert_eq!(bus.tell("u2", COUPON, redeem("u2")).expect_err("none left").code, "coupon-used-up");
        bus.settle(order);
        assert_eq!((balance(&bus), uses(&bus)), (25_000, 1));
    });
}

#[test]
fn a_sale_with_a_coupon_costs_less_for_one_period_and_its_invoice_says_so() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        coupon(&mut bus, LESS, 1, 1);
        give(&mut bus, ANI, REDUCED + PRICE);
        buy(&mut bus, "s").expect("sold");
        bus.settle(order);
        becomes_ready(&mut bus, "s").expect("ready");
        bus.settle(order);
        let all = ["Requested", "SlotHeld", "Discounted", "Charged", "ProvisioningStarted", "Activated"];
        assert_eq!((steps(&bus, "s"), balance(&bus), uses(&bus)), (all.to_vec(), PRICE, 1));
        subscription(&mut bus, "renew", "s", SubscriptionCommand::StartRenewal).expect("renewed");
        bus.settle(order);
        assert_eq!((balance(&bus), bus.count("InvoiceIssued")), (0, 2));
    });
}

#[test]
fn a_free_period_needs_no_money() {
    let mut bus = shop(PRICE, 1);
    coupon(&mut bus, CouponKind::Discount { less: Discount::Percent { percent: 100 } }, 1, 1);
    buy(&mut bus, "s").expect("sold to who has nothing");
    bus.settle(Order::InTurn);
    assert_eq!((balance(&bus), bus.count("SubscriptionCharged"), bus.count("WalletDebited")), (0, 1, 0));
}

#[test]
fn a_sale_that_comes_to_nothing_gives_the_use_back() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        coupon(&mut bus, LESS, 1, 1);
        assert_eq!(why_not(buy(&mut bus, "poor")), "wallet-insufficient-balance");
        bus.settle(order);
        assert_eq!((uses(&bus), used_slots(&bus, &["poor"])), (0, 0));
        give(&mut bus, ANI, REDUCED);
        buy(&mut bus, "s").expect("the use is there again");
        bus.settle(order);
        report(&mut bus, "s", InstanceCommand::RecordFailed { generation: 1, detail: "no image".into() })
            .expect("said");
        bus.settle(order);
        assert_eq!((balance(&bus), uses(&bus), used_slots(&bus, &["s"])), (REDUCED, 0, 0));
    });
}

#[test]
fn who_cancels_what_ran_has_used_the_coupon() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        coupon(&mut bus, LESS, 1, 1);
        give(&mut bus, ANI, REDUCED);
        buy(&mut bus, "s").expect("sold");
        bus.settle(order);
        becomes_ready(&mut bus, "s").expect("ready");
        bus.settle(order);
        cancel(&mut bus, "s");
        bus.settle(order);
        assert_eq!((balance(&bus), uses(&bus)), (0, 1));
    });
}

#[test]
fn who_cancels_before_it_ran_has_money_and_use_again() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        coupon(&mut bus, LESS, 1, 1);
        give(&mut bus, ANI, REDUCED);
        bus.tell("buy", "s", with_coupon("s", ANI)).expect("asked");
        cancel(&mut bus, "s");
        bus.settle(order);
        assert_eq!((balance(&bus), uses(&bus), used_slots(&bus, &["s"])), (REDUCED, 0, 0));
    });
}

#[test]
fn a_wish_to_end_it_between_any_two_steps_of_the_sale_leaves_money_slot_and_use_as_they_were() {
    let mut interrupted = Vec::new();
    for steps in 0..10 {
        let mut bus = shop(PRICE, 1);
        coupon(&mut bus, LESS, 1, 1);
        give(&mut bus, ANI, REDUCED);
        bus.tell("buy", "s", with_coupon("s", ANI)).expect("asked");
        bus.go_down_after(steps);
        bus.settle(Order::InTurn);
        bus.restart();
        interrupted.push(bus.names("subscription", "s").len());
        cancel(&mut bus, "s");
        bus.settle(Order::InTurn);
        let left = (balance(&bus), uses(&bus), used_slots(&bus, &["s"]));
        assert_eq!(left, (REDUCED, 0, 0), "ended after {steps} steps");
    }
    interrupted.dedup();
    assert_eq!(interrupted, [1, 2, 3, 5], "requested, slot held, discounted, charged and provisioned");
}

#[test]
fn a_coupon_that_does_not_fit_ends_the_sale_and_costs_nothing() {
    let mut bus = shop(PRICE, 1);
    give(&mut bus, ANI, PRICE);
    assert_eq!(why_not(buy(&mut bus, "none")), "coupon-not-found");
    coupon(&mut bus, CouponKind::Credit { amount: Rupiah::new(25_000) }, 1, 1);
    assert_eq!(why_not(buy(&mut bus, "money")), "coupon-other-kind");
    bus.settle(Order::InTurn);
    assert_eq!((balance(&bus), uses(&bus), used_slots(&bus, &["none", "money"])), (PRICE, 0, 0));
}

#[test]
fn who_has_had_the_share_does_not_get_a_second_sale_for_less() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 2);
        coupon(&mut bus, LESS, 9, 1);
        give(&mut bus, ANI, 2 * PRICE);
        buy(&mut bus, "s").expect("sold");
        bus.settle(order);
        becomes_ready(&mut bus, "s").expect("ready");
        bus.settle(order);
        cancel(&mut bus, "s");
        bus.settle(order);
        let before = balance(&bus);
        assert_eq!(why_not(buy(&mut bus, "again")), "coupon-used-before");
        bus.settle(order);
        assert_eq!((balance(&bus), uses(&bus), used_slots(&bus, &["again"])), (before, 1, 0));
    });
}

#[test]
fn a_proved_address_earns_every_bonus_once_however_often_it_is_proved() {
    in_many_orders(|order| {
        let mut bus = shop(PRICE, 1);
        coupon(&mut bus, CouponKind::Welcome { amount: Rupiah::new(5_000) }, 9, 1);
        assert_eq!(bus.count("WelcomeCouponOffered"), 0, "a bare registration earns nothing");
        bus.ask("verify", ANI, verified()).expect("proved");
        bus.settle(order);
        // However often it is greeted.
        let greet = crate::WelcomeCommand::Greet { user_id: ANI.into() };
        bus.tell("again", crate::coupon::welcome::WELCOME, AnyCommand::Welcome(greet)).expect("greeted");
        bus.settle(order);
        assert_eq!((balance(&bus), promotional(&bus), uses(&bus)), (5_000, 5_000, 1));
        assert_eq!(bus.count("MailQueued"), 3, "welcome, link, bonus");
    });
}

#[test]
fn a_bonus_that_was_disabled_is_not_given() {
    let mut bus = shop(PRICE, 1);
    coupon(&mut bus, CouponKind::Welcome { amount: Rupiah::new(5_000) }, 9, 1);
    let disable = CouponCommand::SetStatus { status: minispod_events::CouponStatus::Disabled };
    bus.ask("disable", COUPON, AnyCommand::Coupon(disable)).expect("disabled");
    bus.ask("verify", ANI, verified()).expect("proved");
    bus.settle(Order::InTurn);
    assert_eq!((balance(&bus), bus.count("WelcomeCouponOffered")), (0, 0));
}
