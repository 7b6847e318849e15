//! Moving house: a dump of a quiet log, restored into a new Postgres cluster, goes on under the same stream.

use std::{path::Path, process::Command, time::Duration};

use minispod_e2e::{World, WorldOptions};
use minispod_testkit::{OwnPg, require};
use serde_json::json;

const SETTLE: Duration = Duration::from_mins(1);

/// Runs one of Postgres' own programs to its end.
#[track_caller]
fn postgres_program(programs: &Path, name: &str, arguments: &[&str]) {
    let output = Command::new(programs.join(name)).args(arguments).output().expect("the program can be started");
    assert!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_a_quiet_log_restored_into_a_new_cluster_goes_on() {
    if !require("pg") || !require("nats") {
        return;
    }
    let mut world = World::start(WorldOptions::default()).await;
    let (customer, _) = world.door().register("Ani Moves").await;
    customer.post("/billing/topup", json!({"amount": 50_000, "currency": "IDR"})).await.data();
    world.settle(&world.sql().await, SETTLE).await;
    let labels: Vec<String> = world.roles.keys().cloned().collect();
    for label in &labels {
        assert!(world.role(label).end(), "{label} ends in good order\n{}", world.last_words());
    }
    world.roles.clear();
    let dump = world.directory().join("log.sql").display().to_string();
    let (old, new) = (world.pg.url("postgres"), OwnPg::start().await);
    postgres_program(world.pg.server().programs(), "pg_dump", &["--dbname", &old, "--file", &dump]);
    // A role belongs to the cluster, not to the database, so the dump only names it.
    let role = ["--dbname", &new.url("postgres"), "--quiet", "-c", "CREATE ROLE minispod_app NOLOGIN"];
    postgres_program(new.server().programs(), "psql", &role);
    let restore = ["--dbname", &new.url("postgres"), "--quiet", "-v", "ON_ERROR_STOP=1", "--file", &dump];
    postgres_program(new.server().programs(), "psql", &restore);
    world.move_to(new);
    for label in &labels {
        world.start_role(label, label);
    }
    world.wait_ready().await;
    let again = customer.post("/billing/topup", json!({"amount": 60_000, "currency": "IDR"})).await;
    assert_eq!(again.status, 201, "a customer of before goes on: {}", again.body);
    world.door().register("Budi Arrives").await;
    world.settle(&world.sql().await, SETTLE).await;
    let verified = world.must(&["log", "verify"]);
    assert!(verified.contains("the same events and the same chain in both"), "{verified}");
}
