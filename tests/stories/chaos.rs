//! Chaos: thousands of random commands while everything is killed or frozen; log, stream, folds and read models agree.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use minispod_e2e::{Door, World, WorldOptions};
use minispod_testkit::{IdSource, SystemClock, SystemIds, is_long_run, require, wait_until};
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

const CUSTOMERS: u64 = 24;
/// In CI; the long run has ten times as many.
const TOPUPS_EACH: u64 = 12;
/// Patience of one client for one command while everything is being killed.
const COMMAND_LIMIT: Duration = Duration::from_mins(1);
const SETTLE: Duration = Duration::from_secs(150);

/// Who is killed, and the relay that is frozen instead.
const VICTIMS: [&str; 7] = ["api", "relay", "relay-2", "projector", "billing", "nats", "zombie"];

/// Repeatable numbers (splitmix64), so that a printed seed replays the same work and the same kills.
#[derive(Clone)]
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[expect(clippy::disallowed_methods, reason = "a seed may be given to replay a run")]
fn seed() -> u64 {
    std::env::var("MINISPOD_CHAOS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        let mut bytes = [0; 8];
        SystemIds::new(Arc::new(SystemClock)).random(&mut bytes);
        u64::from_le_bytes(bytes)
    })
}

/// Asks until the api gives a final answer; a cut connection or 5xx is asked again under the same key.
async fn insist(
    door: &Door,
    method: Method,
    path: &str,
    body: &serde_json::Value,
    key: Option<&str>,
) -> Option<serde_json::Value> {
    let end = Instant::now() + COMMAND_LIMIT;
    let headers: Vec<(&str, &str)> = key.map(|key| ("Idempotency-Key", key)).into_iter().collect();
    while Instant::now() < end {
        let sent = door.try_send(method.clone(), path, Some(body.to_string().into_bytes()), &headers).await;
        match sent {
            Ok(answer) if (200..300).contains(&answer.status) => return Some(answer.body["data"].clone()),
            Ok(answer) if answer.status < 500 && answer.status != 429 => {
                panic!("{path} was refused with {}: {}", answer.status, answer.body)
            }
            _ => tokio::time::sleep(Duration::from_millis(60)).await,
        }
    }
    None
}

/// What one customer was promised.
#[derive(Default)]
struct Promised {
    /// Top-ups acknowledged.
    topups: u64,
    /// Rupiah paid at the gateway.
    paid: i64,
}

async fn customer(door: Door, gateway: String, number: u64, seed: u64, commands: Arc<AtomicU64>) -> Promised {
    let mut draw = Draw(seed ^ (number << 24));
    let pay = Door::new(&gateway);
    let mut promised = Promised::default();
    for turn in 0..TOPUPS_EACH * if is_long_run() { 10 } else { 1 } {
        let amount = 10_000 + draw.below(90) as i64 * 1_000;
        let key = format!("chaos-{number}-{turn}");
        let body = json!({"amount": amount, "currency": "IDR"});
        let Some(topup) = insist(&door, Method::POST, "/billing/topup", &body, Some(&key)).await else {
            panic!("a top-up got no answer within {COMMAND_LIMIT:?}");
        };
        promised.topups += 1;
        commands.fetch_add(1, Ordering::Relaxed);
        if draw.below(10) < 8 {
            let order = topup["orderId"].as_str().expect("a top-up has an order id").to_owned();
            assert!(pay_at(&pay, &order).await, "the stand-in takes the payment of {order}");
            promised.paid += amount;
        }
    }
    promised
}

async fn pay_at(gateway: &Door, order: &str) -> bool {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client can be made");
    let url = format!("{}/standin/orders/{order}/pay", gateway.base());
    client
        .post(url)
        .json(&json!({"payment_type": "qris"}))
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
}

