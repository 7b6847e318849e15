//! A migrated database with a store over it, a clock that stands still, and a task that numbers events.

use std::{sync::Arc, time::Duration};

use minispod_domain::{AnyCommand, PlanCommand, ports::Reactor};
use minispod_events::{Capacity, PlanDetails};
use minispod_kernel::{Actor, ManualClock, Rupiah, SystemIds, Timestamp};
use minispod_messaging::Nats;
use minispod_runtime::{Cause, Dispatched, Dispatcher, ReactorOptions, SilentHints, reactors};
use minispod_store::{CommandContext, CommandError, CommandKey, Store, StoreConfig, migrate};
use minispod_testkit::{TestDb, wait_until};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// Generous: the machine may be busy.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// One running system without its edges. Ends with the test.
pub struct Stage {
    pub store: Store,
    pub clock: Arc<ManualClock>,
    pub dispatcher: Dispatcher,
    pub cause: Cause,
    numbering: JoinHandle<()>,
    // Last, so that nobody is connected when it goes.
    _db: TestDb,
}

impl Stage {
    pub async fn new() -> Self {
        let db = TestDb::create().await;
        migrate(&db.pool().await).await.expect("the migrations apply");
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_800_000_000_000)));
        let ids = Arc::new(SystemIds::new(clock.clone()));
        let config = StoreConfig::new(&db.url, [7; 32], [9; 32]);
        let store = Store::connect(config, clock.clone(), ids).await.expect("the store opens");
        let dispatcher = Dispatcher::new(store.clone(), Arc::new(SilentHints));
        let cause = Cause {
            actor: Actor::system("test"),
            correlation_id: "test".to_owned(),
            causation_id: None,
            traceparent: None,
        };
        let numbering = tokio::spawn(number(store.clone()));
        Self { store, clock, dispatcher, cause, numbering, _db: db }
    }

    /// One command with a generated key.
    pub async fn send(&self, id: &str, command: AnyCommand) -> Result<Dispatched, CommandError> {
        let context = CommandContext::new(CommandKey::Generated, self.cause.actor.clone(), "test");
        self.dispatcher.dispatch_as(id, command, context).await
    }

    /// A plan on sale.
    pub async fn publish(&self, id: &str, price: i64, capacity: i64) {
        let command = PlanCommand::Publish {
            details: details(id),
            monthly_price: Rupiah::new(price),
            capacity: Capacity(capacity),
        };
        self.send(id, AnyCommand::Plan(command)).await.expect("the plan can be published");
    }

    /// A price for it: an event for the probe to react to.
    pub async fn reprice(&self, id: &str, price: i64) {
        let command = PlanCommand::ChangePrice { monthly_price: Rupiah::new(price) };
        self.send(id, AnyCommand::Plan(command)).await.expect("the price can change");
    }

    /// Copies of a reactor, without NATS.
    pub fn run(&self, reactor: &Arc<dyn Reactor>, copies: usize) -> Running {
        self.run_with(reactor, copies, None)
    }

    /// Copies of a reactor.
    pub fn run_with(&self, reactor: &Arc<dyn Reactor>, copies: usize, nats: Option<&Nats>) -> Running {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for copy in 0..copies {
            let mut options = ReactorOptions::new(format!("copy-{copy}-{}", self.store.ids().next_id()));
            options.poll = Duration::from_millis(20);
            let dispatcher = self.dispatcher.clone();
            tasks.spawn(reactors::run(Arc::clone(reactor), dispatcher, nats.cloned(), options, stop.clone()));
        }
        Running { stop, tasks }
    }

    /// Whether everything has been numbered, intended and finished.
    pub async fn is_quiet(&self, reactor: &str) -> bool {
        let last = self.store.log().last_ins_seq().await.expect("answers");
        let head = self.store.log().head().await.expect("answers");
        let floor = reactors::floor(&self.store, reactor).await.expect("answers");
        // Effects begun in-line have no position yet.
        let open = self.store.ledger().open(reactor).await.expect("answers").intended;
        // Whatever finished while we looked may have appended.
        let still = self.store.log().last_ins_seq().await.expect("answers");
        head.ins_seq == last && last == still && floor == head.position && open == 0
    }

    /// Waits for that.
    pub async fn quiet(&self, reactor: &str) {
        wait_until(DEADLINE, || self.is_quiet(reactor)).await;
    }

    /// Names of an aggregate's events.
    pub async fn history(&self, aggregate_type: &str, id: &str) -> Vec<String> {
        let history = self.store.log().history(aggregate_type, id).await.expect("answers");
        history.into_iter().map(|recorded| recorded.event_type).collect()
    }

    /// All events in the order of their aggregates: type, id, sequence, name, payload.
    pub async fn contents(&self) -> Vec<(String, String, i64, String, String)> {
        sqlx::query_as(
            "SELECT aggregate_type, aggregate_id, sequence, event_type, payload::text FROM log.events ORDER BY 1, 2, 3",
        )
        .fetch_all(self.store.pool())
        .await
        .expect("answers")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.numbering.abort();
    }
}

/// Running copies of a loop.
pub struct Running {
    pub stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    /// Tells them to stop and waits until they have.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn number(store: Store) {
    loop {
        if let Ok(Some(height)) = store.numbering().barrier().await {
            let _ = store.numbering().number(height, 1_000).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn details(offering: &str) -> PlanDetails {
    PlanDetails {
        offering: offering.to_owned(),
        variant: "basic".to_owned(),
        variant_display_name: "Basic".to_owned(),
        display_name: "N8N - Basic".to_owned(),
        description: "workflow automation".to_owned(),
        version: "latest".to_owned(),
        cpu_request: "0.25".to_owned(),
        cpu_limit: "1".to_owned(),
        mem_request: "512Mi".to_owned(),
        mem_limit: "1Gi".to_owned(),
        docker_image: "n8nio/n8n".to_owned(),
        container_port: 5678,
        environment: std::collections::BTreeMap::new(),
        category: "automation".to_owned(),
        tags: Vec::new(),
        icon: String::new(),
        features: Vec::new(),
        sort_order: 1,
        is_default_variant: true,
        volume_size: None,
        volume_mount_path: None,
        volume_name: None,
        storage_class: "local-path".to_owned(),
        access_mode: "ReadWriteOnce".to_owned(),
        yearly_discount_percent: 0,
    }
}
