//! Customers with two hands each: both use one wallet at once, and all customers want the same few places.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use minispod_e2e::{Door, door::Answer};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::draw::Draw;

/// Patience of one client for one command while everything is being killed.
const COMMAND_LIMIT: Duration = Duration::from_mins(1);
/// Pause before a command that got no answer is sent again under its key.
const AGAIN: Duration = Duration::from_millis(60);
/// Host names that several customers want.
const NAMES: u64 = 12;
/// One command in so many is sent twice at once, like by a hasty finger.
const TWICE_ONE_IN: u64 = 8;
/// A notification is delivered so many times at once, at most.
const COPIES_MAX: u64 = 4;

/// What a client asks of the api.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Register,
    TopUp,
    PayAgain,
    /// The gateway's word that an order is paid, brought by the client's hand; the story plays the gateway here.
    Notify,
    Subscribe,
    Renew,
    Cancel,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Register, Self::TopUp, Self::PayAgain, Self::Notify, Self::Subscribe, Self::Renew, Self::Cancel];
}

const WEIGHTS: [(Kind, u64); 6] = [
    (Kind::TopUp, 40),
    (Kind::PayAgain, 12),
    (Kind::Notify, 8),
    (Kind::Subscribe, 22),
    (Kind::Renew, 16),
    (Kind::Cancel, 10),
];

/// How often each plan is wanted. Of the first there are fewer places than customers.
pub const WANTED: [(&str, u64); 5] =
    [("n8n/pro", 45), ("ghost/basic", 15), ("wordpress/free", 15), ("postgresql/basic", 15), ("n8n/plus", 10)];

/// What all clients together were told.
#[derive(Default)]
pub struct Tally {
    /// Commands that were accepted.
    pub accepted: AtomicU64,
    /// Commands that wait for their answer now.
    pub in_flight: AtomicU64,
    /// Commands sent again because the first answer did not come.
    pub again: AtomicU64,
    /// Commands and notifications that were accepted once more than once, on purpose.
    pub doubled: AtomicU64,
    by_kind: Mutex<BTreeMap<Kind, u64>>,
    refused: Mutex<BTreeMap<(Kind, String), u64>>,
}

impl Tally {
    /// Accepted commands by kind.
    pub fn by_kind(&self) -> BTreeMap<Kind, u64> {
        lock(&self.by_kind).clone()
    }

    /// Refusals by kind and reason.
    pub fn refused(&self) -> BTreeMap<(Kind, String), u64> {
        lock(&self.refused).clone()
    }