/// Kills, freezes and starts again until told to stop; counts what it did.
async fn havoc(world: &mut World, draw: &mut Draw, over: &AtomicBool) -> BTreeMap<&'static str, u32> {
    let mut done: BTreeMap<&'static str, u32> = BTreeMap::new();
    // Like a deck of cards: random, and yet nobody is left out, however short the run.
    let mut deck: Vec<&'static str> = Vec::new();
    while !over.load(Ordering::Relaxed) || done.len() < VICTIMS.len() {
        tokio::time::sleep(Duration::from_millis(100 + draw.below(500))).await;
        if deck.is_empty() {
            deck = VICTIMS.to_vec();
        }
        let what = deck.swap_remove(draw.below(deck.len() as u64) as usize);
        *done.entry(what).or_default() += 1;
        match what {
            "nats" => {
                world.nats.kill().await;
                tokio::time::sleep(Duration::from_millis(draw.below(400))).await;
                world.nats.restart().await;
            }
            // A relay that stops in the middle of whatever it does and wakes when others have gone on.
            "zombie" => {
                world.role("relay-2").freeze();
                tokio::time::sleep(Duration::from_millis(300 + draw.below(2_000))).await;
                world.role("relay-2").thaw();
            }
            label => {
                world.role(label).kill();
                tokio::time::sleep(Duration::from_millis(draw.below(300))).await;
                world.start_role(label.trim_end_matches("-2"), label);
            }
        }
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_reordered_whatever_is_killed() {
    if !require("pg") || !require("nats") {
        return;
    }
    let seed = seed();
    println!("chaos seed {seed} (MINISPOD_CHAOS_SEED={seed} replays it)");
    let roles = vec!["relay", "projector", "billing", "api"];
    let mut world = World::start(WorldOptions { roles, ..WorldOptions::default() }).await;
    world.start_role("relay", "relay-2");
    let sql = world.sql().await;
    let mut doors = Vec::new();
    for number in 0..CUSTOMERS {
        let (door, user) = world.door().register(&format!("Chaos {number}")).await;
        doors.push((door, user["id"].as_str().expect("a user has an id").to_owned()));
    }
    let (over, commands) = (AtomicBool::new(false), Arc::new(AtomicU64::new(0)));
    let gateway = world.midtrans.url.clone();
    let clients = async {
        let running = doors.iter().enumerate().map(|(number, (door, _))| {
            tokio::spawn(customer(door.clone(), gateway.clone(), number as u64, seed, commands.clone()))
        });
        let all = futures::future::join_all(running).await;
        over.store(true, Ordering::Relaxed);
        all
    };
    let mut draw = Draw(seed);
    let (promised, done) = tokio::join!(clients, havoc(&mut world, &mut draw, &over));
    println!("{} top-ups answered while: {done:?}", commands.load(Ordering::Relaxed));
    assert_eq!(done.len(), VICTIMS.len(), "somebody was spared: {done:?}");
    world.wait_ready().await;
    let promised: Vec<Promised> = promised.into_iter().map(|one| one.expect("a client ends well")).collect();
    // A notification that met a dead api comes again later, or the poll finds the payment: no less may come, nor more.
    let paid: i64 = promised.iter().map(|one| one.paid).sum();
    wait_until(SETTLE, || async { credited(&sql).await >= paid }).await;
    world.settle(&sql, SETTLE).await;
    every_promise_is_kept(&world, &sql, &doors, &promised).await;
    everything_agrees(&world, &sql).await;
}

/// All rupiah credited so far.
async fn credited(sql: &PgPool) -> i64 {
    let read = sqlx::query_as(
        "SELECT sum((payload->>'amount')::bigint)::bigint FROM log.events WHERE event_type = 'WalletCredited'",
    );
    let (sum,): (Option<i64>,) = read.fetch_one(sql).await.expect("the log answers");
    sum.unwrap_or_default()
}

/// Each acknowledged top-up is there once; each paid rupiah is in the wallet once, in the log and at the door.
async fn every_promise_is_kept(world: &World, sql: &PgPool, doors: &[(Door, String)], promised: &[Promised]) {
    for ((door, user), promise) in doors.iter().zip(promised) {
        let (topups,): (i64,) = sqlx::query_as(
            "SELECT count(*) FROM log.events WHERE event_type = 'TopUpRequested' AND payload->>'user_id' = $1",
        )
        .bind(user)
        .fetch_one(sql)
        .await
        .expect("the log answers");
        assert_eq!(topups.unsigned_abs(), promise.topups, "top-ups of {user}\n{}", world.last_words());
        let (credited,): (Option<i64>,) = sqlx::query_as(
            "SELECT sum((payload->>'amount')::bigint)::bigint FROM log.events
             WHERE event_type = 'WalletCredited' AND aggregate_id = $1",
        )
        .bind(user)
        .fetch_one(sql)
        .await
        .expect("the log answers");
        assert_eq!(credited.unwrap_or_default(), promise.paid, "credits of {user}");
        assert_eq!(door.balance().await, promise.paid, "the balance that {user} sees");
    }
}

/// log == stream == fold of every aggregate == read models, and the sizes the story claims.
async fn everything_agrees(world: &World, sql: &PgPool) {
    let verified = world.must(&["log", "verify"]);
    println!("{verified}");
    println!("{}", world.must(&["projections", "diff"]));
    let (events, aggregates, commands): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), count(DISTINCT (aggregate_type, aggregate_id)), count(DISTINCT metadata->>'command_key') FROM log.events",
    )
    .fetch_one(sql)
    .await
    .expect("the log answers");
    println!("{events} events of {commands} commands on {aggregates} aggregates");
    assert!(
        commands >= 2_000 && aggregates >= 200,
        "the story is too small: {commands} commands, {aggregates} aggregates"
    );
    let (doubled,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM (SELECT payload->'cause'->>'order_id' FROM log.events WHERE event_type = 'WalletCredited'
         GROUP BY 1 HAVING count(*) > 1) doubled",
    )
    .fetch_one(sql)
    .await
    .expect("the log answers");
    assert_eq!(doubled, 0, "an order was credited twice");
    let (numbers, highest): (i64, Option<i32>) = sqlx::query_as(
        "SELECT count(DISTINCT (payload->>'number')::int), max((payload->>'number')::int) FROM log.events
         WHERE event_type = 'InvoiceNumberAssigned'",
    )
    .fetch_one(sql)
    .await
    .expect("the log answers");
    assert_eq!(numbers, i64::from(highest.unwrap_or_default()), "invoice numbers have a gap");
    let (late,): (i64,) = sqlx::query_as(
        "SELECT count(*) FROM (SELECT l.position, lag(e.sequence) OVER history AS before, e.sequence
           FROM log.event_log l JOIN log.events e USING (ins_seq)
           WINDOW history AS (PARTITION BY e.aggregate_type, e.aggregate_id ORDER BY l.position)) ordered
         WHERE sequence <> coalesce(before, 0) + 1",
    )
    .fetch_one(sql)
    .await
    .expect("the log answers");
    assert_eq!(late, 0, "an aggregate's events are out of order");
}
