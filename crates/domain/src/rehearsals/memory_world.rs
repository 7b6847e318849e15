//! The memory bus as a bus among others.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use minispod_events::Event;
use minispod_kernel::Timestamp;

use crate::{
    AnyCommand,
    bus_contract::{Answer, Bus},
    memory_bus::{MemoryBus, Order, Refused},
    simulation::world::{Happening, Waiting, World},
};

/// A bus in memory and how far its news have been told.
pub struct MemoryWorld {
    pub bus: MemoryBus,
    told: usize,
}

impl MemoryWorld {
    /// An empty world at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { bus: MemoryBus::new(now), told: 0 }
    }
}

/// Runs what never waits.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("nothing in memory waits"),
    }
}

fn code(outcome: Result<Vec<Event>, Refused>) -> Result<(), String> {
    outcome.map(|_| ()).map_err(|refused| refused.code)
}

#[async_trait]
impl World for MemoryWorld {
    fn now(&self) -> Timestamp {
        self.bus.now()
    }

    async fn next_timer(&mut self) -> Option<Timestamp> {
        self.bus.next_timer()
    }

    async fn advance_to(&mut self, instant: Timestamp) {
        self.bus.advance_to(instant, Order::InTurn);
    }

    async fn ask(&mut self, key: &str, id: &str, command: AnyCommand) -> Result<(), String> {
        code(self.bus.ask(key, id, command))
    }

    async fn tell(&mut self, key: &str, id: &str, command: AnyCommand) -> Result<(), String> {
        code(self.bus.tell(key, id, command))
    }

    async fn settle(&mut self, mood: u64) {
        self.bus.settle(Order::Shuffled(mood));
    }

    async fn news(&mut self) -> Vec<Happening> {
        let news = &self.bus.log()[self.told..];
        self.told += news.len();
        news.iter().map(|logged| Happening { id: logged.aggregate_id.clone(), event: logged.event.clone() }).collect()
    }

    async fn claims(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let held = self.bus.claims_from(prefix).take_while(|(key, _)| key.starts_with(prefix));
        held.map(|(key, (_, id))| (key.to_owned(), id.clone())).collect()
    }

    async fn timers(&mut self) -> Vec<Waiting> {
        let waiting = |timer: &crate::memory_bus::Timer| Waiting {
            id: timer.id.clone(),
            due: timer.due,
            aggregate_id: timer.aggregate_id.clone(),
        };
        self.bus.waiting().map(waiting).collect()
    }
}

#[async_trait]
impl Bus for MemoryWorld {
    async fn ask(&mut self, key: &str, id: &str, command: AnyCommand) -> Answer {
        self.bus.ask(key, id, command).map_err(|refused| refused.code)
    }

    async fn tell(&mut self, key: &str, id: &str, command: AnyCommand) -> Answer {
        self.bus.tell(key, id, command).map_err(|refused| refused.code)
    }

    async fn settle(&mut self) {
        self.bus.settle(Order::InTurn);
    }

    async fn advance(&mut self, by: Duration) {
        self.bus.advance(by);
    }

    async fn history(&mut self, aggregate_type: &'static str, id: &str) -> Vec<String> {
        self.bus.names(aggregate_type, id).into_iter().map(str::to_owned).collect()
    }

    async fn holder(&mut self, claim: &str) -> Option<String> {
        self.bus.holder(claim).map(str::to_owned)
    }

    async fn timers(&mut self) -> Vec<String> {
        self.bus.timers().into_iter().map(str::to_owned).collect()
    }
}

#[test]
fn the_memory_bus_does_what_every_bus_must() {
    for case in crate::bus_contract::CASES {
        let mut world = MemoryWorld::new(crate::story::noon());
        run((case.run)(&mut world));
    }
}
