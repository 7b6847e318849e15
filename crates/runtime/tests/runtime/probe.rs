//! A reactor to look into: one effect for each new price of a plan, in the plan's lane, scripted to fail or wait.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use minispod_domain::{
    AnyCommand, CommandRequest, PlanCommand,
    ports::{Effect, EffectError, Intent, Performed, Reactor},
};
use minispod_events::{Event, Fact, PlanEvent};
use minispod_kernel::{Rupiah, Timestamp};
use serde_json::json;
use tokio::sync::Semaphore;

pub const PROBE: &str = "mailer";

/// What one try does, in the order of the script; without a script it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    Transient,
    Permanent,
    /// Works, and is to be done again at this many milliseconds.
    Again(i64),
}

pub struct Probe {
    pub script: Mutex<BTreeMap<String, VecDeque<Try>>>,
    /// Lane and price of everything that succeeded, in order.
    pub log: Mutex<Vec<(String, i64)>>,
    pub tries: AtomicUsize,
    /// Whether a success is reported by a command that differs from try to try.
    pub reports: bool,
    /// A try waits for one of these.
    pub gate: Semaphore,
}

impl Probe {
    pub fn new() -> Self {
        Self {
            script: Mutex::default(),
            log: Mutex::default(),
            tries: AtomicUsize::new(0),
            reports: false,
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }
    }

    /// What the next tries in the lane of `plan` do.
    pub fn script(&self, plan: &str, tries: &[Try]) {
        self.script.lock().expect("no panic").insert(plan.to_owned(), tries.iter().copied().collect());
    }

    pub fn prices_of(&self, plan: &str) -> Vec<i64> {
        let log = self.log.lock().expect("no panic");
        log.iter().filter(|(lane, _)| lane == plan).map(|(_, price)| *price).collect()
    }

    pub fn tries(&self) -> usize {
        self.tries.load(Ordering::SeqCst)
    }
}

/// The intent of one fact.
pub fn intent_of(fact_id: &str, plan: &str, price: i64) -> Intent {
    Intent {
        key: format!("{fact_id}.probe"),
        lane: plan.to_owned(),
        kind: "probe".to_owned(),
        payload: json!({ "price": price }),
        not_before: None,
    }
}

#[async_trait]
impl Reactor for Probe {
    fn name(&self) -> &'static str {
        PROBE
    }

    fn intend(&self, fact: &Fact) -> Vec<Intent> {
        let Event::Plan(PlanEvent::PlanPriceChanged { monthly_price, .. }) = &fact.event else { return Vec::new() };
        // Its own reports are above this and ask for nothing.
        if monthly_price.amount() >= 1_000_000 {
            return Vec::new();
        }
        let recorded = &fact.recorded;
        vec![intent_of(&recorded.metadata.event_id, &recorded.aggregate_id, monthly_price.amount())]
    }

    async fn perform(&self, effect: &Effect) -> Result<Performed, EffectError> {
        self.gate.acquire().await.expect("the gate stays").forget();
        let number = self.tries.fetch_add(1, Ordering::SeqCst);
        let next = self.script.lock().expect("no panic").get_mut(&effect.lane).and_then(VecDeque::pop_front);
        match next {
            Some(Try::Transient) => return Err(EffectError::Transient { what: "the probe".to_owned(), source: None }),
            Some(Try::Permanent) => return Err(EffectError::Permanent { what: "the probe".to_owned(), source: None }),
            Some(Try::Again(millis)) => {
                let again_at = Some(Timestamp::from_unix_millis(millis));
                return Ok(Performed { commands: Vec::new(), again_at });
            }
            None => {}
        }
        let price = effect.payload["price"].as_i64().expect("the payload comes back");
        self.log.lock().expect("no panic").push((effect.lane.clone(), price));
        if !self.reports {
            return Ok(Performed::default());
        }
        let command = PlanCommand::ChangePrice { monthly_price: Rupiah::new(1_000_000 + number as i64) };
        Ok(Performed::report(vec![CommandRequest {
            key: format!("{}.0", effect.key),
            aggregate_id: effect.lane.clone(),
            command: AnyCommand::Plan(command),
            on_refusal: None,
        }]))
    }
}
