//! The payment gateway, played: what it knows of each order, when, and which of its notifications arrive.

use std::{collections::BTreeMap, time::Duration};

use minispod_domain::{GatewayRefund, GatewayStatus, topup::is_verdict};
use minispod_events::TopUpEvent;
use minispod_kernel::{Rupiah, Timestamp};

use super::{books::Paid, chance::Chance, findings::Findings};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What is to happen to an order.
#[derive(Debug, Clone)]
pub enum Step {
    /// The payment page was made.
    Token,
    /// A notification arrives.
    Deliver { inbox_id: String },
    /// The gateway is asked for the order's status.
    Ask,
    /// Its answer comes in: what it said then, and how many of its words were known then.
    Answer { status: Box<GatewayStatus>, after: u64 },
    /// Our own expiry.
    Expire,
}

/// A step, the order and when.
pub type Planned = (Timestamp, String, Step);

/// One order at the gateway.
#[derive(Debug)]
struct Order {
    topup_id: String,
    words: Vec<(Timestamp, GatewayStatus)>,
    /// What the last word leaves in the wallet.
    left: i64,
}

/// All orders.
#[derive(Debug, Default)]
pub struct Gateway {
    orders: BTreeMap<String, Order>,
    amounts: BTreeMap<String, Rupiah>,
    verdicts: BTreeMap<String, u64>,
    asked: u64,
}

/// The gateway's words in the making: each later than the last.
struct Script<'a> {
    chance: &'a mut Chance,
    at: Timestamp,
    order_id: &'a str,
    amount: i64,
    words: Vec<(Timestamp, GatewayStatus)>,
    taken: i64,
}

impl Gateway {
    /// Follows a top-up's events: new orders get their future, notifications are looked into.
    pub fn observe(&mut self, topup_id: &str, event: &TopUpEvent, now: Timestamp, chance: &mut Chance) -> Vec<Planned> {
        *self.verdicts.entry(topup_id.to_owned()).or_default() += u64::from(is_verdict(event));
        match event {
            TopUpEvent::TopUpRequested { amount, order_id, expires_at, .. } => {
                self.amounts.insert(topup_id.to_owned(), *amount);
                self.take(topup_id, order_id, *expires_at, now, chance)
            }
            TopUpEvent::TopUpAttemptStarted { order_id, expires_at, .. } => {
                self.take(topup_id, order_id, *expires_at, now, chance)
            }
            TopUpEvent::TopUpNotificationRecorded { order_id, .. } => {
                let slow = if chance.per_mille(50) { HOUR * 3 } else { SECOND * 10 };
                vec![(now.plus(chance.between(SECOND, slow)), order_id.clone(), Step::Ask)]
            }
            _ => Vec::new(),
        }
    }

    /// The top-up of an order.
    pub fn topup_of(&self, order_id: &str) -> Option<&str> {
        self.orders.get(order_id).map(|order| order.topup_id.as_str())
    }

    /// What the gateway says of an order at `now`, and when that answer comes in. Nothing before it knows the order.
    pub fn ask(&self, order_id: &str, now: Timestamp, chance: &mut Chance) -> Option<Planned> {
        let order = self.orders.get(order_id)?;
        let (_, status) = order.words.iter().rev().find(|(at, _)| *at <= now)?;
        let after = self.verdicts.get(&order.topup_id).copied().unwrap_or_default();
        let slow = if chance.per_mille(100) { MINUTE * 5 } else { SECOND };
        let answer = Step::Answer { status: Box::new(status.clone()), after };
        Some((now.plus(chance.between(Duration::ZERO, slow)), order_id.to_owned(), answer))
    }

    /// A new place in the inbox, for what is asked again.
    pub fn asked_again(&mut self) -> String {
        self.asked += 1;
        format!("asked-again-{}", self.asked)
    }

    /// Every order that the gateway has long finished with is in the books as its last word says.
    pub fn check(&self, now: Timestamp, books: &super::books::Books, findings: &mut Findings) {
        for (order_id, order) in &self.orders {
            let Some((last, _)) = order.words.last() else { continue };
            if last.plus(DAY * 2) < now {
                let Paid { credited, taken_back } = books.paid(order_id);
                let (left, due) = (credited - taken_back, order.left);
                findings
                    .expect(left == due, || format!("{order_id}: {left} is left in the wallet, {due} at the gateway"));
            }
        }
    }

