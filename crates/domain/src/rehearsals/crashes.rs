//! Killed between any two steps: whatever was under way ends where it would have ended.

use std::{collections::BTreeMap, time::Duration};

use minispod_events::{
    BillingCycle, CancelReason, Capacity, CouponKind, Event, ExpiryCause, PlanDetails, PlanSnapshot,
};
use minispod_kernel::{Rupiah, Sensitive, Timestamp};

use crate::{
    AnyCommand, GatewayRefund, GatewayStatus, InstanceCommand, PlanCommand, SubscriptionCommand, TopUpCommand,
    memory_bus::{MemoryBus, Order, Place, Refused, Timer},
    plan::details,
    subscription::PROVISIONING_DEADLINE,
    walks::coupons::{COUPON, LESS, coupon, redeem, verified, with_coupon},
    walks::setting::{ANI, PLAN, PRICE, give, instance_of, n8n, request_command, shop},
};

/// Somebody who tries again until there is an answer, and roles that start again when they were killed.
struct Play {
    bus: MemoryBus,
    order: Order,
    killed: u32,
}

impl Play {
    fn until_answered<T>(&mut self, what: impl Fn(&mut MemoryBus) -> T) -> T {
        loop {
            let answer = what(&mut self.bus);
            if !self.bus.is_down() {
                return answer;
            }
            self.bus.restart();
            self.killed += 1;
        }
    }

    fn ask(&mut self, key: &str, id: &str, command: AnyCommand) -> Result<Vec<Event>, Refused> {
        self.until_answered(|bus| bus.ask(key, id, command.clone()))
    }

    fn tell(&mut self, key: &str, id: &str, command: AnyCommand) {
        let _ = self.until_answered(|bus| bus.tell(key, id, command.clone()));
    }

    fn subscription(&mut self, key: &str, command: SubscriptionCommand) {
        let _ = self.ask(key, "s", AnyCommand::Subscription(command));
    }

    fn settle(&mut self) {
        let order = self.order;
        self.until_answered(|bus| bus.settle(order));
    }

    fn advance(&mut self, by: Duration) {
        let (until, order) = (self.bus.now().plus(by), self.order);
        // Who starts again finishes what is there before time goes on.
        self.until_answered(|bus| {
            bus.settle(order);
            bus.advance_to(until, order);
        });
        self.settle();
    }

    fn report(&mut self, key: &str, report: InstanceCommand) {
        self.tell(key, &instance_of("s"), AnyCommand::Instance(report));
        self.settle();
    }

    fn request(&mut self) {
        let _ = self.ask("request", "s", request_command("s", ANI, PRICE));
        self.settle();
    }

    fn active(&mut self) {
        self.request();
        self.report("applied", applied());
        self.report("ready", InstanceCommand::RecordReady { generation: 1, external_url: "https://flows".into() });
    }
}

/// What there is at the end, whatever the order in which it came about.
#[derive(Debug, PartialEq)]
struct End {
    histories: BTreeMap<Place, Vec<Event>>,
    claims: BTreeMap<String, Place>,
    timers: Vec<Timer>,
}

fn end(bus: &MemoryBus) -> End {
    let histories = bus.histories().into_iter();
    End {
        histories: histories.map(|(place, events)| (place.clone(), events.into_iter().cloned().collect())).collect(),
        claims: bus.claims_from("").map(|(key, place)| (key.to_owned(), place.clone())).collect(),
        timers: bus.waiting().cloned().collect(),
    }
}

