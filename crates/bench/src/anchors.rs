//! What we hold our figures against: pgbench's single insert and the raw framework on the same work.

use std::{fmt::Write as _, path::Path, process::Command, sync::Arc, time::Duration};

use minispod_kernel::{Clock, SystemClock};
use minispod_localservers::Postgres;
use postgres_es::{PostgresCqrs, postgres_cqrs};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::{BenchError, account::Account, account::NOTE, load};

/// Tables of both anchors, apart from our log.
pub async fn prepare(pool: &PgPool) -> Result<(), BenchError> {
    for statement in [
        "CREATE TABLE IF NOT EXISTS anchor (type text, id text, seq bigint, etype text, payload jsonb, PRIMARY KEY (type, id, seq))",
        "CREATE SEQUENCE IF NOT EXISTS anchor_seq",
        "CREATE TABLE IF NOT EXISTS events (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
         sequence bigint CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL, \
         payload json NOT NULL, metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence))",
    ] {
        sqlx::query(statement).execute(pool).await.map_err(BenchError::Sql)?;
    }
    Ok(())
}

/// pgbench: one single-row insert a transaction, prepared, `clients` at once. Transactions a second.
pub fn pgbench(
    server: &Postgres,
    database: &str,
    directory: &Path,
    clients: u32,
    length: Duration,
) -> Result<f64, BenchError> {
    let script = directory.join("insert.sql");
    let mut text = String::new();
    let _ = writeln!(text, "\\set id random(1, {})", load::AGGREGATES);
    let _ = writeln!(
        text,
        "INSERT INTO anchor VALUES ('account', 'a' || :id, nextval('anchor_seq'), 'Deposited', \
         '{{\"type\":\"Deposited\",\"amount\":1,\"note\":\"{}\"}}');",
        NOTE.replace('\'', "")
    );
    std::fs::write(&script, text).map_err(BenchError::Files)?;
    let output = Command::new(server.programs().join("pgbench"))
        .args([
            "-n",
            "-M",
            "prepared",
            "-j",
            "2",
            "-c",
            &clients.to_string(),
            "-T",
            &length.as_secs().max(1).to_string(),
        ])
        .arg("-f")
        .arg(&script)
        .arg(server.url(database))
        .output()
        .map_err(BenchError::Files)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| BenchError::Pgbench(format!("{text}{}", String::from_utf8_lossy(&output.stderr))))
}

/// The raw framework (no view, no snapshots), its pool as large as ours. Commands a second.
pub async fn framework(
    url: &str,
    connections: u32,
    tasks: u32,
    length: Duration,
    aggregates: u64,
) -> Result<f64, BenchError> {
    let pool = PgPoolOptions::new().max_connections(connections).connect(url).await.map_err(BenchError::Sql)?;
    let cqrs: Arc<PostgresCqrs<Account>> = Arc::new(postgres_cqrs(pool.clone(), Vec::new(), ()));
    let (rate, _) = load::closed_loop(tasks, length, aggregates, 2, move |account| {
        let cqrs = cqrs.clone();
        async move {
            let id = format!("a{account}");
            // A conflict is an answer too for the framework's caller; it tries again, as ours does inside.
            while cqrs.execute(&id, (1, SystemClock.now())).await.is_err() {}
        }
    })
    .await;
    pool.close().await;
    Ok(rate)
}
