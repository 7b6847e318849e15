//! Every sequence of the file, in every order and number, at every pace: the wallet and the payment are what the
//! gateway's last status implies.

use futures::{StreamExt, stream};
use minispod_e2e::{World, WorldOptions};
use minispod_testkit::require;
use serde_json::{Value, json};

use super::{
    samples::{Implied, Message, Samples, Sequence, five_bodies, implied, names},
    stage::{Order, Stage, shown_as},
};

/// Orders that are worked on at the same time.
const AT_ONCE: usize = 8;
/// Orders of delivery that one set of messages may have.
const MOST_ORDERS: usize = 24;

/// One order and the way its messages come.
struct Run {
    label: String,
    amount: i64,
    steps: Vec<Step>,
}

/// What is delivered before everything is awaited.
struct Step {
    /// Each part: what GET status says from then on, and the bodies that come.
    parts: Vec<(Message, Vec<Message>)>,
    pace: Pace,
    /// What may then be so; more than one where we may or may not have asked in between.
    expect: Vec<Implied>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    Once,
    /// Five bodies of each message, one after another.
    FiveAfterAnother,
    /// Five bodies of each message, all at the same time.
    FiveAtOnce,
}

/// Every order of a few things.
fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.len() <= 1 {
        return vec![items.to_vec()];
    }
    let mut all = Vec::new();
    for (index, first) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(index);
        for mut tail in permutations(&rest) {
            tail.insert(0, first.clone());
            all.push(tail);
        }
    }
    all
}

/// As the file lists it, each message awaited; the gateway is as far as the furthest message that came.
fn as_listed(sequence: &Sequence) -> Vec<Step> {
    let history = &sequence.history;
    let place = |message: &Message| history.iter().position(|known| known.name == message.name).unwrap_or_default();
    let mut steps = Vec::new();
    for count in 1..=sequence.deliver.len() {
        let asked: Vec<usize> =
            (1..=count).map(|count| sequence.deliver[..count].iter().map(place).max().unwrap_or_default()).collect();
        let paid_seen = asked.iter().any(|place| history[*place].effect > 0);
        let now = asked.last().copied().unwrap_or_default();
        steps.push(Step {
            parts: vec![(history[now].clone(), vec![sequence.deliver[count - 1].clone()])],
            pace: Pace::Once,
            expect: vec![implied(&history[..=now], paid_seen)],
        });
    }
    steps
}

/// One message at a time in `order`, each awaited, while the gateway goes its own way.
fn stepwise(history: &[Message], order: &[Message], pace: Pace) -> Vec<Step> {
    order
        .iter()
        .enumerate()
        .map(|(place, message)| Step {
            parts: vec![(history[place].clone(), vec![message.clone()])],
            pace,
            expect: vec![implied(&history[..=place], true)],
        })
        .collect()
}

/// All in one go, while the gateway is at its end already.
fn at_the_end(history: &[Message], order: &[Message], pace: Pace) -> Vec<Step> {
    let last = history.last().expect("a history has messages").clone();
    let expect = vec![implied(history, history.len() == 1)];
    vec![Step { parts: vec![(last, order.to_vec())], pace, expect }]
}

/// All in one go, while the gateway moves on in between; as it does, it repeats its last word once more.
fn in_a_hurry(history: &[Message], order: &[Message]) -> Vec<Step> {
    let mut parts: Vec<(Message, Vec<Message>)> =
        history.iter().zip(order).map(|(now, message)| (now.clone(), vec![message.clone()])).collect();
    let mut repeated = history.last().expect("a history has messages").clone();
    repeated.payload["status_message"] = json!("midtrans payment notification, repeated");
    parts.extend(history.last().map(|last| (last.clone(), vec![repeated])));
    vec![Step { parts, pace: Pace::Once, expect: vec![implied(history, true), implied(history, false)] }]
}

fn runs_of(sequence: &Sequence) -> Vec<Run> {
    let history = &sequence.history;
    let amount = history[0].amount();
    let run = |label: String, steps| Run { label: format!("{}, {label}", sequence.name), amount, steps };
    let mut runs = vec![run("as listed".into(), as_listed(sequence))];
    runs.push(run("x5 one after another".into(), stepwise(history, history, Pace::FiveAfterAnother)));
    runs.push(run("x5 at once".into(), stepwise(history, history, Pace::FiveAtOnce)));
    if history.len() == 1 {
        // There is one order only, and the gateway is at its end from the first.
        return runs;
    }
    let orders = permutations(history);
    assert!(orders.len() <= MOST_ORDERS, "{} has too many orders", sequence.name);
    for order in &orders {
        let names = names(order);
        runs.push(run(format!("{names:?}, awaited"), stepwise(history, order, Pace::Once)));
        runs.push(run(format!("{names:?}, GET at its end"), at_the_end(history, order, Pace::Once)));
        runs.push(run(format!("{names:?}, in a hurry"), in_a_hurry(history, order)));
    }
    runs.push(run("all x5 one after another".into(), at_the_end(history, history, Pace::FiveAfterAnother)));
    runs.push(run("all x5 at once".into(), at_the_end(history, history, Pace::FiveAtOnce)));
    runs
}