/// Kills the process `process` after each of its steps in turn, and after two of them.
fn survives(prepare: impl Fn() -> MemoryBus, process: impl Fn(&mut Play)) {
    for order in [Order::InTurn, Order::Shuffled(5)] {
        let mut whole = Play { bus: prepare(), order: Order::InTurn, killed: 0 };
        let before = whole.bus.carried_out();
        process(&mut whole);
        let (steps, expected) = (whole.bus.carried_out() - before, end(&whole.bus));
        assert!(steps > 2, "a process has steps");
        for step in 0..steps {
            let mut play = Play { bus: prepare(), order, killed: 0 };
            play.bus.go_down_after(step);
            process(&mut play);
            assert_eq!(play.killed, 1, "killed after step {step} of {steps}");
            assert_eq!(end(&play.bus), expected, "killed after step {step} of {steps}, {order:?}");
        }
    }
}

fn money_for_two() -> MemoryBus {
    let mut bus = shop(PRICE, 1);
    give(&mut bus, ANI, 2 * PRICE);
    bus
}

fn ready_made(prepare: impl Fn(&mut Play)) -> MemoryBus {
    let mut play = Play { bus: money_for_two(), order: Order::InTurn, killed: 0 };
    play.active();
    prepare(&mut play);
    play.bus
}

fn applied() -> InstanceCommand {
    InstanceCommand::RecordApplied {
        generation: 1,
        namespace: "customer".into(),
        workload: "w".into(),
        internal_url: "http://flows".into(),
        external_url: "https://flows".into(),
        volume_claim: None,
        simulated: true,
        program: None,
    }
}

fn text() -> Sensitive<String> {
    Sensitive::Open("a reason".into())
}

#[test]
fn subscribing_survives_a_kill_after_every_step() {
    survives(money_for_two, Play::active);
}

#[test]
fn a_subscription_that_fails_survives_a_kill_after_every_step() {
    survives(money_for_two, |play| {
        play.request();
        play.report("failed", InstanceCommand::RecordFailed { generation: 1, detail: "no image".into() });
    });
    survives(money_for_two, |play| {
        play.request();
        play.advance(PROVISIONING_DEADLINE);
    });
}

#[test]
fn a_subscription_that_is_refused_survives_a_kill_after_every_step() {
    survives(|| shop(PRICE, 1), Play::request);
    let sold_out = || {
        let mut bus = money_for_two();
        let slot = PlanCommand::AllocateSlot { subscription_id: "other".into() };
        bus.tell("other", PLAN, AnyCommand::Plan(slot)).expect("the only slot");
        bus
    };
    survives(sold_out, Play::request);
}

#[test]
fn renewing_survives_a_kill_after_every_step() {
    let renew = |play: &mut Play| {
        play.subscription("renew", SubscriptionCommand::StartRenewal);
        play.settle();
    };
    survives(|| ready_made(|_| {}), renew);
    survives(|| ready_made(|play| give(&mut play.bus, ANI, -PRICE)), renew);
}

#[test]
fn ending_survives_a_kill_after_every_step() {
    survives(
        || ready_made(|_| {}),
        |play| {
            play.subscription(
                "cancel",
                SubscriptionCommand::Cancel { reason: CancelReason::Customer { text: text() } },
            );
            play.settle();
        },
    );
    survives(money_for_two, |play| {
        let _ = play.ask("request", "s", request_command("s", ANI, PRICE));
        play.subscription("cancel", SubscriptionCommand::Cancel { reason: CancelReason::Customer { text: text() } });
        play.settle();
    });
}

#[test]
fn standing_still_and_running_again_survive_a_kill_after_every_step() {
    survives(
        || ready_made(|_| {}),
        |play| {
            play.subscription("suspend", SubscriptionCommand::Suspend { reason: text() });
            play.settle();
            play.subscription("resume", SubscriptionCommand::StartResume { reason: text() });
            play.settle();
            play.subscription(
                "expire",
                SubscriptionCommand::Expire { cause: ExpiryCause::Administrator { text: text() } },
            );
            play.settle();
            play.subscription("extend", SubscriptionCommand::Extend { days: 30, reason: text() });
            play.settle();
        },
    );
}

const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_renewal_by_itself_survives_a_kill_after_every_step() {
    survives(|| ready_made(|_| {}), |play| play.advance(DAY * 32));
}

