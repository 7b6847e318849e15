//! Customers and an administrator who ask for something at random all the while.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use minispod_e2e::Door;
use minispod_testkit::eventually;
use reqwest::Method;
use serde_json::{Value, json};

use crate::chaos::draw::Draw;

/// Between two requests: at least, and up to so many milliseconds more.
const PACE: u64 = 60;
const PACE_SPREAD: u64 = 250;

/// What is asked for, and how often: of about 250 requests each is taken some times.
pub const ASKED: [(Ask, u64); 10] = [
    (Ask::Subscribe, 12),
    (Ask::Cancel, 3),
    (Ask::Restart, 4),
    (Ask::Reset, 3),
    (Ask::Stop, 4),
    (Ask::Start, 5),
    (Ask::Up, 7),
    (Ask::Down, 6),
    (Ask::Delete, 5),
    (Ask::Redeploy, 6),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    Subscribe,
    Cancel,
    Restart,
    Reset,
    Stop,
    Start,
    /// To a dearer plan.
    Up,
    /// Back to a cheaper one, which an administrator may do at once.
    Down,
    /// The workload goes, the volume stays.
    Delete,
    /// What was deleted comes back over its volume.
    Redeploy,
}

/// An offering that customers of the story buy: its plans, the cheapest first.
#[derive(Clone)]
pub struct Offered {
    pub plans: Vec<String>,
}

/// A customer and an offering, each by its number.
type Place = (usize, usize);

/// Whoever asks, and what was taken.
pub struct Operator {
    pub admin: Door,
    pub customers: Vec<Door>,
    pub offered: Vec<Offered>,
    /// The newest subscription of each customer to each offering.
    sold: BTreeMap<Place, String>,
    /// Which of them has a dearer plan, and whose workload was deleted: there is a way back.
    dearer: BTreeSet<Place>,
    deleted: BTreeSet<Place>,
    /// How often each was taken.
    pub taken: BTreeMap<Ask, u32>,
}

impl Operator {
    pub fn new(admin: Door, customers: Vec<Door>, offered: Vec<Offered>) -> Self {
        let (dearer, deleted) = (BTreeSet::new(), BTreeSet::new());
        Self { admin, customers, offered, sold: BTreeMap::new(), dearer, deleted, taken: BTreeMap::new() }
    }

    /// Until told to stop; what is refused because something is on its way is as good.
    pub async fn ask_on(mut self, mut draw: Draw, over: Arc<AtomicBool>) -> Self {
        while !over.load(Ordering::SeqCst) {
            self.ask(&mut draw).await;
            let until = Duration::from_millis(PACE + draw.below(PACE_SPREAD));
            eventually(until, || async { over.load(Ordering::SeqCst) }).await;
        }
        self
    }

    async fn ask(&mut self, draw: &mut Draw) {
        let one_of = |draw: &mut Draw, many: usize| usize::try_from(draw.below(many as u64)).unwrap_or_default();
        let drawn = (one_of(draw, self.customers.len()), one_of(draw, self.offered.len()));
        let ask = draw.weighted(&ASKED);
        let ways_back: Vec<Place> = match ask {
            Ask::Down => self.dearer.iter().copied().collect(),
            Ask::Redeploy => self.deleted.iter().copied().collect(),
            _ => Vec::new(),
        };
        let place = draw.one(&ways_back).copied().unwrap_or(drawn);
        let known = self.sold.get(&place).cloned();
        let (Some(sold), true) = (known, ask != Ask::Subscribe) else { return self.subscribe(place).await };
        let (owner, admin) = (&self.customers[place.0], &self.admin);
        let plans = &self.offered[place.1].plans;
        let of = |path: &str| format!("/subscriptions/{sold}{path}");
        let of_admin = |path: &str| format!("/admin/subscriptions/{sold}{path}");
        let (door, method, path, body) = match ask {
            Ask::Subscribe => return,
            Ask::Cancel => (owner, Method::DELETE, of(""), json!({ "reason": "enough" })),
            Ask::Restart => (owner, Method::POST, of("/restart-pod"), json!({})),
            Ask::Reset => (owner, Method::POST, of("/reset-pod"), json!({})),
            Ask::Stop => (admin, Method::POST, of_admin("/stop"), json!({})),
            Ask::Start => (admin, Method::POST, of_admin("/start"), json!({})),
            Ask::Up => (owner, Method::POST, of("/upgrade"), moved(plans.last(), "confirmPayment")),
            Ask::Down => (admin, Method::POST, of("/downgrade"), moved(plans.first(), "confirmDowngrade")),
            Ask::Delete | Ask::Redeploy => {
                // Before the cluster took its objects there is nothing to delete.
                let shown = owner.get(&of("")).await;
                let instance = &shown.data()["serviceInstance"];
                let Some(id) = instance["id"].as_str() else { return };
                let is_deleted = instance["status"] == "DELETED";
                match ask {
                    Ask::Delete => (admin, Method::DELETE, format!("/admin/pods/{id}"), json!({})),
                    // Another start is not what is to be counted.
                    _ if !is_deleted => return,
                    _ => (admin, Method::POST, format!("/admin/pods/{id}/action"), json!({ "action": "start" })),
                }
            }
        };
        let answer = door.send(method, &path, Some(body)).await;
        // Refused: for its state, or for want of another plan.
        let refused = answer.status == 409 || answer.status == 400 && matches!(ask, Ask::Up | Ask::Down);
        assert!(refused || [200, 201, 202].contains(&answer.status), "{path}: {} {:#}", answer.status, answer.body);
        if !refused {
            self.count(ask, place);
        }
    }

    async fn subscribe(&mut self, place: Place) {
        let Some(plan) = self.offered[place.1].plans.first() else { return };
        let answer = self.customers[place.0].post("/subscriptions", json!({ "serviceId": plan })).await;
        assert!([200, 201, 409].contains(&answer.status), "subscribe: {} {:#}", answer.status, answer.body);
        if answer.status < 300 {
            let id = answer.data()["id"].as_str().expect("a subscription has an id");
            self.sold.insert(place, id.to_owned());
            self.count(Ask::Subscribe, place);
        }
    }

    /// It was taken.
    fn count(&mut self, ask: Ask, place: Place) {
        *self.taken.entry(ask).or_default() += 1;
        match ask {
            Ask::Up => {
                self.dearer.insert(place);
            }
            Ask::Delete => {
                self.deleted.insert(place);
            }
            Ask::Down => {
                self.dearer.remove(&place);
            }
            Ask::Redeploy => {
                self.deleted.remove(&place);
            }
            Ask::Subscribe | Ask::Cancel => {
                self.dearer.remove(&place);
                self.deleted.remove(&place);
            }
            Ask::Restart | Ask::Reset | Ask::Stop | Ask::Start => {}
        }
    }

    /// Ends all that is left.
    pub async fn end(&self) {
        for ((customer, _), sold) in &self.sold {
            let path = format!("/subscriptions/{sold}");
            let body = Some(json!({ "reason": "the story is over" }));
            let ended = self.customers[*customer].send(Method::DELETE, &path, body).await;
            assert!([200, 409].contains(&ended.status), "{path}: {} {:#}", ended.status, ended.body);
        }
    }
}

fn moved(plan: Option<&String>, confirmation: &str) -> Value {
    json!({ "newServiceId": plan, confirmation: true })
}
