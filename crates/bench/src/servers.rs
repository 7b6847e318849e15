//! A durable Postgres and a NATS of the bench's own, checked to be durable and stopped at the end.

use std::path::{Path, PathBuf};

use minispod_localservers::{Nats, NatsOptions, Places, Postgres, PostgresOptions, silent};

use crate::BenchError;

const DATABASE: &str = "bench";

/// Throw-away servers with production's durability.
pub struct Servers {
    pub postgres: Postgres,
    pub nats: Nats,
    directory: PathBuf,
    database: &'static str,
}

impl Servers {
    /// Starts both; refuses to measure a Postgres that does not sync.
    pub async fn start() -> Result<Self, BenchError> {
        let directory = std::env::temp_dir().join(format!("minispod-bench-{}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(BenchError::Files)?;
        let places = Places::from_env();
        let options = PostgresOptions::durable(directory.join("postgres"), "bench", "bench");
        let postgres = Postgres::start(&options, &places, &silent).await.map_err(BenchError::Server)?;
        postgres.ensure_database(DATABASE).await.map_err(BenchError::Server)?;
        let nats = NatsOptions::new(directory.join("nats"), "");
        let nats = Nats::start(&nats, &places, &silent).await.map_err(BenchError::Server)?;
        let servers = Self { postgres, nats, directory, database: DATABASE };
        servers.check_durable().await?;
        Ok(servers)
    }

    async fn check_durable(&self) -> Result<(), BenchError> {
        let pool = sqlx::PgPool::connect(&self.url()).await.map_err(BenchError::Sql)?;
        for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
            let (value,): (String,) = sqlx::query_as(&format!("SELECT current_setting('{setting}')"))
                .fetch_one(&pool)
                .await
                .map_err(BenchError::Sql)?;
            if value != "on" {
                return Err(BenchError::NotDurable(setting));
            }
        }
        pool.close().await;
        Ok(())
    }

    /// The database of the suite that runs.
    pub fn url(&self) -> String {
        self.postgres.url(self.database)
    }

    /// An empty database for the next suite, so that no suite reads another's events.
    pub async fn fresh(&mut self, suite: &'static str) -> Result<(), BenchError> {
        self.database = suite;
        self.postgres.ensure_database(suite).await.map_err(BenchError::Server)
    }

    /// Its name.
    pub const fn database(&self) -> &'static str {
        self.database
    }

    /// Where files may go.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends both servers and removes their data.
    pub async fn stop(self) {
        let _ = self.nats.stop().await;
        let _ = self.postgres.stop().await;
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
