//! What must move no money: each negative case as the file expects it, answers that do not fit the order, other
//! people's orders, and notifications that could not be kept.

use std::time::Duration;

use minispod_e2e::{World, WorldOptions, world::SERVER_KEY};
use minispod_testkit::{require, wait_until};
use serde_json::{Value, json};

use super::{
    samples::{Implied, Message, Samples, implied, signed_like},
    stage::{Order, Stage},
};

/// A key that is not ours.
const ANOTHER_KEY: &str = "SB-Mid-server-ANOTHER";
/// Longest wait for a role to come back to a database that came back.
const RECOVERY: Duration = Duration::from_mins(1);

fn body(payload: &Value) -> Vec<u8> {
    payload.to_string().into_bytes()
}

/// The case's payload for an order of ours, as well or badly signed as in the file.
fn for_order(samples: &Samples, case: &Message, order: &Order) -> Value {
    let payload = &case.payload;
    let made = match samples.with_signature_of(case) {
        // The signature is right, but it is another message's.
        Some(owner) => signed_like(payload, &owner.payload, &order.id, SERVER_KEY),
        None if case.signature_valid => signed_like(payload, payload, &order.id, SERVER_KEY),
        None => signed_like(payload, payload, &order.id, ANOTHER_KEY),
    };
    let right = signed_like(payload, payload, &order.id, SERVER_KEY);
    assert_eq!(made["signature_key"] == right["signature_key"], case.signature_valid, "{}", case.name);
    made
}

/// Lets one case of an order of ours happen; gives back what is wrong.
async fn play(stage: &Stage<'_>, samples: &Samples, case: &Message, payment: &Message) -> Vec<String> {
    let order = stage.order(payment.amount()).await;
    let payload = for_order(samples, case, &order);
    // Whoever believed a badly signed message and asked, would hear of money.
    let answer = if case.state == "quarantine" { &payload } else { &payment.signed_for(&order.id) };
    let mut before = Implied { state: "created".to_owned(), net: 0, credited: 0, reversed: 0 };
    if case.state == "verify_by_GET" {
        stage.gateway_says(&order, answer).await;
        assert_eq!(stage.deliver(&body(answer)).await, 200);
        stage.settle().await;
        before = implied(std::slice::from_ref(payment), true);
        assert_eq!(stage.became(&order).await, before, "{}: paid first", case.name);
    }
    stage.gateway_says(&order, answer).await;
    let status = stage.deliver(&body(&payload)).await;
    stage.settle().await;
    // The poller, half a minute after the page, must not be what brings the news.
    stage.gateway_says(&order, &Value::Null).await;
    let state = if case.state == "quarantine" { "quarantine".to_owned() } else { before.state };
    let expect = Implied { state, net: before.net + case.effect, ..before };
    let became = stage.became(&order).await;
    let bodies = [body(&payload)];
    let kept = (stage.kept(&bodies).await, stage.recorded(&order, &bodies).await);
    let believed = usize::from(case.signature_valid);
    let mut wrong = Vec::new();
    if !case.http.contains(&status) {
        wrong.push(format!("{}: answered with {status} instead of {:?}", case.name, case.http));
    }
    if became != expect {
        wrong.push(format!("{}: {became:?} instead of {expect:?}", case.name));
    }
    if kept != (believed, believed) {
        wrong.push(format!("{}: kept and recorded {kept:?} times instead of {believed}", case.name));
    }
    wrong
}

/// A message of an order that we never made: kept, answered with 200, and nothing else.
async fn is_only_kept(stage: &Stage<'_>, message: &Message) -> Vec<String> {
    let bodies = [body(&message.payload)];
    let status = stage.deliver(&bodies[0]).await;
    let order = Order { id: message.order_id(), topup_id: String::new() };
    let (kept, recorded) = (stage.kept(&bodies).await, stage.recorded(&order, &bodies).await);
    let became = stage.became(&order).await;
    if (status, kept, recorded, became.net) == (200, 1, 0, 0) {
        return Vec::new();
    }
    vec![format!("{}: {status}, kept {kept}, recorded {recorded}, {became:?}", message.name)]
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tampered_and_foreign_notifications_move_no_money() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let stage = Stage::new(&world).await;
    let samples = Samples::read();
    let mut wrong = Vec::new();
    for case in &samples.bad {
        assert_eq!(case.is_signed(), case.signature_valid, "{}: the file says so", case.name);
        match samples.payment_of(case) {
            Some(payment) => wrong.extend(play(&stage, &samples, case, payment).await),
            None => wrong.extend(is_only_kept(&stage, case).await),
        }
    }
    // As published, byte for byte: well signed, of orders we never made.
    for message in &samples.good {
        wrong.extend(is_only_kept(&stage, message).await);
    }
    stage.settle().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let paid_first: i64 = samples
        .bad
        .iter()
        .filter(|case| case.state == "verify_by_GET")
        .filter_map(|case| Some(samples.payment_of(case)?.amount()))
        .sum();
    assert_eq!(stage.customer.balance().await, paid_first, "nothing else is in the wallet");
}