    fn take(
        &mut self,
        topup_id: &str,
        order_id: &str,
        expires_at: Timestamp,
        now: Timestamp,
        chance: &mut Chance,
    ) -> Vec<Planned> {
        let amount = self.amounts.get(topup_id).copied().unwrap_or_default().amount();
        let mut script = Script { chance, at: now, order_id, amount, words: Vec::new(), taken: 0 };
        script.write(expires_at);
        let (words, taken) = (script.words, script.taken);
        let plan = |at: Timestamp, step: Step| (at, order_id.to_owned(), step);
        let mut steps = vec![plan(now.plus(SECOND), Step::Token), plan(expires_at.plus(HOUR), Step::Expire)];
        // The poll right after the request, and the sweep a day after each word.
        let polls = [SECOND * 30, MINUTE * 2, HOUR, DAY].map(|wait| now.plus(wait));
        let sweeps = words.iter().map(|(at, _)| at.plus(DAY + MINUTE));
        steps.extend(polls.into_iter().chain(sweeps).map(|at| plan(at, Step::Ask)));
        for (number, (at, _)) in words.iter().enumerate() {
            let copies = if chance.per_mille(150) { 0 } else { 1 + chance.below(3) / 2 };
            for _ in 0..copies {
                let late = if chance.per_mille(200) { DAY * 2 } else { SECOND * 20 };
                let inbox_id = format!("{order_id}-{number}");
                steps.push(plan(at.plus(chance.between(SECOND, late)), Step::Deliver { inbox_id }));
            }
        }
        let credited = if words.iter().any(|(_, word)| is_money(word)) { amount } else { 0 };
        let (topup_id, left) = (topup_id.to_owned(), credited - taken);
        self.orders.insert(order_id.to_owned(), Order { topup_id, words, left });
        steps
    }
}

fn is_money(word: &GatewayStatus) -> bool {
    let fits = word.fraud_status.as_deref() != Some("challenge");
    fits && matches!(word.transaction_status.as_str(), "settlement" | "capture")
}

impl Script<'_> {
    fn write(&mut self, expires_at: Timestamp) {
        match self.chance.below(100) {
            // Nobody opens the page.
            0..5 => {}
            5..10 => {
                self.say(MINUTE, HOUR, "pending", "201");
                self.at = expires_at;
                self.say(SECOND, MINUTE, "expire", "407");
            }
            10..13 => {
                self.say(MINUTE, HOUR, "pending", "201");
                self.say(MINUTE, HOUR, "deny", "202");
            }
            13..19 => {
                self.say(MINUTE, HOUR, "deny", "202");
                self.say(MINUTE, HOUR * 5, "settlement", "200");
            }
            19..22 => {
                self.say(MINUTE, HOUR, "pending", "201");
                self.say(MINUTE, HOUR * 2, "cancel", "200");
            }
            22..27 => {
                self.challenge();
                self.say(MINUTE, HOUR * 20, "capture", "200");
            }
            27..29 => {
                self.challenge();
                self.say(MINUTE, HOUR * 20, "cancel", "200");
            }
            29..33 => {
                self.pay();
                self.say(HOUR, DAY * 5, "deny", "202");
                self.taken = self.amount;
            }
            33..37 => self.give_back_in_parts("partial_refund", &[(false, 0), (true, 0)]),
            37..39 => self.give_back_in_parts("partial_refund", &[(false, 0), (false, 1)]),
            39..41 => {
                self.pay();
                self.say(HOUR, DAY * 10, "refund", "200");
                self.taken = self.amount;
            }
            41..44 => {
                self.pay();
                self.say(DAY * 3, DAY * 35, "chargeback", "200");
                self.taken = self.amount;
            }
            44..46 => {
                self.give_back_in_parts("partial_chargeback", &[(false, 0)]);
                self.say(DAY, DAY * 9, "chargeback", "200");
                self.taken = self.amount;
            }
            _ => self.pay(),
        }
    }

    fn pay(&mut self) {
        self.say(SECOND * 20, HOUR, "pending", "201");
        self.say(MINUTE, HOUR * 12, "settlement", "200");
    }

    fn challenge(&mut self) {
        self.say(MINUTE, HOUR, "capture", "201");
        if let Some((_, word)) = self.words.last_mut() {
            word.fraud_status = Some("challenge".to_owned());
        }
    }

    /// A third of it each time; a word lists all that was given back so far.
    fn give_back_in_parts(&mut self, status: &str, parts: &[(bool, usize)]) {
        self.pay();
        let part = self.amount / 3;
        let mut refunds: BTreeMap<usize, GatewayRefund> = BTreeMap::new();
        for (bank_confirmed, key) in parts {
            self.say(HOUR, DAY * 6, status, "200");
            let (refund_key, bank_confirmed) = (format!("{}-{key}", self.order_id), *bank_confirmed);
            refunds.insert(*key, GatewayRefund { refund_key, amount: Rupiah::new(part), bank_confirmed });
            if let Some((_, word)) = self.words.last_mut() {
                word.refunds = refunds.values().cloned().collect();
            }
        }
        self.taken = part * refunds.len() as i64;
    }

    /// The next word, so long after the one before.
    fn say(&mut self, least: Duration, most: Duration, status: &str, code: &str) {
        self.at = self.at.plus(self.chance.between(least, most));
        let status = GatewayStatus {
            order_id: self.order_id.to_owned(),
            transaction_status: status.to_owned(),
            status_code: code.to_owned(),
            fraud_status: Some("accept".to_owned()),
            gross_amount: Some(Rupiah::new(self.amount)),
            currency: "IDR".to_owned(),
            merchant_matches: true,
            payment_type: "bank_transfer".to_owned(),
            transaction_id: format!("trx-{}", self.order_id),
            refunds: Vec::new(),
        };
        self.words.push((self.at, status));
    }
}
