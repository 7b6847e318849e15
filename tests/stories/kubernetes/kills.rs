//! Two provisioners on a real API server, killed at fifty random points and frozen beyond their leases, while services are
//! bought, restarted, wiped, stopped, started, moved to other plans, deleted and cancelled: afterwards everything is as its
//! facts say, nothing is double, nothing is left, no data is lost, and the books are right.

pub mod estate;
mod havoc;
mod operator;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kube::Client;
use minispod_e2e::{Door, World, WorldOptions};
use minispod_testkit::{eventually, kubernetes::ControlPlane, kubernetes::MISSING_IMAGE, require};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::chaos::{
    checks,
    draw::{self, Draw},
};
use estate::{Holding, facts, holdings, take_notes};
use havoc::{FREEZES, PROVISIONERS, People};
use operator::{ASKED, Offered, Operator};

/// Kills that must have met a process in the middle of its work, at least.
const AT_WORK: u32 = 6;
const READY: Duration = Duration::from_mins(5);
const CUSTOMERS: [&str; 3] = ["Ani Kills", "Budi Kills", "Citra Kills"];
/// With one program, with none but a volume, with a database beside it.
const OFFERINGS: [&str; 3] = ["n8n", "redis", "wordpress"];
/// One whose image there is not: it fails, is paid back, and its volume goes.
const BROKEN: &str = "vaultwarden";
const FUNDS: i64 = 2_000_000;

/// The plans of an offering, the cheapest first.
async fn plans(world: &World, offering: &str) -> Vec<String> {
    let found = world.door().get(&format!("/services/grouped?search={offering}")).await;
    let services = found.data()["services"].as_array().cloned().unwrap_or_default();
    let service = services.iter().find(|service| service["name"] == offering).expect("the offering is sold");
    let price = |plan: &Value| plan["monthlyPrice"].as_str().and_then(|price| price.parse::<i64>().ok());
    let mut plans: Vec<&Value> = service["variants"].as_array().into_iter().flatten().collect();
    plans.sort_by_key(|plan| price(plan));
    plans.iter().filter_map(|plan| plan["id"].as_str().map(str::to_owned)).collect()
}

/// A plan whose image cannot be fetched.
async fn broken_plan(admin: &Door) -> String {
    let form = json!({
        "name": BROKEN, "variant": "broken", "variantDisplayName": "Broken", "displayName": "Vaultwarden - Broken",
        "description": "Its image is nowhere", "version": "1", "isActive": true,
        "cpuRequest": "0.05", "cpuLimit": "0.25", "memRequest": "64Mi", "memLimit": "256Mi", "monthlyPrice": 10_000,
        "dockerImage": format!("{MISSING_IMAGE}vaultwarden:1"), "containerPort": 8080, "category": "security",
        "tags": [], "icon": "", "features": [], "sortOrder": 9, "isDefaultVariant": false, "availableQuota": 50,
        "volumeSize": "100Mi", "volumeMountPath": "/data", "volumeName": "",
        "storageClass": minispod_testkit::kubernetes::STORAGE_CLASS, "accessMode": "ReadWriteOnce", "environmentVars": {},
    });
    admin.post("/services", form).await.data()["id"].as_str().expect("a plan has an id").to_owned()
}

/// Someone whom nobody troubles: what an instance of each offering has while it runs.
pub async fn steady(
    world: &World,
    client: &Client,
    sql: &PgPool,
    offerings: &[&str],
) -> (BTreeSet<String>, BTreeMap<String, Holding>) {
    let (door, user) = world.door().register("Dewi Steady").await;
    world.fund(&door, FUNDS).await;
    for offering in offerings {
        let (plan, _) = world.plan(offering).await;
        world.subscribe(&door, &plan).await;
    }
    world.settle(sql, READY).await;
    let customers = BTreeSet::from([user["id"].as_str().expect("an id").to_owned()]);
    (customers.clone(), by_offering(client, sql, &customers).await)
}