#[test]
fn grace_expiry_and_purge_survive_a_kill_after_every_step() {
    let unpaid = || ready_made(|play| give(&mut play.bus, ANI, -PRICE));
    survives(unpaid, |play| play.advance(DAY * 32));
    survives(unpaid, |play| play.advance(DAY * 36));
    survives(unpaid, |play| play.advance(DAY * 70));
}

#[test]
fn money_that_comes_late_survives_a_kill_after_every_step() {
    for late in [32, 40] {
        survives(
            || {
                ready_made(|play| {
                    give(&mut play.bus, ANI, -PRICE);
                    play.advance(DAY * late);
                })
            },
            |play| {
                let cause = minispod_events::EntryCause::Adjustment { key: "late".into(), reason: "test".into() };
                let amount = Rupiah::new(PRICE);
                let _ = play.ask("late", ANI, AnyCommand::Wallet(crate::WalletCommand::Adjust { amount, cause }));
                play.settle();
            },
        );
    }
}

#[test]
fn an_end_with_the_period_survives_a_kill_after_every_step() {
    survives(
        || ready_made(|_| {}),
        |play| {
            let reason = CancelReason::Customer { text: text() };
            play.subscription("end", SubscriptionCommand::ScheduleCancellation { reason });
            play.advance(DAY * 64);
        },
    );
}

/// A dearer plan beside the one that was sold.
fn with_another(prepare: impl Fn(&mut Play), price: i64, slots: i64) -> MemoryBus {
    let mut bus = ready_made(|play| {
        give(&mut play.bus, ANI, 3 * PRICE);
        prepare(play);
    });
    let publish =
        PlanCommand::Publish { details: other_details(), monthly_price: Rupiah::new(price), capacity: Capacity(slots) };
    bus.tell("publish-other", "other", AnyCommand::Plan(publish)).expect("published");
    bus
}

fn other_details() -> PlanDetails {
    PlanDetails { variant: "other".into(), is_default_variant: false, ..n8n() }
}

fn other(price: i64) -> PlanSnapshot {
    details::snapshot("other", &other_details(), Rupiah::new(price), BillingCycle::Monthly).expect("counts")
}

fn change(play: &mut Play, price: i64) {
    let to = other(price);
    play.subscription("change", SubscriptionCommand::ChangePlan { to, by_administrator: false, reason: None });
    play.settle();
}

fn resized(play: &mut Play) {
    let mut objects = applied();
    if let InstanceCommand::RecordApplied { generation, .. } = &mut objects {
        *generation = 2;
    }
    play.report("applied-2", objects);
    play.report("ready-2", InstanceCommand::RecordReady { generation: 2, external_url: "https://flows".into() });
}

#[test]
fn another_plan_survives_a_kill_after_every_step() {
    survives(
        || with_another(|_| {}, 2 * PRICE, 1),
        |play| {
            change(play, 2 * PRICE);
            resized(play);
        },
    );
}

#[test]
fn another_plan_that_cannot_be_had_survives_a_kill_after_every_step() {
    // Sold out, not covered, too late for the cluster, refused by the cluster.
    survives(|| with_another(|_| {}, 2 * PRICE, 0), |play| change(play, 2 * PRICE));
    survives(|| with_another(|_| {}, 50 * PRICE, 1), |play| change(play, 50 * PRICE));
    survives(
        || with_another(|_| {}, 2 * PRICE, 1),
        |play| {
            change(play, 2 * PRICE);
            play.advance(PROVISIONING_DEADLINE);
        },
    );
    survives(
        || with_another(|_| {}, 2 * PRICE, 1),
        |play| {
            change(play, 2 * PRICE);
            play.report("failed-2", InstanceCommand::RecordFailed { generation: 2, detail: "no room".into() });
        },
    );
}

