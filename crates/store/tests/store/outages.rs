//! Connections that die at the worst moment: every command happens once, and its caller learns of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use minispod_store::{CommandContext, CommandError};
use minispod_testkit::{OwnPg, wait_until};
use sqlx::{Connection, Executor, PgConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    account::AccountCommand,
    world::{World, client, deposit, derived, generated, open, run, store_at, world},
};

const PATIENCE: Duration = Duration::from_secs(20);

fn pay(amount: i64) -> AccountCommand {
    AccountCommand::Deposit { amount, cause: None }
}

/// A road to the database that can swallow the next answer and break.
struct Road {
    url: String,
    swallow: Arc<AtomicBool>,
}

/// Everything goes through until `swallow` is set: then the server's next bytes are read, thrown away, and the
/// connection is cut, as when a network dies after the server has committed.
async fn road(world: &World) -> Road {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has an address").port();
    let (head, rest) = world.db.url.rsplit_once('@').map_or(("", world.db.url.as_str()), |(head, rest)| (head, rest));
    let (server, path) = rest.split_once('/').expect("an address with a database");
    let url = format!("{head}@127.0.0.1:{port}/{path}");
    let swallow = Arc::new(AtomicBool::new(false));
    let (flag, server) = (swallow.clone(), server.to_owned());
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (flag, server) = (flag.clone(), server.clone());
            tokio::spawn(async move {
                let far = TcpStream::connect(&server).await.expect("the server answers");
                let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near.into_split(), far.into_split());
                let up = tokio::spawn(async move { tokio::io::copy(&mut near_in, &mut far_out).await });
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(count) = far_in.read(&mut buffer).await {
                    if count == 0 || flag.swap(false, Ordering::SeqCst) {
                        break;
                    }
                    if near_out.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
                up.abort();
            });
        }
    });
    Road { url, swallow }
}

#[tokio::test]
async fn an_answer_lost_after_the_commit_is_found_in_the_log() {
    let Some(world) = world().await else { return };
    let road = road(&world).await;
    let store = store_at(&road.url, &world.clock, |_| {}).await;
    deposit(&store, "ani", 1).await;
    let contexts: [fn() -> CommandContext; 3] = [generated, || derived("d"), || client("k", 1)];
    for (round, context) in contexts.into_iter().enumerate() {
        road.swallow.store(true, Ordering::SeqCst);
        let outcome = run(&store, "ani", pay(1), context()).await.expect("is resolved");
        assert!(!road.swallow.load(Ordering::SeqCst), "an answer was swallowed");
        assert_eq!((outcome.version, outcome.events.len(), outcome.replayed), (round as i64 + 2, 1, false));
        assert_eq!(world.count("log.events").await, round as i64 + 2, "it happened once");
    }
    // A once-key of our own lost try is not "done before" by somebody else.
    road.swallow.store(true, Ordering::SeqCst);
    let once = run(&store, "ani", crate::world::caused(1, "topup/1"), generated()).await.expect("is resolved");
    assert_eq!((once.version, once.events.len()), (5, 1));
    road.swallow.store(true, Ordering::SeqCst);
    let opened = run(&store, "budi", open("Budi", "name/b"), generated()).await.expect("is resolved");
    assert_eq!((opened.version, opened.events.len()), (1, 1));
}

#[tokio::test]
async fn an_append_whose_session_is_terminated_happens_once() {
    let Some(world) = world().await else { return };
    deposit(&world.store, "ani", 1).await;
    for (round, context) in [generated(), derived("d")].into_iter().enumerate() {
        // Somebody holds the barrier, so the append waits inside its transaction.
        let mut holder = PgConnection::connect(&world.db.url).await.expect("connects");
        holder.execute("BEGIN; SELECT pg_advisory_xact_lock(7001)").await.expect("holds");
        let store = world.store.clone();
        let appending = tokio::spawn(async move { run(&store, "ani", pay(1), context).await });
        wait_until(PATIENCE, || async {
            let killed: Vec<bool> = sqlx::query_scalar(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'minispod-append' AND wait_event_type = 'Lock'",
            )
            .fetch_all(&world.admin)
            .await
            .expect("looks");
            !killed.is_empty()
        })
        .await;
        holder.execute("COMMIT").await.expect("lets go");
        let outcome = appending.await.expect("runs").expect("is resolved");
        assert_eq!((outcome.version, outcome.replayed), (round as i64 + 2, false));
        assert_eq!(world.count("log.events").await, round as i64 + 2);
    }
}

#[tokio::test]
async fn a_database_that_lost_its_tail_gets_no_hole() {
    let Some(world) = world().await else { return };
    for _ in 0..3 {
        deposit(&world.store, "ani", 10).await;
    }
    // A late replica takes over while this process still remembers version 3.
    let mut tx = world.admin.begin().await.expect("begins");
    for sql in ["SET LOCAL session_replication_role = replica", "DELETE FROM log.events WHERE sequence = 3"] {
        sqlx::query(sql).execute(&mut *tx).await.expect("loses the tail");
    }
    tx.commit().await.expect("commits");
    let spent = run(&world.store, "ani", AccountCommand::Withdraw { amount: 25 }, generated()).await;
    assert!(matches!(spent, Err(CommandError::Refused(_))), "twenty do not cover twenty-five: {spent:?}");
    deposit(&world.store, "budi", 1).await;
    assert_eq!(deposit(&world.store, "ani", 1).await.version, 3);
    // And when the first thing is a success.
    let mut tx = world.admin.begin().await.expect("begins");
    for sql in ["SET LOCAL session_replication_role = replica", "DELETE FROM log.events WHERE sequence = 3"] {
        sqlx::query(sql).execute(&mut *tx).await.expect("loses the tail");
    }
    tx.commit().await.expect("commits");
    assert_eq!(deposit(&world.store, "ani", 1).await.version, 3);
}

#[tokio::test]
async fn writers_that_wait_too_long_are_told_to_come_back_and_nothing_is_written() {
    let Some(world) = world().await else { return };
    let store = world.another(|config| config.lanes.deadline = Duration::from_secs(1)).await;
    deposit(&store, "ani", 1).await;
    let mut holder = PgConnection::connect(&world.db.url).await.expect("connects");
    holder.execute("BEGIN; SELECT pg_advisory_xact_lock(7001)").await.expect("holds");
    let busy = run(&store, "ani", pay(1), generated()).await;
    assert!(matches!(busy, Err(CommandError::Busy { .. })), "{busy:?}");
    holder.execute("COMMIT").await.expect("lets go");
    assert_eq!(deposit(&store, "ani", 1).await.version, 2);
}

#[tokio::test]
async fn commands_survive_a_crash_and_restart_of_the_database() {
    if !minispod_testkit::require("pg") {
        return;
    }
    let mut server = OwnPg::start().await;
    let url = server.url("postgres");
    let admin = sqlx::PgPool::connect(&url).await.expect("connects");
    minispod_store::migrate(&admin).await.expect("migrates");
    let start = minispod_kernel::Timestamp::from_unix_millis(1_795_000_000_000);
    let clock = Arc::new(minispod_kernel::ManualClock::at(start));
    let store = store_at(&url, &clock, |_| {}).await;
    deposit(&store, "ani", 1).await;
    server.kill().await;
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { run(&store, "ani", pay(1), generated()).await })
    };
    assert!(store.log().head().await.is_err(), "the database is gone");
    server.restart().await;
    let outcome = waiting.await.expect("runs").expect("the restarted server takes it");
    assert_eq!(outcome.version, 2);
}
