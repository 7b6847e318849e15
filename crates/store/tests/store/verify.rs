//! `log verify` finds what was tampered with, and nothing else.

use std::time::Duration;

use minispod_kernel::{Aggregate, Clock, Consequence, LogPosition, Recorded};
use minispod_store::verify::{self, Findings, Problem, Unreadable};

use crate::{
    account::{Account, AccountCommand, AccountEvent},
    world::{World, caused, deposit, generated, open, run, world},
};

fn consequences(event: &Recorded) -> Result<Vec<Consequence>, Unreadable> {
    let fact: AccountEvent = serde_json::from_value(event.payload.clone())?;
    Ok(Account::consequences(&event.aggregate_id, &fact))
}

async fn check(world: &World) -> Findings {
    verify::log(&world.store, consequences).await.expect("checks")
}

async fn filled() -> Option<World> {
    let world = world().await?;
    run(&world.store, "ani", open("Ani", "name/a"), generated()).await.expect("opens");
    run(&world.store, "ani", caused(5, "topup/1"), generated()).await.expect("credits");
    let rename = AccountCommand::Rename { name: "Ani".into(), claim: "name/b".into() };
    run(&world.store, "ani", rename, generated()).await.expect("renames");
    run(&world.store, "budi", open("Budi", "name/a"), generated()).await.expect("opens");
    deposit(&world.store, "budi", 1).await;
    world.store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    deposit(&world.store, "budi", 1).await;
    Some(world)
}

/// Does what nobody may do.
async fn tamper(world: &World, sql: &str) {
    let mut tx = world.admin.begin().await.expect("begins");
    for statement in ["SET LOCAL session_replication_role = replica", sql] {
        sqlx::query(statement).execute(&mut *tx).await.expect("tampers");
    }
    tx.commit().await.expect("commits");
}

#[tokio::test]
async fn a_whole_log_is_clean() {
    let Some(world) = filled().await else { return };
    let findings = check(&world).await;
    assert!(findings.is_clean(), "{findings:?}");
    assert_eq!((findings.numbered, findings.unnumbered, findings.claims), (5, 1, 3));
}

#[tokio::test]
async fn every_kind_of_tampering_is_found() {
    let second = LogPosition(2);
    let claim = |key: &str| key.to_owned();
    let cases = [
        (
            "UPDATE log.events SET payload = jsonb_set(payload, '{Deposited,amount}', '6') WHERE aggregate_id = 'ani' AND sequence = 2",
            Problem::Chain { at: second },
        ),
        (
            "UPDATE log.events SET recorded_at = recorded_at + interval '1 us' WHERE sequence = 2 AND aggregate_id = 'ani'",
            Problem::Chain { at: second },
        ),
        ("UPDATE log.event_log SET event_id = 'other' WHERE position = 2", Problem::WrongId { at: second }),
        ("DELETE FROM log.event_log WHERE position = 2", Problem::Gap { before: LogPosition(3) }),
        ("DELETE FROM log.event_log WHERE position = 5", Problem::Cursor { position: LogPosition(5) }),
        ("DELETE FROM log.events WHERE aggregate_id = 'ani' AND sequence = 2", Problem::EventMissing { at: second }),
        (
            "DELETE FROM log.events WHERE aggregate_id = 'ani' AND sequence = 2",
            Problem::History { aggregate_type: "account".into(), aggregate_id: "ani".into() },
        ),
        ("DELETE FROM log.claims WHERE key = 'name/a'", Problem::ClaimMissing { key: claim("name/a") }),
        (
            "UPDATE log.claims SET holder_id = 'eve' WHERE key = 'name/a'",
            Problem::ClaimDiffers { key: claim("name/a") },
        ),
        (
            "INSERT INTO log.claims VALUES ('name/z', 'account', 'eve', 'hold')",
            Problem::ClaimUnfounded { key: claim("name/z") },
        ),
        ("UPDATE log.cursor SET ins_seq = 1000", Problem::Cursor { position: LogPosition(5) }),
    ];
    let Some(whole) = filled().await else { return };
    drop(whole);
    for (sql, problem) in cases {
        let Some(world) = filled().await else { return };
        tamper(&world, sql).await;
        let findings = check(&world).await;
        assert!(findings.problems.contains(&problem), "{sql}: {findings:?}");
    }
}

