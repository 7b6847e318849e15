//! Chaos: thousands of random commands while everything is killed or frozen; log, stream, folds and read models agree.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use minispod_e2e::{Door, World, WorldOptions};
use minispod_testkit::{is_long_run, require, wait_until};

pub mod checks;
mod clients;
pub mod draw;
mod havoc;

use checks::sum;
use clients::{Kind, Market, Served, Tally, WANTED};
use draw::Draw;
use havoc::{Done, VICTIMS};

const CUSTOMERS: u64 = 48;
/// Commands that each of a customer's two clients must have accepted, notifications of its payments not counted; the
/// long run has ten times as many.
const COMMANDS_EACH: u64 = 19;
/// The story claims at least this many accepted commands of clients, over this many aggregates.
const COMMANDS_MIN: u64 = 2_000;
const EACH_KIND_MIN: u64 = 10;
/// Repeats on purpose: notifications delivered again, commands sent twice at once.
const DOUBLED_MIN: u64 = 100;
/// A state is saved every third event, so that most aggregates have one to be compared.
const STATE_EVERY: u32 = 3;
const SETTLE: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_reordered_whatever_is_killed() {
    if !require("pg") || !require("nats") {
        return;
    }
    let seed = draw::seed();
    println!("chaos seed {seed} (MINISPOD_CHAOS_SEED={seed} replays it)");
    let options = WorldOptions { state_every: Some(STATE_EVERY), ..WorldOptions::default() };
    let mut world = World::start(options).await;
    world.start_role("relay", "relay-2");
    let sql = world.sql().await;
    let tally = Arc::new(Tally::default());
    let market = Arc::new(Market {
        door: world.door(),
        gateway: world.midtrans.url.clone(),
        plans: plans(&world.door()).await,
        tally: tally.clone(),
        seed,
        commands_each: COMMANDS_EACH * if is_long_run() { 10 } else { 1 },
    });
    let (over, started) = (AtomicBool::new(false), Instant::now());
    let clients = async {
        let running = (0..CUSTOMERS).map(|number| tokio::spawn(clients::customer(market.clone(), number)));
        let all = futures::future::join_all(running).await;
        over.store(true, Ordering::SeqCst);
        all
    };
    let mut draw = Draw::new(seed, 0);
    let (served, done) = tokio::join!(clients, havoc::havoc(&mut world, &mut draw, &tally, &over));
    println!("clients were done after {} s", started.elapsed().as_secs());
    let served: Vec<Served> = served.into_iter().map(|one| one.expect("a client ends well")).collect();
    the_story_was_large_enough(&tally, &done);
    world.wait_ready().await;
    // A notification that met a dead api comes again later, or the poll finds the payment: no less may come, nor more.
    let paid: i64 = served.iter().map(|(_, promised)| promised.credit()).sum();
    wait_until(SETTLE, || async { sum(&sql, "WalletCredited", None).await >= paid }).await;
    world.settle(&sql, SETTLE).await;
    println!("settled after {} s", started.elapsed().as_secs());
    checks::every_promise_is_kept(&world, &sql, &served).await;
    checks::every_command_took_effect_once(&sql, &served).await;
    checks::nothing_is_sold_twice(&sql).await;
    checks::every_mail_arrived(&world, &sql, CUSTOMERS).await;
    checks::everything_agrees(&world, &sql).await;
    println!("agreed after {} s", started.elapsed().as_secs());
    let ended = havoc::ended(&mut world);
    assert!(ended.is_empty(), "roles ended by themselves: {}", ended.join("\n"));
}

/// The plans that are wanted, by `offering/variant`, as soon as the catalogue shows them.
async fn plans(door: &Door) -> BTreeMap<String, String> {
    let all_there = |plans: &BTreeMap<_, _>| WANTED.iter().all(|(name, _)| plans.contains_key(*name));
    wait_until(SETTLE, || async { all_there(&listed(door).await) }).await;
    listed(door).await
}

async fn listed(door: &Door) -> BTreeMap<String, String> {
    let answer = door.get("/services/grouped?limit=100").await;
    let mut plans = BTreeMap::new();
    for service in answer.data()["services"].as_array().into_iter().flatten() {
        for variant in service["variants"].as_array().into_iter().flatten() {
            let [name, slug, id] = [&service["name"], &variant["variant"], &variant["id"]]
                .map(|field| field.as_str().unwrap_or_default().to_owned());
            plans.insert(format!("{name}/{slug}"), id);
        }
    }
    plans
}

/// Enough commands of every kind, refusals of every kind, and everybody killed while commands were in flight.
fn the_story_was_large_enough(tally: &Tally, done: &Done) {
    let (accepted, kinds, refused) = (tally.accepted.load(Ordering::SeqCst), tally.by_kind(), tally.refused());
    println!("{accepted} commands accepted: {kinds:?}, {} sent again", tally.again.load(Ordering::SeqCst));
    let doubled = tally.doubled.load(Ordering::SeqCst);
    println!("{doubled} more acceptances of what was sent more than once on purpose");
    println!("refused: {refused:?}");
    println!("killed: {:?}; frozen, with kills and accepted commands meanwhile: {:?}", done.kills, done.freezes);
    assert!(accepted >= COMMANDS_MIN, "only {accepted} commands were accepted");
    assert!(doubled >= DOUBLED_MIN, "only {doubled} repeats were accepted");
    for kind in Kind::ALL {
        assert!(kinds.get(&kind).is_some_and(|count| *count >= EACH_KIND_MIN), "too few of {kind:?}: {kinds:?}");
    }
    for reason in ["Insufficient balance", "Already subscribed", "Service quota exhausted", "subdomain is taken"] {
        let met = refused.keys().any(|(kind, why)| *kind == Kind::Subscribe && why.contains(reason));
        assert!(met, "nobody was told {reason:?}: {refused:?}");
    }
    for victim in VICTIMS {
        assert!(done.kills.contains_key(victim), "{victim} was spared while clients were at work: {:?}", done.kills);
    }
    assert!(!done.freezes.is_empty(), "no relay was frozen while others were killed");
    assert!(done.ended.is_empty(), "roles ended by themselves: {}", done.ended.join("\n"));
}