    fn accept(&self, kind: Kind) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        *lock(&self.by_kind).entry(kind).or_default() += 1;
    }

    fn refuse(&self, kind: Kind, reason: &str) {
        *lock(&self.refused).entry((kind, reason.to_owned())).or_default() += 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one customer was promised by accepted commands.
#[derive(Debug, Default, Clone)]
pub struct Promised {
    pub user: String,
    /// Order and amount of each top-up, by id.
    pub topups: BTreeMap<String, (String, i64)>,
    /// Top-ups paid at the gateway.
    pub paid: BTreeSet<String>,
    pub subscriptions: BTreeSet<String>,
    pub cancelled: BTreeSet<String>,
    /// The keys of accepted renewals by subscription.
    pub renewals: BTreeMap<String, BTreeSet<String>>,
    /// The idempotency keys of all accepted commands that have one.
    pub keys: BTreeSet<String>,
    /// What the gateway has said of the orders that were paid.
    pub notices: Vec<Vec<u8>>,
    /// The inbox ids of the notifications that were accepted from a hand of this customer.
    pub notified: BTreeSet<String>,
}

impl Promised {
    /// Rupiah that must be in the wallet's credits.
    pub fn credit(&self) -> i64 {
        self.paid.iter().filter_map(|id| self.topups.get(id)).map(|(_, amount)| amount).sum()
    }

    fn live(&self) -> Vec<String> {
        self.subscriptions.difference(&self.cancelled).cloned().collect()
    }
}

/// A final answer.
enum Answered {
    Accepted(Value),
    Refused,
}

/// What all clients know.
pub struct Market {
    pub door: Door,
    pub gateway: String,
    /// Plans by `offering/variant`.
    pub plans: BTreeMap<String, String>,
    pub tally: Arc<Tally>,
    pub seed: u64,
    /// Commands each hand must have accepted.
    pub commands_each: u64,
}

/// A customer's door, and what the customer was promised.
pub type Served = (Door, Promised);

/// One customer: registers, then works with two hands at once.
pub async fn customer(market: Arc<Market>, number: u64) -> Served {
    let promised = Arc::new(Mutex::new(Promised::default()));
    let mut hand = Hand {
        door: market.door.clone(),
        draw: Draw::new(market.seed, number * 2 + 1),
        market,
        name: format!("chaos-{number}"),
        turn: 0,
        promised: promised.clone(),
    };
    hand.register(number).await;
    let door = hand.door.clone();
    let other = Hand {
        door: door.clone(),
        draw: Draw::new(hand.market.seed, number * 2 + 2),
        market: hand.market.clone(),
        name: format!("chaos-{number}-left"),
        turn: 0,
        promised: promised.clone(),
    };
    let hands = [tokio::spawn(hand.work()), tokio::spawn(other.work())];
    for hand in hands {
        hand.await.expect("a client ends well");
    }
    let promised = lock(&promised).clone();
    (door, promised)
}

/// One client of a customer.
struct Hand {
    door: Door,
    draw: Draw,
    market: Arc<Market>,
    name: String,
    turn: u64,
    promised: Arc<Mutex<Promised>>,
}

impl Hand {
    async fn work(mut self) {
        let mut accepted = 0;
        while accepted < self.market.commands_each {
            self.turn += 1;
            let done = match self.draw.weighted(&WEIGHTS) {
                Kind::Subscribe => self.subscribe().await,
                Kind::Renew => self.renew().await,
                Kind::Cancel => self.cancel().await,
                Kind::PayAgain => self.pay_again().await,
                Kind::Notify => self.repeat_a_notice().await,
                Kind::TopUp | Kind::Register => self.top_up().await,
            };
            accepted += u64::from(done);
        }
    }

    /// Registration takes no key: who got no answer and is told the address is taken, signs in.
    async fn register(&mut self, number: u64) {
        let (email, password) = (format!("chaos.{number}@example.com"), "Rahasia-123!");
        let new =
            json!({"name": "Chaos", "email": email, "password": password, "confirmPassword": password}).to_string();
        let known = json!({"email": email, "password": password}).to_string();
        let end = Instant::now() + COMMAND_LIMIT;
        let (mut path, mut body) = ("/auth/register", new);
        loop {
            assert!(Instant::now() < end, "{email} could not register within {COMMAND_LIMIT:?}");
            match self.send(Method::POST, path, body.clone().into_bytes(), None).await {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    let data = &answer.body["data"];
                    let token = data["tokens"]["accessToken"].as_str().expect("an account has a token");
                    self.door = self.door.with_token(token);
                    data["user"]["id"].as_str().expect("a user has an id").clone_into(&mut lock(&self.promised).user);
                    return self.market.tally.accept(Kind::Register);
                }
                Ok(answer) if answer.status == 409 => (path, body) = ("/auth/login", known.clone()),
                Ok(answer) if answer.status < 500 => panic!("{path} answers {}: {}", answer.status, answer.body),
                _ => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    async fn top_up(&mut self) -> bool {
        let amount = 10_000 + self.draw.below(90) as i64 * 1_000;
        let body = json!({"amount": amount, "currency": "IDR"});
        let Answered::Accepted(data) = self.ask(Kind::TopUp, Method::POST, "/billing/topup", &body, &[]).await else {
            return false;
        };
        let (id, order) = (text(&data, "transactionId"), text(&data, "orderId"));
        let before = lock(&self.promised).topups.insert(id.clone(), (order.clone(), amount));
        assert!(before.is_none(), "two top-ups have the id {id}");
        if self.draw.below(10) < 6 {
            self.pay(&id, &order).await;
        }
        true
    }

    /// Asks for the payment page of a top-up that the history shows as payable, and mostly pays it then.
    async fn pay_again(&mut self) -> bool {
        let path = "/billing/transactions?type=TOPUP&status=PENDING&limit=100";
        let Ok(listed) = self.send(Method::GET, path, Vec::new(), None).await else { return false };
        let lines = listed.body["data"]["transactions"].as_array().cloned().unwrap_or_default();
        let Some(line) = self.draw.one(&lines).map(|line| text(line, "id")) else { return false };
        let path = format!("/billing/transactions/{line}/pay");
        let Answered::Accepted(data) = self.ask(Kind::PayAgain, Method::POST, &path, &json!({}), &[409]).await else {
            return false;
        };
        let (id, order) = (text(&data, "transactionId"), text(&data, "orderId"));
        // It may have been paid by the other hand in the meantime; then there is nothing to pay any more.
        if data["status"] == "PENDING" && self.draw.below(10) < 7 {
            self.pay(&id, &order).await;
        }
        true
    }

    /// At the gateway's page. Its notification finds the api dead or alive, and comes from the gateway, from this hand,
    /// or from both at once.
    async fn pay(&mut self, topup: &str, order: &str) {
        // Promised first: the other hand must not leave out what the gateway has taken already.
        lock(&self.promised).paid.insert(topup.to_owned());
        let way = *self.draw.one(&["qris", "gopay", "bank_transfer", "cstore"]).expect("there are ways to pay");
        let (by_gateway, by_hand) = self.draw.weighted(&[((true, false), 5), ((false, true), 2), ((true, true), 2)]);
        let url = format!("{}/standin/orders/{order}/pay", self.market.gateway);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client can be made");
        let choice = json!({"payment_type": way, "notify": by_gateway});
        let paid = client.post(url).json(&choice).send().await.expect("the stand-in answers");
        assert!(paid.status().is_success(), "the stand-in does not take the payment of {order}");
        let notice = paid.bytes().await.expect("the stand-in answers in full").to_vec();
        lock(&self.promised).notices.push(notice.clone());
        if by_hand {
            self.notify(notice).await;
        }
    }

    /// The gateway may say again what it said long ago.
    async fn repeat_a_notice(&mut self) -> bool {
        let notices = lock(&self.promised).notices.clone();
        let Some(notice) = self.draw.one(&notices).cloned() else { return false };
        self.notify(notice).await
    }

    /// Delivers a notification, mostly several times at once, until each copy is taken. Whether it is news.
    async fn notify(&mut self, notice: Vec<u8>) -> bool {
        let copies = 1 + self.draw.below(COPIES_MAX);
        let deliver = || self.insist(Method::POST, "/billing/webhooks/midtrans", notice.clone(), None, &[]);
        let answers = futures::future::join_all((0..copies).map(|_| deliver())).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "notifications are answered {answers:?}");
        let is_new = lock(&self.promised).notified.insert(hex::encode(Sha256::digest(&notice)));
        if is_new {
            self.market.tally.accept(Kind::Notify);
        }
        self.market.tally.doubled.fetch_add(copies - u64::from(is_new), Ordering::SeqCst);
        is_new
    }

    async fn subscribe(&mut self) -> bool {
        let plan = &self.market.plans[self.draw.weighted(&WANTED)];
        let mut body = json!({"serviceId": plan});
        if self.draw.below(4) == 0 {
            body["subdomain"] = json!(format!("rebutan-{}", self.draw.below(NAMES)));
        }
        let answered = self.ask(Kind::Subscribe, Method::POST, "/subscriptions", &body, &[402, 409]).await;
        let Answered::Accepted(data) = answered else { return false };
        let id = text(&data, "id");
        assert!(lock(&self.promised).subscriptions.insert(id.clone()), "two subscriptions have the id {id}");
        true
    }

    async fn renew(&mut self) -> bool {
        let live = lock(&self.promised).live();
        let Some(id) = self.draw.one(&live).cloned() else { return false };
        let path = format!("/subscriptions/{id}/renew");
        let answered = self.ask(Kind::Renew, Method::PUT, &path, &json!({}), &[402, 409]).await;
        let Answered::Accepted(_) = answered else { return false };
        lock(&self.promised).renewals.entry(id).or_default().insert(self.key());
        true
    }

    async fn cancel(&mut self) -> bool {
        let live = lock(&self.promised).live();
        let Some(id) = self.draw.one(&live).cloned() else { return false };
        let path = format!("/subscriptions/{id}");
        let body = json!({"reason": "chaos"});
        let Answered::Accepted(_) = self.ask(Kind::Cancel, Method::DELETE, &path, &body, &[409]).await else {
            return false;
        };
        lock(&self.promised).cancelled.insert(id);
        true
    }

    /// The idempotency key of this turn's command.
    fn key(&self) -> String {
        format!("{}-{}", self.name, self.turn)
    }

    /// Asks once, or twice at once, under one key. Two acceptances are the same one.
    async fn ask(&mut self, kind: Kind, method: Method, path: &str, body: &Value, refusals: &[u16]) -> Answered {
        let key = self.key();
        let times = if self.draw.below(TWICE_ONE_IN) == 0 { 2 } else { 1 };
        let once = || self.insist(method.clone(), path, body.to_string().into_bytes(), Some(&key), refusals);
        let answers = futures::future::join_all((0..times).map(|_| once())).await;
        let (taken, refused): (Vec<Answer>, Vec<Answer>) =
            answers.into_iter().partition(|answer| (200..300).contains(&answer.status));
        let Some(first) = taken.first() else {
            for answer in refused {
                self.market.tally.refuse(kind, answer.body["message"].as_str().unwrap_or("no reason"));
            }
            return Answered::Refused;
        };
        let named = |answer: &Answer| [answer.body["data"]["id"].clone(), answer.body["data"]["transactionId"].clone()];
        assert!(taken.iter().all(|one| named(one) == named(first)), "two answers under {key}: {taken:?}");
        lock(&self.promised).keys.insert(key);
        self.market.tally.accept(kind);
        self.market.tally.doubled.fetch_add(taken.len() as u64 - 1, Ordering::SeqCst);
        Answered::Accepted(first.body["data"].clone())
    }

    /// Asks until the api gives a final answer. A cut connection, 5xx, and a resource that the read models do not
    /// show yet are asked again under the same key.
    async fn insist(&self, method: Method, path: &str, body: Vec<u8>, key: Option<&str>, refusals: &[u16]) -> Answer {
        let end = Instant::now() + COMMAND_LIMIT;
        let mut last = String::new();
        while Instant::now() < end {
            match self.send(method.clone(), path, body.clone(), key).await {
                Ok(answer) if (200..300).contains(&answer.status) || refusals.contains(&answer.status) => {
                    return answer;
                }
                Ok(answer) if answer.status < 500 && answer.status != 429 && !is_unseen(&answer) => {
                    panic!("{method} {path} is answered {}: {}", answer.status, answer.body)
                }
                Ok(answer) => last = format!("{}: {}", answer.status, answer.body),
                Err(error) => last = error.to_string(),
            }
            self.market.tally.again.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(AGAIN).await;
        }
        panic!("{method} {path} got no final answer within {COMMAND_LIMIT:?}; the last was {last}");
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        key: Option<&str>,
    ) -> Result<Answer, reqwest::Error> {
        let headers: Vec<(&str, &str)> = key.map(|key| ("Idempotency-Key", key)).into_iter().collect();
        self.market.tally.in_flight.fetch_add(1, Ordering::SeqCst);
        let answer = self.door.try_send(method, path, Some(body), &headers).await;
        self.market.tally.in_flight.fetch_sub(1, Ordering::SeqCst);
        answer
    }
}

/// What was written a moment ago and the read models do not show yet: they are killed too.
fn is_unseen(answer: &Answer) -> bool {
    answer.status == 404 || answer.status == 401 && answer.body["message"] == "User not found"
}

fn text(data: &Value, field: &str) -> String {
    data[field].as_str().unwrap_or_else(|| panic!("no {field} in {data}")).to_owned()
}
