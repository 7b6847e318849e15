//! A cluster that goes away in the middle of what is asked of it: nothing is lost or doubled, nobody is told that a service
//! failed or fell ill, and everything goes on when it is back.

use std::{collections::BTreeSet, time::Duration};

use minispod_e2e::{Door, World, WorldOptions};
use minispod_testkit::{eventually, kubernetes::ControlPlane, require, wait_until};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::kills::{
    by_offering,
    estate::{Fact, Notes, as_told, facts, holdings},
    steady,
};
use crate::chaos::draw::{self, Draw};

const READY: Duration = Duration::from_mins(5);
/// The API server goes at most so long after a request, in milliseconds: before it is taken up, in the middle, after it.
const LATER: u64 = 1_500;
/// What is ordered just before it goes, one in each round.
const ORDERED: [&str; 3] = ["wordpress", "redis", "ghost"];
/// What runs before.
const RUNS: &str = "n8n";
/// What the watch over the instances' health says each half minute while it sees nothing. After so many of them all
/// instances have been out of sight for longer than the two minutes that an illness takes to be told.
const BLIND: &str = "the instances cannot be looked at";
const BLIND_LOOKS: usize = 6;

/// Effects that were tried and met nobody.
async fn tried_in_vain(sql: &PgPool) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM ops.effects WHERE reactor = 'provisioner' AND state = 'intended' AND attempts > 0
         AND last_error LIKE '%could not be reached%'",
    )
    .fetch_one(sql)
    .await
    .expect("the ledger answers")
}

/// Facts that an outage alone would be no reason for.
async fn blamed(sql: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT event_type || ' ' || aggregate_id FROM log.events WHERE event_type IN ('InstanceFailed',
         'InstanceUnhealthy', 'InstanceDriftDetected', 'SubscriptionProvisioningFailed', 'InstanceRemovalHindered',
         'InstanceStartHindered')",
    )
    .fetch_all(sql)
    .await
    .expect("the log answers")
}

/// Orders a service and does not wait.
async fn order(world: &World, door: &Door, offering: &str) -> String {
    let (plan, _) = world.plan(offering).await;
    let answer = door.post("/subscriptions", json!({ "serviceId": plan })).await;
    answer.data()["id"].as_str().expect("a subscription has an id").to_owned()
}

/// Asks for something of each service, and gives the new order.
async fn ask(world: &World, admin: &Door, door: &Door, running: &str, offering: &str) -> String {
    let restart = door.send(Method::POST, &format!("/subscriptions/{running}/restart-pod"), Some(json!({}))).await;
    assert!(restart.status < 300, "{:#}", restart.body);
    let ordered = order(world, door, offering).await;
    let seen = admin.get("/admin/workers").await;
    assert_eq!(seen.status, 200, "{:#}", seen.body);
    ordered
}

/// While the cluster is away: who asks for the cluster itself is told, and what is known without it is shown.
async fn shown_while_away(admin: &Door, door: &Door, subscriptions: [&str; 2]) {
    let away = admin.get("/admin/workers").await;
    assert_eq!(away.status, 503, "{:#}", away.body);
    let pods = admin.get("/admin/pods").await;
    assert_eq!(pods.status, 200, "{:#}", pods.body);
    for id in subscriptions {
        let shown = door.get(&format!("/subscriptions/{id}")).await;
        assert_eq!(shown.status, 200, "{:#}", shown.body);
    }
}

fn blind_looks(world: &World) -> usize {
    world.roles["provisioner"].count_lines(BLIND)
}

