//! A migrated log, a NATS with its streams and users, and nothing that runs by itself.

use std::{sync::Arc, time::Duration};

use minispod_domain::{AnyCommand, PlanCommand};
use minispod_events::Capacity;
use minispod_kernel::{Actor, InsSeq, LogPosition, Recorded, Rupiah, SystemClock, SystemIds};
use minispod_messaging::{Nats, NatsConfig, topology};
use minispod_runtime::{Dispatcher, SilentHints, relay, relay::RelayConfig, relay::RelayError};
use minispod_store::{CommandContext, CommandKey, Store, StoreConfig, migrate};
use minispod_testkit::{NatsUser, OwnNats, OwnPg, TestDb, TestNats, eventually, wait_until};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    stage::{DEADLINE, details},
    tunnel::Tunnel,
};

/// Where the streams are.
pub enum Server {
    /// An account of the shared server.
    Account(TestNats),
    /// A server that the test may damage.
    Own(OwnNats),
}

impl Server {
    fn place(&self, role: &str) -> (String, NatsUser) {
        match self {
            Self::Account(test) => (test.url.clone(), test.user(role)),
            Self::Own(server) => (server.url(), server.user(role)),
        }
    }

    /// The damageable server.
    pub fn own(&mut self) -> &mut OwnNats {
        match self {
            Self::Own(server) => server,
            Self::Account(_) => panic!("this test does not own its server"),
        }
    }

    /// A connection as `role`.
    pub async fn connect(&self, role: &str) -> Nats {
        let (url, user) = self.place(role);
        let config = NatsConfig {
            url,
            user: Some(user.user),
            password: Some(user.password),
            name: format!("test-{role}"),
            inbox_prefix: user.inbox_prefix,
        };
        let nats = Nats::connect(config).await.expect("the address is good");
        wait_until(DEADLINE, || async { nats.is_connected() }).await;
        nats
    }
}

/// One log over its own database.
pub struct Ground {
    pub store: Store,
    pub dispatcher: Dispatcher,
    /// The superuser's address of the database.
    pub url: String,
    // Last, so that nobody is connected when it goes; none on a server of one's own.
    _db: Option<TestDb>,
}

impl Ground {
    pub async fn new() -> Self {
        let db = TestDb::create().await;
        migrate(&db.pool().await).await.expect("the migrations apply");
        let url = db.url.clone();
        Self::over(&url, Some(db)).await
    }

    /// The same log, reached through `tunnel`, as another process would.
    pub async fn through(&self, tunnel: &Tunnel) -> Self {
        Self::over(&tunnel.url(&self.url), None).await
    }

    async fn over(url: &str, db: Option<TestDb>) -> Self {
        let clock = Arc::new(SystemClock);
        let ids = Arc::new(SystemIds::new(clock.clone()));
        let config = StoreConfig::new(url, [7; 32], [9; 32]);
        let store = Store::connect(config, clock, ids).await.expect("the store opens");
        let dispatcher = Dispatcher::new(store.clone(), Arc::new(SilentHints));
        Self { store, dispatcher, url: url.to_owned(), _db: db }
    }

    /// Appends `count` events: plan `id` and its changing prices. Returns the last insertion number.
    pub async fn append(&self, id: &str, count: usize) -> InsSeq {
        append(&self.dispatcher, id, count).await
    }

    /// Appends from `writers` tasks at the same time, `count` events each.
    pub async fn append_together(&self, prefix: &str, writers: usize, count: usize) {
        let tasks: Vec<JoinHandle<InsSeq>> = (0..writers)
            .map(|writer| {
                let (dispatcher, id) = (self.dispatcher.clone(), format!("{prefix}-{writer}"));
                tokio::spawn(async move { append(&dispatcher, &id, count).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("a writer does not panic");
        }
    }

    /// Numbers everything that has committed.
    pub async fn number(&self) -> i64 {
        self.store.numbering().catch_up().await.expect("numbers").expect("no append is open").position.0
    }

    /// The whole log.
    pub async fn log(&self) -> Vec<Recorded> {
        self.store.log().read_after(LogPosition(0), 10_000).await.expect("reads")
    }

    /// A running relay.
    pub fn relay(&self, nats: &Nats, config: RelayConfig) -> Relay {
        let stop = CancellationToken::new();
        let task = tokio::spawn(relay::run(self.store.clone(), nats.clone(), config, stop.clone()));
        Relay { stop, task }
    }
}

pub struct Relay {
    stop: CancellationToken,
    task: JoinHandle<Result<(), RelayError>>,
}

impl Relay {
    pub async fn stop(self) -> Result<(), RelayError> {
        self.stop.cancel();
        self.task.await.expect("the relay does not panic")
    }

    /// How the relay ends when nobody stops it.
    pub async fn end(self) -> RelayError {
        let ended = tokio::time::timeout(DEADLINE, self.task).await.expect("the relay ends by itself");
        ended.expect("the relay does not panic").expect_err("a relay that is not stopped ends with a reason")
    }
}

/// A log on a database server that the test may damage.
pub async fn on_own(server: &OwnPg) -> Ground {
    let url = server.url("postgres");
    let pool = sqlx::PgPool::connect(&url).await.expect("the server answers");
    migrate(&pool).await.expect("the migrations apply");
    pool.close().await;
    Ground::over(&url, None).await
}

async fn append(dispatcher: &Dispatcher, id: &str, count: usize) -> InsSeq {
    let mut last = InsSeq(0);
    for number in 0..count {
        let command = if number == 0 {
            let monthly_price = Rupiah::new(1_000);
            PlanCommand::Publish { details: details(&format!("plan-{id}")), monthly_price, capacity: Capacity(10) }
        } else {
            PlanCommand::ChangePrice { monthly_price: Rupiah::new(1_000 + number as i64) }
        };
        let context = CommandContext::new(CommandKey::Generated, Actor::system("test"), "test");
        let done = dispatcher.dispatch_as(id, AnyCommand::Plan(command), context).await;
        last = done.expect("the command is accepted").ins_seq;
    }
    last
}

/// An account with the streams of `nats/`, and the administrator's connection.
pub async fn account() -> (Server, Nats) {
    with_streams(Server::Account(TestNats::account().await)).await
}

/// As [`account`], on a server that the test may damage.
pub async fn own_server() -> (Server, Nats) {
    with_streams(Server::Own(OwnNats::start().await)).await
}

async fn with_streams(server: Server) -> (Server, Nats) {
    let admin = server.connect("admin").await;
    topology::apply(&admin, &topology::Overlay::new()).await.expect("the files apply");
    (server, admin)
}

/// Waits until the stream holds exactly the log, then compares every message with it.
pub async fn wait_until_equal(ground: &Ground, admin: &Nats, count: i64) {
    let equal = eventually(DEADLINE, || async {
        let head = ground.store.log().head().await.expect("reads").position.0;
        let Ok(Some(tail)) = admin.stream_tail().await else { return false };
        head == count && (tail.first_sequence, tail.last_sequence, tail.count) == (1, count as u64, count as u64)
    })
    .await;
    assert!(equal, "{:?} for {:?}", admin.stream_tail().await, ground.store.log().head().await);
    for event in ground.log().await {
        let stored = admin.read_at(event.position.0.unsigned_abs()).await.expect("readable");
        assert_eq!(stored.as_ref(), Some(&event));
    }
}

/// An audit at every opportunity.
pub fn auditing() -> RelayConfig {
    RelayConfig { audit_every: Duration::from_millis(100), ..RelayConfig::default() }
}