/// A rightly signed notification of the right amount, while GET status answers something else about our order.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_fit_the_order_credits_nothing_and_an_odd_form_of_a_good_one_does() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let stage = Stage::new(&world).await;
    let samples = Samples::read();
    let paid = samples.good.iter().find(|message| message.state == "paid").expect("a message pays");
    let quarantined = Implied { state: "quarantine".to_owned(), net: 0, credited: 0, reversed: 0 };
    let credited = implied(std::slice::from_ref(paid), true);
    let amount = paid.amount();
    let unfit = [
        ("less", json!({"gross_amount": format!("{}.00", amount / 10)})),
        ("more", json!({"gross_amount": format!("{}.00", amount * 10)})),
        ("one rupiah less", json!({"gross_amount": format!("{}.00", amount - 1)})),
        ("cents", json!({"gross_amount": format!("{amount}.50")})),
        ("a number", json!({"gross_amount": amount})),
        ("another currency", json!({"currency": "USD"})),
        ("another merchant", json!({"merchant_id": "G900000002"})),
        ("another order", json!({"order_id": "TU-UNKNOWN-ORDER.1"})),
        ("doubt about fraud", json!({"fraud_status": "challenge"})),
        ("another code", json!({"status_code": "201"})),
        ("a word nobody knows", json!({"transaction_status": "teleported"})),
    ];
    let odd = [
        ("a code as a number", json!({"status_code": 200})),
        ("empty texts", json!({"fraud_status": "", "merchant_id": "", "refunds": ""})),
        ("odd members", json!({"va_numbers": 5, "payment_amounts": "none", "transaction_id": 17, "custom_field1": {}})),
    ];
    let cases: Vec<_> = unfit
        .into_iter()
        .map(|case| (case, &quarantined))
        .chain(odd.into_iter().map(|case| (case, &credited)))
        .collect();
    let mut orders = Vec::new();
    for ((name, change), expect) in &cases {
        let order = stage.order(amount).await;
        let notification = paid.signed_for(&order.id);
        let mut answer = notification.clone();
        for (member, value) in change.as_object().into_iter().flatten() {
            answer[member] = value.clone();
        }
        stage.gateway_says(&order, &answer).await;
        assert_eq!(stage.deliver(&body(&notification)).await, 200, "{name}");
        orders.push((order, name, expect));
    }
    stage.settle().await;
    let mut wrong = Vec::new();
    for (order, name, expect) in &orders {
        let became = stage.became(order).await;
        if became != ***expect {
            wrong.push(format!("{name}: {became:?} instead of {expect:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    another_attempt_takes_nothing_back(&stage, paid).await;
}

/// The customer tried twice on one page: what is said of the other attempt does not touch the one that paid.
async fn another_attempt_takes_nothing_back(stage: &Stage<'_>, paid: &Message) {
    let order = stage.order(paid.amount()).await;
    let payment = paid.signed_for(&order.id);
    stage.gateway_says(&order, &payment).await;
    assert_eq!(stage.deliver(&body(&payment)).await, 200);
    stage.settle().await;
    let credited = implied(std::slice::from_ref(paid), true);
    for status in ["deny", "cancel", "expire"] {
        let mut other = paid.payload.clone();
        other["transaction_status"] = json!(status);
        other["transaction_id"] = json!("0f4b7f3a-6f0e-4a55-9d0e-0b6f2f0d1fff");
        other["status_code"] = json!("202");
        let other = signed_like(&other, &other, &order.id, SERVER_KEY);
        stage.gateway_says(&order, &other).await;
        assert_eq!(stage.deliver(&body(&other)).await, 200, "{status}");
        stage.settle().await;
        assert_eq!(stage.became(&order).await, credited, "{status} of another transaction");
        assert_eq!(stage.shown(&order).await, "PAID", "{status} of another transaction");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_cannot_be_kept_is_answered_with_503_and_credited_when_it_comes_again() {
    if !require("pg") || !require("nats") {
        return;
    }
    let mut world = World::start(WorldOptions::default()).await;
    let samples = Samples::read();
    let paid = samples.good.iter().find(|message| message.state == "paid").expect("a message pays");
    let stage = Stage::new(&world).await;
    let order = stage.order(paid.amount()).await;
    let notification = paid.signed_for(&order.id);
    stage.gateway_says(&order, &notification).await;
    let Stage { customer, gateway, sql, .. } = stage;
    sql.close().await;
    world.pg.stop().await;
    let answer = gateway.post_raw("/billing/webhooks/midtrans", &body(&notification)).await;
    assert_eq!(answer.status, 503, "not stored, so not accepted: {}", answer.body);
    assert!(answer.headers.contains_key("retry-after"), "the gateway is told to come again");
    world.pg.restart().await;
    let stage = Stage { sql: world.sql().await, world: &world, customer, gateway };
    assert_eq!(stage.kept(&[body(&notification)]).await, 0, "what was not accepted is not there");
    wait_until(RECOVERY, || async { stage.deliver(&body(&notification)).await == 200 }).await;
    stage.settle().await;
    assert_eq!(stage.became(&order).await, implied(std::slice::from_ref(paid), true));
    assert_eq!(stage.customer.balance().await, paid.amount());
}
