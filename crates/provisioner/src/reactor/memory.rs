//! What this process has heard and done: hints that end a wait which nobody wants any more, and spare repeats.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use minispod_kernel::{Clock, Timestamp};

use super::Task;
use crate::cluster::Cause;

/// Instances that are not asked about any more are forgotten beyond this many.
const REMEMBERED: usize = 10_000;
/// What another process may have heard is asked for again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What was asked for last, by the facts.
#[async_trait]
pub trait Requests: Send + Sync {
    /// The newest request for an instance; `None` when there is no such instance.
    async fn newest(&self, instance_id: &str) -> Result<Option<Newest>, Cause>;
}

/// The newest request for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newest {
    pub generation: u32,
    /// It is to run, now or soon; otherwise it is to rest or to go.
    pub runs: bool,
    /// Its data is to go too.
    pub purges: bool,
}

/// Facts that nobody asks: every request is taken for the newest until a newer one is heard.
pub struct Unheard;

#[async_trait]
impl Requests for Unheard {
    async fn newest(&self, _: &str) -> Result<Option<Newest>, Cause> {
        Ok(None)
    }
}

/// What is known of an instance's requests.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    generation: u32,
    /// Log position of the newest one that asks for something new.
    position: i64,
    /// When the facts were last asked.
    asked_at: Option<Timestamp>,
}

/// Of one process. Forgetting costs a look or an apply that changes nothing.
pub(super) struct Memory {
    requests: Arc<dyn Requests>,
    clock: Arc<dyn Clock>,
    newest: Mutex<BTreeMap<String, Heard>>,
    /// Starts (instance and generation) whose objects this process has applied and that are still waited for.
    applied: Mutex<BTreeSet<(String, u32)>>,
}

impl Memory {
    pub(super) fn new(requests: Arc<dyn Requests>, clock: Arc<dyn Clock>) -> Self {
        Self { requests, clock, newest: Mutex::default(), applied: Mutex::default() }
    }

    pub(super) fn hear(&self, task: &Task) {
        // What is only put right asks for nothing new.
        let position = if task.repairs && !task.doors { 0 } else { task.position };
        self.note(&task.instance_id, Heard { generation: task.generation, position, asked_at: None });
    }

    fn note(&self, instance_id: &str, heard: Heard) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.len() >= REMEMBERED && !newest.contains_key(instance_id) {
            newest.pop_first();
        }
        let known = newest.entry(instance_id.to_owned()).or_default();
        *known = Heard {
            generation: heard.generation.max(known.generation),
            position: heard.position.max(known.position),
            asked_at: heard.asked_at.max(known.asked_at),
        };
    }

    /// The facts are right, whatever was heard.
    fn take(&self, instance_id: &str, newest: Option<Newest>, now: Timestamp) {
        self.note(instance_id, Heard { generation: 0, position: 0, asked_at: Some(now) });
        let mut known = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(known), Some(newest)) = (known.get_mut(instance_id), newest) else { return };
        if known.generation > newest.generation {
            known.position = 0;
        }
        known.generation = newest.generation;
    }

    /// Whether something newer was asked for. The process that carries a request out need not be the one that hears of the
    /// next: it may have begun after that, or share the work with another.
    pub(super) async fn is_outdated(&self, task: &Task) -> bool {
        let now = self.clock.now();
        let asked_at = self.known(&task.instance_id).and_then(|known| known.asked_at);
        // What was heard is asked about before a request ends by it: the log may have been set back since.
        if !self.hears_of_newer(task) && asked_at.is_some_and(|at| now < at.plus(ASK_AGAIN)) {
            return false;
        }
        self.ask(task).await;
        self.hears_of_newer(task)
    }

    /// What the facts say was asked for last; `None` where they do not know, or cannot be read.
    pub(super) async fn ask(&self, task: &Task) -> Option<Newest> {
        let now = self.clock.now();
        match self.requests.newest(&task.instance_id).await {
            Ok(newest) => {
                self.take(&task.instance_id, newest, now);
                newest
            }
            Err(error) => {
                let (instance, error) = (&task.instance_id, error.as_ref() as &dyn Error);
                tracing::warn!(instance, error, "what was asked for last cannot be read");
                None
            }
        }
    }

    /// What was asked for since, by the facts.
    pub(super) async fn newer(&self, task: &Task) -> Option<Newest> {
        self.ask(task).await.filter(|newest| newest.generation > task.generation)
    }

    fn known(&self, instance_id: &str) -> Option<Heard> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).get(instance_id).copied()
    }

    fn hears_of_newer(&self, task: &Task) -> bool {
        self.known(&task.instance_id)
            .is_some_and(|known| known.generation > task.generation || (task.doors && known.position > task.position))
    }

    /// Whether an earlier look of this process applied the start's objects.
    pub(super) fn has_applied(&self, task: &Task) -> bool {
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        applied.contains(&(task.instance_id.clone(), task.generation))
    }

    pub(super) fn remember_applied(&self, task: &Task, waits: bool) {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (task.instance_id.clone(), task.generation);
        if !waits {
            applied.remove(&start);
            return;
        }
        if applied.len() >= REMEMBERED {
            applied.pop_first();
        }
        applied.insert(start);
    }
}