/// Three timers: one an hour ahead that was moved once, one that was cancelled, one that is due in a minute.
async fn reminded() -> Option<World> {
    let world = world().await?;
    let later = |seconds| world.clock.now().plus(Duration::from_secs(seconds));
    for (id, due) in [("moved", later(60)), ("moved", later(3_600)), ("dropped", later(3_600)), ("soon", later(60))] {
        let set = AccountCommand::SetReminder { id: id.to_owned(), due };
        run(&world.store, "ani", set, generated()).await.expect("sets");
    }
    let cancel = AccountCommand::CancelReminder { id: "dropped".to_owned() };
    run(&world.store, "ani", cancel, generated()).await.expect("cancels");
    world.store.numbering().catch_up().await.expect("numbers").expect("nobody is in the way");
    Some(world)
}

#[tokio::test]
async fn timers_are_as_the_last_event_about_each_says() {
    let Some(world) = reminded().await else { return };
    let findings = check(&world).await;
    assert!(findings.is_clean() && findings.timers == 2, "{findings:?}");
    // Who fires a timer removes its row: once its instant has passed, its absence says nothing.
    world.clock.advance(Duration::from_mins(2));
    let due = world.store.timers().due(world.clock.now(), 10).await.expect("reads");
    assert_eq!(due.len(), 1);
    world.store.timers().done(&due[0]).await.expect("fires");
    let findings = check(&world).await;
    assert!(findings.is_clean() && findings.timers == 1, "{findings:?}");
}

#[tokio::test]
async fn lost_altered_and_invented_timers_are_found() {
    let differs = || Problem::TimerDiffers { id: "moved".into() };
    let cases = [
        ("DELETE FROM ops.timers WHERE id = 'moved'", Problem::TimerMissing { id: "moved".into() }),
        ("DELETE FROM ops.timers WHERE id = 'soon'", Problem::TimerMissing { id: "soon".into() }),
        ("UPDATE ops.timers SET due = due - interval '59 minutes' WHERE id = 'moved'", differs()),
        ("UPDATE ops.timers SET command = '{\"remind\": \"another\"}' WHERE id = 'moved'", differs()),
        ("UPDATE ops.timers SET aggregate_id = 'eve' WHERE id = 'moved'", differs()),
        ("UPDATE ops.timers SET causation_id = 'nothing' WHERE id = 'moved'", differs()),
        ("UPDATE ops.timers SET id = 'dropped' WHERE id = 'moved'", Problem::TimerUnfounded { id: "dropped".into() }),
        (
            "INSERT INTO ops.timers SELECT 'invented', due, aggregate_type, aggregate_id, command, correlation_id,
             causation_id FROM ops.timers WHERE id = 'moved'",
            Problem::TimerUnfounded { id: "invented".into() },
        ),
    ];
    for (sql, problem) in cases {
        let Some(world) = reminded().await else { return };
        tamper(&world, sql).await;
        let findings = check(&world).await;
        assert!(findings.problems.contains(&problem), "{sql}: {findings:?}");
    }
}

#[tokio::test]
async fn an_event_that_numbering_passed_over_is_found() {
    let Some(world) = filled().await else { return };
    // What a numbering without barrier would do: the cursor beyond an event that was not numbered.
    tamper(&world, "UPDATE log.cursor SET ins_seq = (SELECT max(ins_seq) FROM log.events)").await;
    let findings = check(&world).await;
    assert!(findings.problems.iter().any(|problem| matches!(problem, Problem::NotNumbered { .. })), "{findings:?}");
}
