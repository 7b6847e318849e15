//! Customers and an administrator who ask for something at random all the while.

use std::{
    collections::BTreeMap,
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

/// What is asked for, and how often.
const ASKED: [(Ask, u64); 9] = [
    (Ask::Subscribe, 10),
    (Ask::Cancel, 3),
    (Ask::Restart, 4),
    (Ask::Reset, 3),
    (Ask::Stop, 4),
    (Ask::Start, 5),
    (Ask::Up, 6),
    (Ask::Down, 4),
    (Ask::Delete, 1),
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
    /// The workload goes, the volume stays; a start brings it back.
    Delete,
}

/// An offering that customers of the story buy: its plans, the cheapest first.
#[derive(Clone)]
pub struct Offered {
    pub plans: Vec<String>,
}

/// The newest subscription of one customer to one offering.
#[derive(Clone)]
struct Sold {
    id: String,
    instance: String,
}

/// Whoever asks, and what was taken.
pub struct Operator {
    pub admin: Door,
    pub customers: Vec<Door>,
    pub offered: Vec<Offered>,
    /// By customer and offering.
    sold: BTreeMap<(usize, usize), Sold>,
    /// How often each was taken.
    pub taken: BTreeMap<Ask, u32>,
}

impl Operator {
    pub fn new(admin: Door, customers: Vec<Door>, offered: Vec<Offered>) -> Self {
        Self { admin, customers, offered, sold: BTreeMap::new(), taken: BTreeMap::new() }
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
        let place = (one_of(draw, self.customers.len()), one_of(draw, self.offered.len()));
        let ask = draw.weighted(&ASKED);
        let known = self.sold.get(&place).cloned();
        let (Some(sold), true) = (known, ask != Ask::Subscribe) else { return self.subscribe(place).await };
        let (owner, admin) = (&self.customers[place.0], &self.admin);
        let plans = &self.offered[place.1].plans;
        let of = |path: &str| format!("/subscriptions/{}{path}", sold.id);
        let of_admin = |path: &str| format!("/admin/subscriptions/{}{path}", sold.id);
        let (door, method, path, body) = match ask {
            Ask::Subscribe => return,
            Ask::Delete if sold.instance.is_empty() => return,
            Ask::Cancel => (owner, Method::DELETE, of(""), json!({ "reason": "enough" })),
            Ask::Restart => (owner, Method::POST, of("/restart-pod"), json!({})),
            Ask::Reset => (owner, Method::POST, of("/reset-pod"), json!({})),
            Ask::Stop => (admin, Method::POST, of_admin("/stop"), json!({})),
            Ask::Start => (admin, Method::POST, of_admin("/start"), json!({})),
            Ask::Up => (owner, Method::POST, of("/upgrade"), moved(plans.last(), "confirmPayment")),
            Ask::Down => (admin, Method::POST, of("/downgrade"), moved(plans.first(), "confirmDowngrade")),
            Ask::Delete => (admin, Method::DELETE, format!("/admin/pods/{}", sold.instance), json!({})),
        };
        let answer = door.send(method, &path, Some(body)).await;
        // Refused: for its state, or for want of another plan.
        let refused = answer.status == 409 || answer.status == 400 && matches!(ask, Ask::Up | Ask::Down);
        assert!(refused || [200, 201, 202].contains(&answer.status), "{path}: {} {:#}", answer.status, answer.body);
        self.count(ask, answer.status);
    }

    async fn subscribe(&mut self, place: (usize, usize)) {
        let Some(plan) = self.offered[place.1].plans.first() else { return };
        let answer = self.customers[place.0].post("/subscriptions", json!({ "serviceId": plan })).await;
        assert!([200, 201, 409].contains(&answer.status), "subscribe: {} {:#}", answer.status, answer.body);
        self.count(Ask::Subscribe, answer.status);
        if answer.status < 300 {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let id = text(&answer.data()["id"]).expect("a subscription has an id");
            let shown = self.customers[place.0].get(&format!("/subscriptions/{id}")).await;
            let instance = text(&shown.data()["serviceInstance"]["id"]).unwrap_or_default();
            self.sold.insert(place, Sold { id, instance });
        }
    }

    fn count(&mut self, ask: Ask, status: u16) {
        *self.taken.entry(ask).or_default() += u32::from(status < 300);
    }

    /// Ends all that is left.
    pub async fn end(&self) {
        for ((customer, _), sold) in &self.sold {
            let path = format!("/subscriptions/{}", sold.id);
            let body = Some(json!({ "reason": "the story is over" }));
            let ended = self.customers[*customer].send(Method::DELETE, &path, body).await;
            assert!([200, 409].contains(&ended.status), "{path}: {} {:#}", ended.status, ended.body);
        }
    }
}

fn moved(plan: Option<&String>, confirmation: &str) -> Value {
    json!({ "newServiceId": plan, confirmation: true })
}
