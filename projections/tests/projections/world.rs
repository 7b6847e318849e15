//! A database with every read model in it, and a log to feed them from.

use std::sync::Arc;

use minispod_events::{Event, Fact};
use minispod_kernel::{Actor, InsSeq, LogPosition, Metadata, Recorded, Timestamp};
use minispod_projections::{Projection, all};
use minispod_testkit::TestDb;
use serde_json::Value;
use sqlx::{Executor, PgPool};

/// When the log begins; each fact is a second later than the one before.
pub const START_MILLIS: i64 = 1_800_000_000_000;

/// The instant of second `number` of the log.
pub fn second(number: i64) -> Timestamp {
    Timestamp::from_unix_millis(START_MILLIS + number * 1_000)
}

/// Facts in log order.
#[derive(Default)]
pub struct Log {
    pub facts: Vec<Fact>,
}

impl Log {
    /// Appends what `event` makes of the instant it happens at.
    pub fn add(
        &mut self,
        aggregate_type: &str,
        aggregate_id: &str,
        event: impl FnOnce(Timestamp) -> Event,
    ) -> &mut Self {
        let place = self.facts.len() as i64 + 1;
        let event = event(second(place));
        let recorded = Recorded {
            position: LogPosition(place),
            ins_seq: InsSeq(place),
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id: aggregate_id.to_owned(),
            sequence: place,
            event_type: event.name().to_owned(),
            event_version: "1.0".to_owned(),
            recorded_at: second(place),
            metadata: Metadata {
                event_id: format!("e{place}"),
                correlation_id: "c".to_owned(),
                causation_id: None,
                command_key: format!("k{place}"),
                actor: Actor::system("test"),
                traceparent: None,
                reason: None,
            },
            payload: Value::Null,
            chain: [0; 32],
        };
        self.facts.push(Fact { recorded, event });
        self
    }
}

/// One database with the read models' tables in one schema and their views in `read`.
pub struct World {
    pub pool: PgPool,
    _db: TestDb,
}

impl World {
    /// Empty tables.
    pub async fn new() -> Self {
        let db = TestDb::create().await;
        let pool = db.pool().await;
        let mut tx = pool.begin().await.expect("a transaction begins");
        tx.execute("CREATE SCHEMA read; CREATE SCHEMA generation; SET LOCAL search_path TO generation")
            .await
            .expect("schemas");
        for projection in all() {
            tx.execute(projection.schema()).await.expect("the schema is valid");
        }
        tx.commit().await.expect("committed");
        for table in tables(&pool).await {
            let view = format!("CREATE VIEW read.{table} AS SELECT * FROM generation.{table}");
            pool.execute(view.as_str()).await.expect("a view can be made");
        }
        Self { pool, _db: db }
    }

    /// Empty tables that have then followed `log` in batches of `batch`.
    pub async fn after(log: &Log, batch: usize) -> Self {
        let world = Self::new().await;
        world.follow(&log.facts, batch).await;
        world
    }

    /// Every read model takes the facts, batch by batch, each in a transaction of its own.
    pub async fn follow(&self, facts: &[Fact], batch: usize) {
        for projection in all() {
            for batch in facts.chunks(batch) {
                self.apply(&projection, batch).await;
            }
        }
    }

    async fn apply(&self, projection: &Arc<dyn Projection>, facts: &[Fact]) {
        let mut tx = self.pool.begin().await.expect("a transaction begins");
        tx.execute("SET LOCAL search_path TO generation").await.expect("the search path is set");
        projection.apply(&mut tx, facts).await.expect("the batch applies");
        tx.commit().await.expect("committed");
    }

    /// Every row of every table, as text.
    pub async fn contents(&self) -> Vec<(String, Vec<String>)> {
        let mut contents = Vec::new();
        for table in tables(&self.pool).await {
            let sql = format!("SELECT to_jsonb(t)::text FROM generation.{table} t ORDER BY 1");
            contents.push((table, sqlx::query_scalar(&sql).fetch_all(&self.pool).await.expect("rows")));
        }
        contents
    }
}

async fn tables(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'generation' ORDER BY 1")
        .fetch_all(pool)
        .await
        .expect("tables can be listed")
}
