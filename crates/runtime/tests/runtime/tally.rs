//! A read model to look into: counts events per aggregate, refuses to see a position twice, can be poisoned and slowed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use minispod_events::{Event, Fact};
use minispod_projections::{Projection, ProjectionError};
use sqlx::{PgConnection, PgPool};

/// Counts events. Shares its switches with its clones.
#[derive(Clone)]
pub struct Tally {
    name: &'static str,
    revision: u32,
    schema: &'static str,
    /// Fails at this position; 0: at none.
    pub poison: Arc<AtomicI64>,
    /// Between the rows and the checkpoint, the follower lingers.
    pub slow: Arc<AtomicBool>,
    /// Nothing concerns it.
    pub deaf: Arc<AtomicBool>,
}

impl Tally {
    pub fn new(name: &'static str) -> Self {
        let schema = match name {
            "tally" => {
                "CREATE TABLE tally (id text PRIMARY KEY, events bigint NOT NULL);
                 CREATE TABLE tally_seen (position bigint PRIMARY KEY);"
            }
            _ => {
                "CREATE TABLE other (id text PRIMARY KEY, events bigint NOT NULL);
                 CREATE TABLE other_seen (position bigint PRIMARY KEY);"
            }
        };
        Self { name, revision: 1, schema, poison: Arc::default(), slow: Arc::default(), deaf: Arc::default() }
    }

    /// The same question in newer code, with another column.
    pub fn revised(&self) -> Self {
        let schema = "CREATE TABLE tally (id text PRIMARY KEY, events bigint NOT NULL, newer boolean DEFAULT true);
                      CREATE TABLE tally_seen (position bigint PRIMARY KEY);";
        Self { revision: self.revision + 1, schema, ..self.clone() }
    }

    /// What the views show: events counted, positions seen.
    pub async fn shown(&self, pool: &PgPool) -> (i64, i64) {
        let name = self.name;
        let sql = format!(
            "SELECT (SELECT coalesce(sum(events), 0)::bigint FROM read.{name}), (SELECT count(*) FROM read.{name}_seen)"
        );
        // Nothing is shown before the projector has begun, and for a moment while it switches.
        sqlx::query_as(&sql).fetch_one(pool).await.unwrap_or((-1, -1))
    }
}

#[async_trait]
impl Projection for Tally {
    fn name(&self) -> &'static str {
        self.name
    }

    fn revision(&self) -> u32 {
        self.revision
    }

    fn schema(&self) -> &'static str {
        self.schema
    }

    fn concerns(&self, _: &Event) -> bool {
        !self.deaf.load(Ordering::SeqCst)
    }

    async fn apply(&self, tx: &mut PgConnection, facts: &[Fact]) -> Result<(), ProjectionError> {
        let failed = |source| ProjectionError::Database { what: "the tally", source };
        let poison = self.poison.load(Ordering::SeqCst);
        for fact in facts {
            let position = fact.recorded.position.0;
            if position == poison {
                sqlx::query("SELECT 1 / 0").execute(&mut *tx).await.map_err(failed)?;
            }
            let seen = format!("INSERT INTO {}_seen VALUES ($1)", self.name);
            sqlx::query(&seen).bind(position).execute(&mut *tx).await.map_err(failed)?;
            let count = format!(
                "INSERT INTO {0} AS t (id, events) VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET events = t.events + 1",
                self.name
            );
            sqlx::query(&count).bind(&fact.recorded.aggregate_id).execute(&mut *tx).await.map_err(failed)?;
        }
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        Ok(())
    }
}
