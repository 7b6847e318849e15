//! Commands a second at 1, 8, 32 and 64 tasks and on one hot aggregate, as ratios to the anchors of the same round.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use minispod_kernel::{Actor, IdSource as _, SystemClock, SystemIds};
use minispod_store::{CommandContext, CommandKey, Store, StoreConfig};
use serde_json::json;

use crate::{
    BenchError, Size,
    account::{Account, Deposit},
    anchors, load,
    servers::Servers,
    table::Spread,
};

const CONNECTIONS: u32 = 16;

/// One cell: how many tasks on how many aggregates.
struct Cell {
    name: &'static str,
    tasks: u32,
    aggregates: u64,
}

const CELLS: &[Cell] = &[
    Cell { name: "1 task", tasks: 1, aggregates: load::AGGREGATES },
    Cell { name: "8 tasks", tasks: 8, aggregates: load::AGGREGATES },
    Cell { name: "32 tasks", tasks: 32, aggregates: load::AGGREGATES },
    Cell { name: "64 tasks", tasks: 64, aggregates: load::AGGREGATES },
    Cell { name: "hot aggregate, 32 tasks", tasks: 32, aggregates: 1 },
];

/// Runs every cell: anchor, ours, framework, anchor; prints the table; fails when an event is missing.
pub async fn run(servers: &Servers, size: Size) -> Result<(), BenchError> {
    let store = connect(servers).await?;
    anchors::prepare(store.pool()).await?;
    let expected = Arc::new(AtomicU64::new(0));
    println!("\ncommands: ratio of the median round [least–most], anchors measured in the same round");
    println!("{:<26} {:>12} {:>24} {:>24}", "cell", "ours/s", "ours / pgbench insert", "ours / raw framework");
    for cell in CELLS {
        let mut rows = Vec::new();
        for _ in 0..size.rounds() {
            rows.push(round(servers, &store, cell, size.length(), &expected).await?);
        }
        let column = |pick: fn(&Round) -> f64| Spread::of(&rows.iter().map(pick).collect::<Vec<_>>());
        let (rate, insert, framework) =
            (column(|r| r.ours), column(|r| r.ours / r.insert), column(|r| r.ours / r.framework));
        println!("{:<26} {:>12.0} {:>24} {:>24}", cell.name, rate.median, insert.to_string(), framework.to_string());
        println!(
            "{}",
            json!({"suite": "commands", "cell": cell.name, "ours_per_second": rate.median,
                   "ratio_to_pgbench": [insert.median, insert.least, insert.most],
                   "ratio_to_framework": [framework.median, framework.least, framework.most]})
        );
    }
    nothing_lost(&store, expected.load(Ordering::Relaxed)).await
}

struct Round {
    ours: f64,
    insert: f64,
    framework: f64,
}

async fn round(
    servers: &Servers,
    store: &Store,
    cell: &Cell,
    length: Duration,
    expected: &Arc<AtomicU64>,
) -> Result<Round, BenchError> {
    let pgbench = || anchors::pgbench(&servers.postgres, servers.database(), servers.directory(), cell.tasks, length);
    let before = pgbench()?;
    let bus = store.bus().clone();
    let (ours, count) = load::closed_loop(cell.tasks, length, cell.aggregates, 1, move |account| {
        let bus = bus.clone();
        async move {
            let id = format!("a{account}");
            bus.execute::<Account>(&id, Deposit { amount: 1 }, context()).await.expect("a deposit is accepted");
        }
    })
    .await;
    expected.fetch_add(count, Ordering::Relaxed);
    let framework = anchors::framework(&servers.url(), CONNECTIONS, cell.tasks, length, cell.aggregates).await?;
    let after = pgbench()?;
    Ok(Round { ours, insert: f64::midpoint(before, after), framework })
}

/// A command without a key of its own, as most of the api's are.
pub fn context() -> CommandContext {
    CommandContext {
        key: CommandKey::Generated,
        actor: Actor::system("bench"),
        correlation_id: "bench".into(),
        causation_id: None,
        traceparent: None,
        reason: None,
        expected_version: None,
        vault: Vec::new(),
    }
}

/// Our store on the bench's server.
pub async fn connect(servers: &Servers) -> Result<Store, BenchError> {
    let clock = Arc::new(SystemClock);
    let ids = Arc::new(SystemIds::new(clock.clone()));
    let mut key = [0_u8; 32];
    ids.random(&mut key);
    let mut config = StoreConfig::new(servers.url(), key, key);
    config.max_connections = CONNECTIONS;
    let store = Store::connect(config, clock, ids).await.map_err(BenchError::Store)?;
    minispod_store::migrate(store.pool()).await.map_err(BenchError::Store)?;
    Ok(store)
}

/// Every accepted command is one event, and every balance is the number of its events.
async fn nothing_lost(store: &Store, expected: u64) -> Result<(), BenchError> {
    let (events, sum): (i64, Option<i64>) = sqlx::query_as(
        "SELECT count(*), sum((payload->>'amount')::bigint)::bigint FROM log.events WHERE aggregate_type = 'account'",
    )
    .fetch_one(store.pool())
    .await
    .map_err(BenchError::Sql)?;
    if events.unsigned_abs() != expected || sum.unwrap_or_default() != events {
        return Err(BenchError::Lost { expected, found: events.unsigned_abs() });
    }
    println!("{events} events for {expected} accepted commands: none lost, none doubled");
    Ok(())
}
