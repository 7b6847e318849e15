//! The test servers themselves: fresh databases, separate accounts, and servers that survive being damaged.

use std::{process::Command, time::Duration};

use async_nats::jetstream::{self, stream};
use minispod_testkit::{OwnNats, OwnPg, TestDb, TestNats, require, wait_until};
use sqlx::{Connection, PgConnection, Row};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn each_database_is_empty_and_gone_after_its_test() {
    if !require("pg") {
        return;
    }
    let first = TestDb::create().await;
    let second = TestDb::create().await;
    assert_ne!(first.name(), second.name());
    let pool = first.pool().await;
    sqlx::raw_sql("CREATE TABLE t (n int)").execute(&pool).await.expect("the database can be written");
    let copy = {
        pool.close().await;
        TestDb::copy_of(&first).await
    };
    let rows = sqlx::query("SELECT count(*) FROM t").fetch_one(&copy.pool().await).await.expect("the copy has it");
    assert_eq!(rows.get::<i64, _>(0), 0);
    let name = first.name().to_owned();
    drop(first);
    let pool = second.pool().await;
    let left = sqlx::query("SELECT count(*) FROM pg_database WHERE datname = $1").bind(name).fetch_one(&pool).await;
    assert_eq!(left.expect("the catalogue can be read").get::<i64, _>(0), 0);
}

#[tokio::test]
async fn accounts_do_not_see_each_other_and_keep_the_committed_permissions() {
    if !require("nats") {
        return;
    }
    let (one, other) = (TestNats::account().await, TestNats::account().await);
    assert_ne!(one.account, other.account);
    let config = || stream::Config { name: "MINISPOD_EVT".into(), subjects: vec!["a.>".into()], ..Default::default() };
    jetstream::new(one.connect("admin").await).create_stream(config()).await.expect("admin may create streams");
    let refused = jetstream::new(other.connect("admin").await).get_stream("MINISPOD_EVT").await;
    assert!(refused.is_err(), "the other account has no such stream");
    let mut heard = one.connect("admin").await.subscribe("minispod.evt.>").await.expect("admin may listen");
    let api = one.connect("api").await;
    api.publish("minispod.evt.x.y.z.forbidden", "no".into()).await.expect("it is sent");
    let relay = one.connect("relay").await;
    api.flush().await.expect("the server has it");
    relay.publish("minispod.evt.x.y.z.allowed", "yes".into()).await.expect("it is sent");
    let first = futures::StreamExt::next(&mut heard).await.expect("the relay's message arrives");
    assert_eq!(first.subject.as_str(), "minispod.evt.x.y.z.allowed");
}

#[tokio::test]
async fn an_owned_postgres_keeps_its_commits_through_a_crash() {
    if !require("pg") {
        return;
    }
    let mut own = OwnPg::start().await;
    let mut connection = PgConnection::connect(&own.url("postgres")).await.expect("it answers");
    sqlx::raw_sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7); CHECKPOINT")
        .execute(&mut connection)
        .await
        .expect("it can be written");
    let port = own.server().port();
    own.kill().await;
    own.restart().await;
    assert_eq!(own.server().port(), port, "clients find it again");
    let mut connection = PgConnection::connect(&own.url("postgres")).await.expect("it answers again");
    let row = sqlx::query("SELECT n FROM kept").fetch_one(&mut connection).await.expect("the row is there");
    assert_eq!(row.get::<i32, _>(0), 7);
}

#[tokio::test]
async fn an_owned_nats_can_be_put_back_to_an_older_store() {
    if !require("nats") {
        return;
    }
    let mut own = OwnNats::start().await;
    let config = stream::Config { name: "S".into(), subjects: vec!["s".into()], ..Default::default() };
    let context = jetstream::new(own.connect("admin").await);
    context.create_stream(config).await.expect("a stream can be made");
    context.publish("s", "one".into()).await.expect("sent").await.expect("stored");
    own.stop().await;
    let older = own.copy_store();
    own.restart().await;
    let context = jetstream::new(own.connect("admin").await);
    context.publish("s", "two".into()).await.expect("sent").await.expect("stored");
    own.kill().await;
    own.put_back_store(&older);
    own.restart().await;
    let context = jetstream::new(own.connect("admin").await);
    let info = context.get_stream("S").await.expect("the stream is back").get_info().await.expect("it reports");
    assert_eq!(info.state.last_sequence, 1);
}

#[tokio::test]
async fn dropping_the_owner_ends_the_server_and_removes_its_files() {
    if !require("nats") {
        return;
    }
    let own = OwnNats::start().await;
    let (pid, directory) = (own.server().pid().to_string(), own.server().directory().to_path_buf());
    drop(own);
    wait_until(SOON, || async { !directory.exists() }).await;
    let alive = Command::new("kill").args(["-0", &pid]).output().expect("kill can be run").status.success();
    assert!(!alive, "the server has ended");
}
