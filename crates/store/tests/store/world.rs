//! A migrated database and stores on it, each store like a process of its own.

use std::{sync::Arc, time::Duration};

use minispod_kernel::{Actor, ManualClock, SystemIds, Timestamp};
use minispod_store::{CommandContext, CommandError, CommandKey, Outcome, Store, StoreConfig, migrate};
use minispod_testkit::TestDb;
use sqlx::PgPool;

use crate::account::{Account, AccountCommand, AccountEvent};

pub const MASTER_KEY: [u8; 32] = [7; 32];
pub const CLAIM_KEY: [u8; 32] = [9; 32];

pub struct World {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    /// A superuser's pool.
    pub admin: PgPool,
    pub db: TestDb,
}

/// `None`: no database server here, and the reason has been printed.
pub async fn world() -> Option<World> {
    if !minispod_testkit::require("pg") {
        return None;
    }
    let db = TestDb::create().await;
    let admin = db.pool().await;
    migrate(&admin).await.expect("the migrations apply");
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_795_000_000_000)));
    let store = store_at(&db.url, &clock, |_| {}).await;
    Some(World { store, clock, admin, db })
}

/// One more process on the database at `url`.
pub async fn store_at(url: &str, clock: &Arc<ManualClock>, change: impl FnOnce(&mut StoreConfig)) -> Store {
    let mut config = StoreConfig::new(url, MASTER_KEY, CLAIM_KEY);
    config.max_connections = 6;
    // A busy machine must not turn a retry into a refusal; tests of the deadline set their own.
    config.lanes.deadline = Duration::from_secs(15);
    change(&mut config);
    let ids = Arc::new(SystemIds::new(clock.clone()));
    Store::connect(config, clock.clone(), ids).await.expect("the store opens")
}

impl World {
    /// One more process on the same database.
    pub async fn another(&self, change: impl FnOnce(&mut StoreConfig)) -> Store {
        store_at(&self.db.url, &self.clock, change).await
    }

    pub async fn count(&self, what: &str) -> i64 {
        sqlx::query_scalar(&format!("SELECT count(*) FROM {what}")).fetch_one(&self.admin).await.expect("counts")
    }
}

pub fn generated() -> CommandContext {
    CommandContext::new(CommandKey::Generated, Actor::system("test"), "corr")
}

pub fn derived(key: &str) -> CommandContext {
    CommandContext::new(CommandKey::Derived(key.to_owned()), Actor::system("test"), "corr")
}

pub fn client(key: &str, body: u8) -> CommandContext {
    let key = CommandKey::Client { scope: "ani".to_owned(), key: key.to_owned(), fingerprint: [body; 32] };
    CommandContext::new(key, Actor::Customer { id: "ani".to_owned() }, "corr")
}

pub type Answer = Result<Outcome<AccountEvent>, CommandError>;

pub async fn run(store: &Store, id: &str, command: AccountCommand, context: CommandContext) -> Answer {
    store.bus().execute::<Account>(id, command, context).await
}

pub async fn deposit(store: &Store, id: &str, amount: i64) -> Outcome<AccountEvent> {
    run(store, id, AccountCommand::Deposit { amount, cause: None }, generated()).await.expect("a deposit works")
}

pub fn open(name: &str, claim: &str) -> AccountCommand {
    AccountCommand::Open { name: name.to_owned(), claim: claim.to_owned() }
}

pub fn caused(amount: i64, cause: &str) -> AccountCommand {
    AccountCommand::Deposit { amount, cause: Some(cause.to_owned()) }
}