/// What was ordered comes up, what was to stop has stopped, and starts again.
async fn goes_on(admin: &Door, door: &Door, running: &str, ordered: &str) {
    let path = format!("/subscriptions/{ordered}");
    wait_until(READY, || async { door.get(&path).await.data()["status"] == "ACTIVE" }).await;
    let instance = |data: &Value| data["serviceInstance"]["status"].clone();
    let of_running = format!("/subscriptions/{running}");
    wait_until(READY, || async { instance(door.get(&of_running).await.data()) == "STOPPED" }).await;
    let start = admin.post(&format!("/admin/subscriptions/{running}/start"), json!({})).await;
    assert!(start.status < 300, "{:#}", start.body);
    wait_until(READY, || async { instance(door.get(&of_running).await.data()) == "RUNNING" }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_goes_and_comes_back_delays_and_loses_nothing() {
    if !require("pg") || !require("nats") || !require("k8s") {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let seed = draw::seed();
    println!("MINISPOD_CHAOS_SEED={seed}");
    let mut draw = Draw::new(seed, 3);
    let mut cluster = ControlPlane::start().await;
    let client = cluster.client().await;
    let kubeconfig = Some(cluster.kubeconfig().to_path_buf());
    let world = World::start(WorldOptions { kubeconfig, ..WorldOptions::default() }).await;
    let sql = world.sql().await;
    let admin = world.administrator("siti.outage@example.com").await;
    let offerings: Vec<&str> = [RUNS].into_iter().chain(ORDERED).collect();
    let (undisturbed, usual) = steady(&world, &client, &sql, &offerings).await;
    let (door, user) = world.door().register("Ani Outage").await;
    world.fund(&door, 500_000).await;
    let (plan, _) = world.plan(RUNS).await;
    let running = world.subscribe(&door, &plan).await;
    world.settle(&sql, READY).await;
    let customers = BTreeSet::from([user["id"].as_str().expect("an id").to_owned()]);
    let volumes = holdings(&client, &customers).await;

    for (round, offering) in ORDERED.into_iter().enumerate() {
        let ordered = ask(&world, &admin, &door, &running, offering).await;
        tokio::time::sleep(Duration::from_millis(draw.below(LATER))).await;
        let blind = blind_looks(&world);
        if !cluster.take_away() {
            println!("skipped: the API server is not ours to end");
            return;
        }
        // What is asked for while it is away is taken, too.
        let stop = admin.post(&format!("/admin/subscriptions/{running}/stop"), json!({})).await;
        assert!(stop.status < 300, "{:#}", stop.body);
        wait_until(READY, || async { tried_in_vain(&sql).await > 0 }).await;
        shown_while_away(&admin, &door, [&running, &ordered]).await;
        if round + 1 == ORDERED.len() {
            wait_until(READY, || async { blind_looks(&world) >= blind + BLIND_LOOKS }).await;
            shown_while_away(&admin, &door, [&running, &ordered]).await;
        }
        assert_eq!(blamed(&sql).await, Vec::<String>::new(), "round {round}");
        cluster.bring_back().await;
        goes_on(&admin, &door, &running, &ordered).await;
    }

    world.settle(&sql, READY).await;
    assert_eq!(blamed(&sql).await, Vec::<String>::new());
    let known: Vec<Fact> = facts(&sql, &customers).await;
    let runs = |fact: &Fact| fact.status == "RUNNING";
    assert!(known.len() == 4 && known.iter().all(runs), "{known:?}");
    let settled = eventually(READY, || async {
        let held = holdings(&client, &customers).await;
        known.iter().all(|fact| held.get(&fact.id).is_some_and(|has| has.pods == has.versions.len()))
    });
    assert!(settled.await, "{:?}", holdings(&client, &customers).await);
    let held = holdings(&client, &customers).await;
    assert_eq!(held.len(), known.len(), "an instance for each fact, and no other");
    as_told(&facts(&sql, &customers).await, &held, &usual, &Notes::default());
    assert_eq!(by_offering(&client, &sql, &undisturbed).await, usual, "who asked for nothing was troubled");
    for (id, before) in &volumes {
        let (was, is) = (&before.objects["PersistentVolumeClaim"], &held[id].objects["PersistentVolumeClaim"]);
        assert_eq!(was, is, "the data is the same");
    }
    world.must(&["log", "verify"]);
    world.must(&["ledger", "verify"]);
    world.must(&["projections", "diff"]);
}