/// What these customers have, one of each offering.
pub async fn by_offering(client: &Client, sql: &PgPool, customers: &BTreeSet<String>) -> BTreeMap<String, Holding> {
    let mut held = holdings(client, customers).await;
    let known = facts(sql, customers).await;
    let of = |fact: estate::Fact| Some((fact.offering, held.remove(&fact.id)?));
    known.into_iter().filter_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reviewer_09_two_provisioners_killed_at_fifty_random_points_and_frozen_converge() {
    if !require("pg") || !require("nats") || !require("k8s") {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let seed = draw::seed();
    println!("MINISPOD_CHAOS_SEED={seed}");
    let cluster = ControlPlane::shared().await;
    let client = cluster.client().await;
    let kubeconfig = Some(cluster.kubeconfig().to_path_buf());
    let mut world = World::start(WorldOptions { kubeconfig, ..WorldOptions::default() }).await;
    world.start_role("provisioner", PROVISIONERS[1]);
    let sql = world.sql().await;
    let admin = world.administrator("siti.kills@example.com").await;
    let (undisturbed, usual) = steady(&world, &client, &sql, &OFFERINGS).await;
    let mut people = People { admin: admin.clone(), owners: BTreeMap::new() };
    for name in CUSTOMERS {
        let (door, user) = world.door().register(name).await;
        world.fund(&door, FUNDS).await;
        people.owners.insert(user["id"].as_str().expect("an id").to_owned(), door);
    }
    let customers: BTreeSet<String> = people.owners.keys().cloned().collect();
    let doors: Vec<Door> = people.owners.values().cloned().collect();
    let mut offered = vec![Offered { plans: vec![broken_plan(&admin).await] }];
    for offering in OFFERINGS {
        offered.push(Offered { plans: plans(&world, offering).await });
    }

    let over = Arc::new(AtomicBool::new(false));
    let operator = Operator::new(admin, doors.clone(), offered);
    let operator = tokio::spawn(operator.ask_on(Draw::new(seed, 1), over.clone()));
    let notes_over = Arc::new(AtomicBool::new(false));
    let notes = tokio::spawn(take_notes(client.clone(), customers.clone(), notes_over.clone()));
    let done = havoc::havoc(&mut world, &sql, &people, Draw::new(seed, 2)).await;
    over.store(true, Ordering::SeqCst);
    let operator = operator.await.expect("every request is answered");
    println!("{done:?}; taken: {:?}", operator.taken);
    assert!(done.at_work >= AT_WORK, "the kills found them idle");
    assert_eq!(done.freezes.len(), FREEZES.len(), "no start was caught when one should have been frozen");
    for (ask, _) in ASKED {
        assert!(operator.taken.get(&ask).is_some_and(|times| *times > 0), "{ask:?} was never taken");
    }

    rest(&world, &sql, &customers).await;
    assert!(facts(&sql, &customers).await.iter().any(|fact| fact.volume == "Deleted"), "no volume was to go");
    notes_over.store(true, Ordering::SeqCst);
    let notes = notes.await.expect("volumes and secrets were noted");
    let known = facts(&sql, &customers).await;
    estate::as_told(&known, &holdings(&client, &customers).await, &usual, &notes);
    assert_eq!(by_offering(&client, &sql, &undisturbed).await, usual, "who asked for nothing was troubled");
    books_are_right(&world, &sql, &doors, &customers).await;

    operator.end().await;
    rest(&world, &sql, &customers).await;
    let known = facts(&sql, &customers).await;
    assert!(known.iter().all(|fact| fact.status == "DELETED"), "{known:?}");
    estate::as_told(&known, &holdings(&client, &customers).await, &usual, &notes);
    books_are_right(&world, &sql, &doors, &customers).await;
}

/// Until nothing is on its way any more.
async fn rest(world: &World, sql: &PgPool, customers: &BTreeSet<String>) {
    let rests = |status: &str| ["RUNNING", "STOPPED", "DELETED"].contains(&status);
    let settled = eventually(READY, || async {
        world.settle(sql, READY).await;
        facts(sql, customers).await.iter().all(|fact| rests(&fact.status))
    });
    assert!(settled.await, "{:?}\n{}", facts(sql, customers).await, world.last_words());
}

/// The log, the money and the counted slots agree with one another.
async fn books_are_right(world: &World, sql: &PgPool, doors: &[Door], customers: &BTreeSet<String>) {
    world.must(&["log", "verify"]);
    world.must(&["ledger", "verify"]);
    world.must(&["projections", "diff"]);
    let mut paid = 0;
    for door in doors {
        paid += FUNDS - door.balance().await;
    }
    // What is kept of every customer's money is what charged periods and changes of plan cost, less what was paid back.
    let customers: Vec<&str> = customers.iter().map(String::as_str).collect();
    let (spent,): (i64,) = sqlx::query_as(
        "SELECT coalesce(sum(CASE event_type WHEN 'WalletDebited' THEN (payload->>'amount')::bigint
                                             ELSE -(payload->>'amount')::bigint END), 0)::bigint
         FROM log.events WHERE event_type IN ('WalletDebited', 'WalletRefunded') AND aggregate_id = ANY($1)",
    )
    .bind(&customers)
    .fetch_one(sql)
    .await
    .expect("the log answers");
    assert_eq!(paid, spent, "the wallets hold what the log says");
    let failed: Vec<(String,)> = sqlx::query_as(
        "SELECT s.id FROM read.subscriptions s JOIN read.instances i ON i.id = s.instance_id
         WHERE s.user_id = ANY($1) AND s.status = 'ACTIVE' AND i.status = 'DELETED' AND i.volume_status = 'Deleted'",
    )
    .bind(&customers)
    .fetch_all(sql)
    .await
    .expect("the read model answers");
    assert!(failed.is_empty(), "paid for, and its data is gone: {failed:?}");
    checks::no_place_is_lost_or_oversold(sql).await;
    checks::nothing_is_booked_twice(sql).await;
    what_failed_is_paid_back(sql).await;
}