#[test]
fn a_cheaper_plan_with_the_next_period_survives_a_kill_after_every_step() {
    survives(
        || with_another(|_| {}, PRICE / 2, 1),
        |play| {
            let to = other(PRICE / 2);
            play.subscription("cheaper", SubscriptionCommand::ScheduleDowngrade { to, reason: None });
            play.advance(DAY * 31);
            resized(play);
            play.advance(DAY);
        },
    );
}

#[test]
fn topping_up_and_giving_back_survive_a_kill_after_every_step() {
    survives(
        || shop(PRICE, 1),
        |play| {
            let expires_at: Timestamp = play.bus.now().plus(Duration::from_hours(24));
            let command = TopUpCommand::Request { user_id: ANI.into(), amount: Rupiah::new(90_000), expires_at };
            let _ = play.ask("top-up", "t", AnyCommand::TopUp(command));
            play.tell("token", "t", AnyCommand::TopUp(TopUpCommand::RecordPaymentToken { order_id: "TU-t.1".into() }));
            for (number, status) in ["pending", "settlement", "partial_refund", "chargeback"].into_iter().enumerate() {
                let inbox_id = format!("inbox-{number}");
                let record = TopUpCommand::RecordNotification { order_id: "TU-t.1".into(), inbox_id };
                play.tell(&format!("notify-{number}"), "t", AnyCommand::TopUp(record));
                let status = said(status);
                let apply = TopUpCommand::ApplyGatewayStatus { status, after: None };
                play.tell(&format!("apply-{number}"), "t", AnyCommand::TopUp(apply));
                play.settle();
            }
        },
    );
}

#[test]
fn a_sale_with_a_coupon_survives_a_kill_after_every_step() {
    let shop_with = |balance: i64| {
        let mut bus = shop(PRICE, 1);
        coupon(&mut bus, LESS, 1, 1);
        if balance > 0 {
            give(&mut bus, ANI, balance);
        }
        bus
    };
    let buy = |play: &mut Play| {
        let _ = play.ask("buy", "s", with_coupon("s", ANI));
        play.settle();
    };
    survives(|| shop_with(PRICE), buy);
    survives(|| shop_with(0), buy);
    survives(
        || shop_with(PRICE),
        |play| {
            buy(play);
            play.report("failed", InstanceCommand::RecordFailed { generation: 1, detail: "no image".into() });
        },
    );
    let used_up = || {
        let mut bus = shop_with(PRICE);
        bus.ask("first", "first", with_coupon("first", "budi")).expect_err("budi has no money");
        bus
    };
    survives(used_up, buy);
}

#[test]
fn promotional_money_survives_a_kill_after_every_step() {
    let gift = |worth| {
        let mut bus = shop(PRICE, 1);
        coupon(&mut bus, worth, 1, 1);
        bus
    };
    survives(
        || gift(CouponKind::Credit { amount: Rupiah::new(25_000) }),
        |play| {
            for id in ["u1", "u2"] {
                let _ = play.ask(id, COUPON, redeem(id));
                play.settle();
            }
        },
    );
    survives(
        || gift(CouponKind::Welcome { amount: Rupiah::new(5_000) }),
        |play| {
            let _ = play.ask("verify", ANI, verified());
            play.settle();
        },
    );
}

fn said(transaction_status: &str) -> GatewayStatus {
    let part = GatewayRefund { refund_key: "RF-1".into(), amount: Rupiah::new(30_000), bank_confirmed: true };
    GatewayStatus {
        order_id: "TU-t.1".into(),
        transaction_status: transaction_status.into(),
        status_code: if transaction_status == "pending" { "201".into() } else { "200".into() },
        fraud_status: Some("accept".into()),
        gross_amount: Some(Rupiah::new(90_000)),
        currency: "IDR".into(),
        merchant_matches: true,
        payment_type: "qris".into(),
        transaction_id: "trx".into(),
        refunds: if transaction_status == "partial_refund" { vec![part] } else { Vec::new() },
    }
}
