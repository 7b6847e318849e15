//! A fresh, empty database for one test.

use std::{
    process,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::shared;

/// Removed when dropped, with whatever connections are still open.
#[derive(Debug)]
pub struct TestDb {
    /// The superuser's address of this database.
    pub url: String,
    name: String,
    server: PgConnectOptions,
}

impl TestDb {
    /// An empty database on the run's shared server. Nothing is migrated yet.
    pub async fn create() -> Self {
        Self::create_like("template0").await
    }

    /// A copy of another test's database, which nobody may be connected to meanwhile.
    pub async fn copy_of(template: &Self) -> Self {
        Self::create_like(&template.name).await
    }

    async fn create_like(template: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let server = PgConnectOptions::from_str(&shared::postgres_url().await).expect("MINISPOD_TEST_PG is an address");
        let mut connection = PgConnection::connect_with(&server).await.expect("the test server answers");
        let drop_older = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
        connection.execute(drop_older.as_str()).await.expect("an older database of this name goes away");
        let create = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"");
        connection.execute(create.as_str()).await.expect("a database can be created");
        let _ = connection.close().await;
        let url = server.clone().database(&name).to_url_lossy().to_string();
        Self { url, name, server }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A small pool of superuser connections.
    pub async fn pool(&self) -> PgPool {
        let options = self.server.clone().database(&self.name);
        let pool = PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(30));
        pool.connect_with(options).await.expect("the test database answers")
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A drop cannot await, and the test's own runtime may be going away: use a thread with a small one.
        let dropping = thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                let Ok(mut connection) = PgConnection::connect_with(&server).await else { return };
                let _ = connection.execute(format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)").as_str()).await;
            });
        });
        let _ = dropping.join();
    }
}