/// Whoever's service could not be started has all that it cost, and whoever's ended keeps no place of any plan.
async fn what_failed_is_paid_back(sql: &PgPool) {
    let failures: i64 =
        sqlx::query_scalar("SELECT count(*) FROM log.events WHERE event_type = 'SubscriptionProvisioningFailed'")
            .fetch_one(sql)
            .await
            .expect("the log answers");
    assert!(failures > 0, "what cannot be started was never bought");
    let unpaid = "SELECT failed.aggregate_id, sum(CASE money.event_type WHEN 'WalletDebited'
            THEN (money.payload->>'amount')::bigint ELSE -(money.payload->>'amount')::bigint END) AS kept
        FROM log.events failed JOIN log.events money ON money.event_type IN ('WalletDebited', 'WalletRefunded')
          AND money.payload->'cause'->>'subscription_id' = failed.aggregate_id
        WHERE failed.event_type = 'SubscriptionProvisioningFailed' GROUP BY failed.aggregate_id
        HAVING sum(CASE money.event_type WHEN 'WalletDebited' THEN (money.payload->>'amount')::bigint
            ELSE -(money.payload->>'amount')::bigint END) <> 0";
    checks::nobody(sql, unpaid, "a service failed and was not paid back whole").await;
    let kept = "SELECT slot.aggregate_id, slot.payload->>'subscription_id' AS subscription FROM log.events slot
        WHERE slot.event_type IN ('PlanSlotAllocated', 'PlanSlotReleased')
          AND EXISTS (SELECT FROM log.events e WHERE e.aggregate_id = slot.payload->>'subscription_id'
            AND e.event_type IN ('SubscriptionCancelled', 'SubscriptionProvisioningFailed'))
        GROUP BY slot.aggregate_id, slot.payload->>'subscription_id'
        HAVING sum(CASE slot.event_type WHEN 'PlanSlotAllocated' THEN 1 ELSE -1 END) <> 0";
    checks::nobody(sql, kept, "what ended keeps a place of a plan").await;
}
