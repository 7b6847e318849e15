//! Dense positions, the chain, and the barrier that never stops writers for long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use minispod_kernel::{LogPosition, chain};
use sqlx::{Connection, Executor};

use crate::{
    account::AccountCommand,
    world::{deposit, generated, run, world},
};

#[tokio::test]
async fn an_untouched_log_has_a_barrier_of_zero() {
    let Some(world) = world().await else { return };
    assert_eq!(world.store.numbering().barrier().await.expect("asks"), Some(0));
    assert!(world.store.numbering().number(0, 10).await.expect("numbers").events.is_empty());
    let first = deposit(&world.store, "ani", 1).await;
    assert_eq!(world.store.numbering().barrier().await.expect("asks"), Some(first.ins_seq.0));
    let head = world.store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    assert_eq!((head.position, head.ins_seq, head.count), (LogPosition(1), first.ins_seq, 1));
    assert_eq!(world.store.log().head().await.expect("reads"), head);
}

#[tokio::test]
async fn positions_are_dense_and_the_chain_refolds_under_concurrent_appends() {
    let Some(world) = world().await else { return };
    let other = world.another(|_| {}).await;
    let writing = Arc::new(AtomicBool::new(true));
    // Two numberers race all the time.
    let numberers: Vec<_> = [world.store.clone(), other.clone()]
        .into_iter()
        .map(|store| {
            let writing = writing.clone();
            tokio::spawn(async move {
                while writing.load(Ordering::SeqCst) {
                    if let Some(up_to) = store.numbering().barrier().await.expect("asks") {
                        store.numbering().number(up_to, 7).await.expect("numbers");
                    }
                    // The relay's pace: a barrier in every gap would leave the writers none.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..24)
        .map(|task| {
            let store = if task % 2 == 0 { world.store.clone() } else { other.clone() };
            tokio::spawn(async move {
                for step in 0..15 {
                    // Some draw numbers and roll back: gaps must not show.
                    let id = format!("a{}", (task * 7 + step) % 10);
                    let amounts = vec![1; 1 + step % 3];
                    run(&store, &id, AccountCommand::DepositMany { amounts }, generated()).await.expect("deposits");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("writes");
    }
    writing.store(false, Ordering::SeqCst);
    for numberer in numberers {
        numberer.await.expect("numbers");
    }
    let head = world.store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    let total = world.count("log.events").await;
    assert_eq!(total, 24 * 30);
    assert_eq!(head.position, LogPosition(total));

    let log = world.store.log().read_after(LogPosition(0), 10_000).await.expect("reads");
    let mut link = chain::CHAIN_START;
    let mut sequences = std::collections::HashMap::new();
    for (event, position) in log.iter().zip(1..) {
        assert_eq!(event.position, LogPosition(position));
        link = chain::chain_next(&link, &chain::canonical_bytes(event));
        assert_eq!(event.chain, link, "the chain re-folds at {position}");
        let last = sequences.insert(event.aggregate_id.clone(), event.sequence).unwrap_or(0);
        assert_eq!(event.sequence, last + 1, "an aggregate's own order is the log's order");
    }
    assert!(log.windows(2).all(|pair| pair[0].ins_seq < pair[1].ins_seq));
    assert_eq!(link, head.chain);
    assert_eq!(world.store.log().at(LogPosition(5)).await.expect("reads").as_ref(), log.get(4));
}

#[tokio::test]
async fn the_barrier_gives_up_on_a_slow_append_and_writers_go_on() {
    let Some(world) = world().await else { return };
    deposit(&world.store, "ani", 1).await;
    let mut slow = sqlx::PgConnection::connect(&world.db.url).await.expect("connects");
    slow.execute("BEGIN").await.expect("begins");
    slow.execute("SELECT log.next_ins_seq()").await.expect("draws a number");

    let started = Instant::now();
    assert_eq!(world.store.numbering().barrier().await.expect("asks"), None, "an append is in flight");
    assert!(started.elapsed() < Duration::from_secs(1));

    // While barriers keep timing out, writers are delayed by 50 ms at most each time.
    let store = world.store.clone();
    let barriers = tokio::spawn(async move {
        for _ in 0..10 {
            assert_eq!(store.numbering().barrier().await.expect("asks"), None);
        }
    });
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let started = Instant::now();
        deposit(&world.store, "ani", 1).await;
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "a writer waited {slowest:?}");
    barriers.await.expect("asks");

    // The slow one ends without an event: its number is a gap in ins_seq, not in positions.
    slow.execute("ROLLBACK").await.expect("rolls back");
    let head = world.store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    assert_eq!(head.position, LogPosition(21));
    assert!(head.ins_seq.0 > 21);
}

#[tokio::test]
async fn an_event_that_commits_late_is_never_passed_over() {
    let Some(world) = world().await else { return };
    deposit(&world.store, "ani", 1).await;
    let mut slow = sqlx::PgConnection::connect(&world.db.url).await.expect("connects");
    slow.execute("BEGIN").await.expect("begins");
    slow.execute(
        "INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         SELECT aggregate_type, 'late', 1, event_type, event_version, payload,
                jsonb_set(metadata, '{event_id}', '\"late\"') FROM log.events LIMIT 1",
    )
    .await
    .expect("inserts");
    deposit(&world.store, "ani", 2).await;
    assert_eq!(world.store.numbering().barrier().await.expect("asks"), None);
    slow.execute("COMMIT").await.expect("commits");
    world.store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    let log = world.store.log().read_after(LogPosition(0), 10).await.expect("reads");
    let order: Vec<&str> = log.iter().map(|event| event.aggregate_id.as_str()).collect();
    assert_eq!(order, ["ani", "late", "ani"]);
}

/// Appends `count` events of about `bytes` each without the executor.
async fn backlog(world: &crate::world::World, count: i64, bytes: i32) {
    deposit(&world.store, "first", 1).await;
    sqlx::query(
        "INSERT INTO log.events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
         SELECT aggregate_type, 'many', n, event_type, event_version,
                payload || jsonb_build_object('padding', repeat(md5(n::text), $2 / 32)),
                jsonb_set(metadata, '{event_id}', to_jsonb('many-' || n))
         FROM log.events, generate_series(1, $1) AS n WHERE aggregate_id = 'first'",
    )
    .bind(count)
    .bind(bytes)
    .execute(&world.admin)
    .await
    .expect("appends");
}

#[tokio::test]
async fn a_long_backlog_is_numbered_by_two_at_once_without_an_open_transaction() {
    let Some(world) = world().await else { return };
    backlog(&world, 24_000, 2_000).await;
    let other = world.another(|_| {}).await;
    let (one, two) = tokio::join!(world.store.numbering().catch_up(), other.numbering().catch_up());
    let (one, two) = (one.expect("numbers"), two.expect("numbers"));
    assert!(one.is_some() || two.is_some(), "one of two barriers is raised");
    let head = world.store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    assert_eq!(head.position, LogPosition(24_001));
    let mut link = chain::CHAIN_START;
    for page in 0..3 {
        for event in world.store.log().read_after(LogPosition(page * 10_000), 10_000).await.expect("reads") {
            link = chain::chain_next(&link, &chain::canonical_bytes(&event));
            assert_eq!(event.chain, link, "the chain re-folds at {}", event.position.0);
        }
    }
    assert_eq!(link, head.chain);
}

#[tokio::test]
async fn a_pass_is_bounded_in_events_and_in_bytes() {
    let Some(world) = world().await else { return };
    backlog(&world, 40, 400_000).await;
    let up_to = world.store.numbering().barrier().await.expect("asks").expect("nobody is in the way");
    let first = world.store.numbering().number(up_to, 1_000).await.expect("numbers");
    assert!((2..=12).contains(&first.events.len()) && first.more, "{} events", first.events.len());
    let second = world.store.numbering().number(up_to, 3).await.expect("numbers");
    assert!(second.events.len() == 3 && second.more);
    let head = world.store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    assert_eq!(head.position, LogPosition(41));
}