/// Does one step's deliveries; gives back the bodies that came.
async fn take(stage: &Stage<'_>, order: &Order, label: &str, step: &Step) -> Vec<Vec<u8>> {
    let mut came = Vec::new();
    for (now, messages) in &step.parts {
        stage.gateway_says(order, &now.signed_for(&order.id)).await;
        let bodies: Vec<(&Message, Vec<u8>)> = messages
            .iter()
            .flat_map(|message| {
                let mut bodies = five_bodies(&message.signed_for(&order.id));
                bodies.truncate(if step.pace == Pace::Once { 1 } else { bodies.len() });
                bodies.into_iter().map(move |body| (message, body))
            })
            .collect();
        let check = |message: &Message, status: u16| {
            assert!(message.http.contains(&status), "{label}: {} is answered with {status}", message.name);
        };
        if step.pace == Pace::FiveAtOnce {
            let all = futures::future::join_all(bodies.iter().map(|(_, body)| stage.deliver(body))).await;
            all.iter().zip(&bodies).for_each(|(status, (message, _))| check(message, *status));
        } else {
            for (message, body) in &bodies {
                check(message, stage.deliver(body).await);
            }
        }
        came.extend(bodies.into_iter().map(|(_, body)| body));
    }
    came
}

/// What is wrong with an order after a step.
async fn wrong(stage: &Stage<'_>, run: &Run, order: &Order, number: usize, came: &[Vec<u8>]) -> Vec<String> {
    let step = &run.steps[number];
    let became = stage.became(order).await;
    let mut wrong = Vec::new();
    if !step.expect.contains(&became) {
        wrong.push(format!("{}, step {number}: {became:?} instead of {:?}", run.label, step.expect));
    }
    let shown = stage.shown(order).await;
    if !step.expect.iter().any(|implied| shown_as(&implied.state) == shown) {
        wrong.push(format!("{}, step {number}: shown as {shown} instead of {:?}", run.label, step.expect));
    }
    let different = came.iter().collect::<std::collections::BTreeSet<_>>().len();
    let (kept, recorded) = (stage.kept(came).await, stage.recorded(order, came).await);
    if (kept, recorded) != (different, different) {
        wrong.push(format!("{}: of {different} bodies {kept} are kept and {recorded} recorded", run.label));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wallet_and_the_payment_are_what_the_gateways_last_status_implies_in_every_order_and_number() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let stage = &Stage::new(&world).await;
    let runs: Vec<Run> = Samples::read().sequences.iter().flat_map(runs_of).collect();
    let orders: Vec<Order> = stream::iter(&runs).map(|run| stage.order(run.amount)).buffered(AT_ONCE).collect().await;
    let mut came: Vec<Vec<Vec<u8>>> = vec![Vec::new(); runs.len()];
    let most = runs.iter().map(|run| run.steps.len()).max().unwrap_or_default();
    let mut faults = Vec::new();
    for number in 0..most {
        let due: Vec<usize> = (0..runs.len()).filter(|place| runs[*place].steps.len() > number).collect();
        let taken: Vec<(usize, Vec<Vec<u8>>)> = stream::iter(&due)
            .map(async |place| {
                let run = &runs[*place];
                (*place, take(stage, &orders[*place], &run.label, &run.steps[number]).await)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (place, bodies) in taken {
            came[place].extend(bodies);
        }
        stage.settle().await;
        for place in due {
            faults.extend(wrong(stage, &runs[place], &orders[place], number, &came[place]).await);
        }
    }
    assert!(faults.is_empty(), "{} faults in {} orders:\n{}", faults.len(), runs.len(), faults.join("\n"));
    let ends = runs.iter().filter_map(|run| run.steps.last()?.expect.first());
    let total: i64 = ends.map(|implied| implied.net).sum();
    assert_eq!(stage.customer.balance().await, total, "the wallet is the sum of all orders");
    println!("{} orders, {total} rupiah", runs.len());
}

#[test]
fn the_bodies_of_one_fact_say_the_same() {
    let samples = Samples::read();
    for message in &samples.good {
        assert!(message.signature_valid && message.is_signed(), "{} is signed", message.name);
        let bodies = five_bodies(&message.payload);
        let different: std::collections::BTreeSet<_> = bodies.iter().collect();
        assert_eq!(different.len(), 4, "four bodies differ and the first comes twice");
        for body in &bodies {
            let mut read: Value = serde_json::from_slice(body).expect("a body is JSON");
            read.as_object_mut().and_then(|members| members.remove("some_new_member"));
            assert_eq!(read, message.payload);
        }
    }
}
