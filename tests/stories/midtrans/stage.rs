//! One customer, orders of theirs at the gateway's stand-in, and what the log, the inbox and the doors say of them.

use std::{collections::BTreeSet, time::Duration};

use minispod_e2e::{Door, World};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::samples::{Implied, digest};

/// Longest wait for everything that follows from what was said.
pub const SETTLE: Duration = Duration::from_mins(3);
const WEBHOOK: &str = "/billing/webhooks/midtrans";

/// The gateway's words about an order, and the states they are. Nothing but these moves a payment.
const STATES: [(&str, &str); 9] = [
    ("TopUpAwaitingPayment", "pending"),
    ("TopUpHeld", "on_hold"),
    ("TopUpConfirmed", "paid"),
    ("TopUpDenied", "denied"),
    ("TopUpExpired", "expired"),
    ("TopUpCancelled", "cancelled"),
    ("TopUpReversed", "reversed"),
    ("TopUpRefunded", "partially_refunded"),
    ("TopUpQuarantined", "quarantine"),
];

/// One order of the customer.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: String,
    pub topup_id: String,
}

pub struct Stage<'a> {
    pub world: &'a World,
    pub customer: Door,
    pub gateway: Door,
    pub sql: PgPool,
}

impl<'a> Stage<'a> {
    pub async fn new(world: &'a World) -> Self {
        let (customer, _) = world.door().register("Ani Midtrans").await;
        Self { world, customer, gateway: world.door(), sql: world.sql().await }
    }

    pub async fn order(&self, amount: i64) -> Order {
        let answer = self.customer.post("/billing/topup", json!({"amount": amount, "currency": "IDR"})).await;
        let field = |name: &str| answer.data()[name].as_str().expect("a top-up names its order").to_owned();
        Order { id: field("orderId"), topup_id: field("transactionId") }
    }

    /// What GET status answers from now on; null: the gateway knows no transaction.
    pub async fn gateway_says(&self, order: &Order, answer: &Value) {
        let url = format!("{}/standin/orders/{}/status", self.world.midtrans.url, order.id);
        let client =
            reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("an HTTP client can be made");
        let taken = client.request(Method::PUT, &url).json(answer).send().await;
        assert!(taken.is_ok_and(|taken| taken.status().is_success()), "the stand-in takes the script of {}", order.id);
    }

    /// The status that a notification of these bytes is answered with.
    pub async fn deliver(&self, body: &[u8]) -> u16 {
        self.gateway.post_raw(WEBHOOK, body).await.status
    }

    pub async fn settle(&self) {
        self.world.settle(&self.sql, SETTLE).await;
    }

    /// What became of an order: its payment's last state, and what it did to the wallet.
    pub async fn became(&self, order: &Order) -> Implied {
        let words: Vec<&str> = STATES.iter().map(|(word, _)| *word).collect();
        let last: Option<(String,)> = sqlx::query_as(
            "SELECT event_type FROM log.events WHERE aggregate_type = 'topup' AND aggregate_id = $1
             AND payload->>'order_id' = $2 AND event_type = ANY($3) ORDER BY sequence DESC LIMIT 1",
        )
        .bind(&order.topup_id)
        .bind(&order.id)
        .bind(&words)
        .fetch_optional(&self.sql)
        .await
        .expect("the log answers");
        let state = last.map_or("created", |(last,)| {
            STATES.iter().find(|(word, _)| *word == last).map_or("unknown", |(_, state)| *state)
        });
        let entries: Vec<(String, i64)> = sqlx::query_as(
            "SELECT event_type, (payload->>'amount')::bigint FROM log.events
             WHERE aggregate_type = 'wallet' AND payload->'cause'->>'order_id' = $1",
        )
        .bind(&order.id)
        .fetch_all(&self.sql)
        .await
        .expect("the log answers");
        let of = |word: &str| entries.iter().filter(|(entry, _)| entry == word).count();
        let (credited, reversed) = (of("WalletCredited"), of("WalletReversed"));
        assert_eq!(credited + reversed, entries.len(), "{}: other entries than of a top-up: {entries:?}", order.id);
        let signed = |(entry, amount): &(String, i64)| if entry == "WalletReversed" { -amount } else { *amount };
        Implied { state: state.to_owned(), net: entries.iter().map(signed).sum(), credited, reversed }
    }

    /// The contract's word for the payment, by the customer's own door.
    pub async fn shown(&self, order: &Order) -> String {
        let answer = self.customer.get(&format!("/billing/topup/{}", order.topup_id)).await;
        answer.data()["status"].as_str().expect("a top-up has a status").to_owned()
    }

    /// Which of these bodies are kept raw.
    pub async fn kept(&self, bodies: &[Vec<u8>]) -> usize {
        let digests: BTreeSet<String> = bodies.iter().map(|body| digest(body)).collect();
        let digests: Vec<String> = digests.into_iter().collect();
        let (kept,): (i64,) = sqlx::query_as("SELECT count(*) FROM ops.inbox WHERE id = ANY($1)")
            .bind(&digests)
            .fetch_one(&self.sql)
            .await
            .expect("the inbox can be counted");
        usize::try_from(kept).unwrap_or_default()
    }

    /// How often the order's top-up recorded that these bodies came. A new look at the gateway, after one answer overtook
    /// another, is recorded as well and is none of them.
    pub async fn recorded(&self, order: &Order, bodies: &[Vec<u8>]) -> usize {
        let digests: Vec<String> = bodies.iter().map(|body| digest(body)).collect();
        let (count,): (i64,) = sqlx::query_as(
            "SELECT count(*) FROM log.events WHERE aggregate_type = 'topup' AND event_type = 'TopUpNotificationRecorded'
             AND payload->>'order_id' = $1 AND payload->>'inbox_id' = ANY($2)",
        )
        .bind(&order.id)
        .bind(&digests)
        .fetch_one(&self.sql)
        .await
        .expect("the log can be counted");
        usize::try_from(count).unwrap_or_default()
    }
}

/// What the customer sees of a payment in this state.
pub fn shown_as(state: &str) -> &'static str {
    match state {
        "created" | "pending" | "on_hold" | "quarantine" => "PENDING",
        "paid" | "reversed" | "partially_refunded" => "PAID",
        "denied" => "FAILED",
        "expired" => "EXPIRED",
        "cancelled" => "CANCELLED",
        _ => "a state without a word",
    }
}
