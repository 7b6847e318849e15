//! What the simulated people live in: any bus with its clock, timers and reactions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use minispod_domain::AnyCommand;
use minispod_events::Event;
use minispod_kernel::Timestamp;

/// One event and whose it is.
#[derive(Debug, Clone)]
pub struct Happening {
    pub id: String,
    pub event: Event,
}

/// A timer that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub id: String,
    pub due: Timestamp,
    pub aggregate_id: String,
}

/// A bus over some store, with the roles that react.
#[async_trait]
pub trait World: Send {
    /// The clock.
    fn now(&self) -> Timestamp;
    /// When the first timer that waits is due.
    async fn next_timer(&mut self) -> Option<Timestamp>;
    /// Moves the clock to `instant` and fires what is due.
    async fn advance_to(&mut self, instant: Timestamp);
    /// A client's command with what follows at once; the refusal's code when a rule says no.
    async fn ask(&mut self, key: &str, id: &str, command: AnyCommand) -> Result<(), String>;
    /// A role's command.
    async fn tell(&mut self, key: &str, id: &str, command: AnyCommand) -> Result<(), String>;
    /// Carries out all reactions; `mood` may decide their order.
    async fn settle(&mut self, mood: u64);
    /// What has happened since the last time, in order.
    async fn news(&mut self) -> Vec<Happening>;
    /// The claims whose keys begin with `prefix`, and the ids of their holders.
    async fn claims(&mut self, prefix: &str) -> BTreeMap<String, String>;
    /// All timers that wait.
    async fn timers(&mut self) -> Vec<Waiting>;
}
