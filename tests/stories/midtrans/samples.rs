//! The gateway's published messages and what they expect, all read from the file; bodies signed anew for orders of ours.

use std::collections::{BTreeMap, BTreeSet};

use minispod_e2e::world::SERVER_KEY;
use minispod_standins::midtrans::signature;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// One message of the file.
#[derive(Clone, Debug)]
pub struct Message {
    pub name: String,
    pub payload: Value,
    /// The state it expects: `paid`, `reversed`, `quarantine` …
    pub state: String,
    pub effect: i64,
    /// Every status code that its `http` allows.
    pub http: Vec<u16>,
    pub signature_valid: bool,
}

/// Messages of one order as somebody delivers them.
#[derive(Clone)]
pub struct Sequence {
    pub name: String,
    pub deliver: Vec<Message>,
    /// The same without repeats, in the order in which the gateway went through them.
    pub history: Vec<Message>,
}

/// What a customer's wallet and a payment must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Implied {
    pub state: String,
    pub net: i64,
    pub credited: usize,
    pub reversed: usize,
}

/// The whole file.
pub struct Samples {
    pub good: Vec<Message>,
    pub bad: Vec<Message>,
    pub sequences: Vec<Sequence>,
}

impl Message {
    fn read(entry: &Value) -> Self {
        let expect = &entry["expect"];
        let name = entry["n"].as_u64().map_or_else(|| text(entry, "name"), |n| n.to_string());
        let http = expect["http"].as_str().map_or_else(|| expect["http"].to_string(), str::to_owned);
        let http: Vec<u16> = http
            .split(|letter: char| !letter.is_ascii_digit())
            .filter(|word| word.len() == 3)
            .filter_map(|word| word.parse().ok())
            .collect();
        assert!(!http.is_empty(), "{name} says how it is answered");
        Self {
            payload: entry["payload"].clone(),
            state: text(expect, "payment_state"),
            effect: expect["wallet_effect_idr"].as_i64().expect("a message says what it does to the wallet"),
            signature_valid: expect["signature_valid"].as_bool().expect("a message says whether it is signed"),
            http,
            name,
        }
    }

    pub fn order_id(&self) -> String {
        text(&self.payload, "order_id")
    }

    pub fn status(&self) -> String {
        text(&self.payload, "transaction_status")
    }

    pub fn amount(&self) -> i64 {
        let gross = text(&self.payload, "gross_amount");
        gross.strip_suffix(".00").and_then(|whole| whole.parse().ok()).expect("an amount has no cents")
    }

    /// Whether the file's own signature is right.
    pub fn is_signed(&self) -> bool {
        let field = |name| text(&self.payload, name);
        let right = signature(&field("order_id"), &field("status_code"), &field("gross_amount"), SERVER_KEY);
        field("signature_key") == right
    }

    /// For another order, rightly signed.
    pub fn signed_for(&self, order_id: &str) -> Value {
        signed_like(&self.payload, &self.payload, order_id, SERVER_KEY)
    }
}

/// `payload` for another order, with the signature that `pattern` would have under `key`.
pub fn signed_like(payload: &Value, pattern: &Value, order_id: &str, key: &str) -> Value {
    let mut payload = payload.clone();
    payload["order_id"] = json!(order_id);
    payload["signature_key"] =
        json!(signature(order_id, &text(pattern, "status_code"), &text(pattern, "gross_amount"), key));
    payload
}

/// The same fact in five bodies: as it is, its members turned round, with a member more, spread out, and as it is again.
pub fn five_bodies(payload: &Value) -> Vec<Vec<u8>> {
    let members = payload.as_object().expect("a payload is an object");
    let turned: Vec<String> = members.iter().rev().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    let mut longer = payload.clone();
    longer["some_new_member"] = json!({"a": [1, 2], "b": null});
    let exact = payload.to_string();
    let spread = serde_json::to_string_pretty(payload).expect("a payload can be written");
    [exact.clone(), format!("{{{}}}", turned.join(",")), longer.to_string(), spread, exact]
        .map(String::into_bytes)
        .to_vec()
}

/// Where a body is kept when it is kept.
pub fn digest(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// What follows when the gateway went through `history`. `paid_seen`: we asked while it was paid; who never did cannot
/// take back what was never given.
pub fn implied(history: &[Message], paid_seen: bool) -> Implied {
    let mut facts = BTreeMap::new();
    for message in history {
        facts.entry(message.status()).or_insert(message.effect);
    }
    let last = history.last().expect("a history has messages");
    let (net, credited) = (facts.values().sum(), facts.values().filter(|effect| **effect > 0).count());
    let reversed = facts.values().filter(|effect| **effect < 0).count();
    if last.state == "reversed" && !paid_seen {
        let state = if last.status() == "cancel" { "cancelled" } else { "denied" };
        return Implied { state: state.to_owned(), net, credited: 0, reversed: 0 };
    }
    Implied { state: last.state.clone(), net, credited, reversed }
}

impl Samples {
    pub fn read() -> Self {
        let file: Value =
            serde_json::from_str(include_str!("../../fixtures/midtrans-samples.json")).expect("the samples are JSON");
        assert_eq!(file["server_key"], SERVER_KEY, "the samples are signed with the stories' key");
        let list = |name: &str| file[name].as_array().cloned().unwrap_or_default();
        let read = |name: &str| list(name).iter().map(Message::read).collect::<Vec<_>>();
        let (mut good, bad) = (read("samples"), read("negative_cases"));
        for extra in read("extra_samples") {
            // Another telling of a fact stands beside its first one.
            let same = |known: &Message| known.order_id() == extra.order_id() && known.status() == extra.status();
            let place = good.iter().rposition(same).map_or(good.len(), |place| place + 1);
            good.insert(place, extra);
        }
        let mut sequences: Vec<Sequence> = list("delivery_sequences").iter().map(|entry| given(entry, &good)).collect();
        assert!(!sequences.is_empty() && !good.is_empty() && !bad.is_empty(), "the file has all its lists");
        // The messages of an order that no sequence goes through are one too.
        for order_id in good.iter().map(Message::order_id).collect::<BTreeSet<_>>() {
            let history: Vec<Message> = good.iter().filter(|message| message.order_id() == order_id).cloned().collect();
            let named = |sequence: &Sequence| names(&sequence.history) == names(&history);
            if !sequences.iter().any(named) {
                let name = format!("all of {order_id}");
                sequences.push(Sequence { name, deliver: history.clone(), history });
            }
        }
        Self { good, bad, sequences }
    }

    /// The message whose signature `case` carries.
    pub fn with_signature_of(&self, case: &Message) -> Option<&Message> {
        self.good.iter().find(|message| message.payload["signature_key"] == case.payload["signature_key"])
    }

    /// The message that pays the order of `case`.
    pub fn payment_of(&self, case: &Message) -> Option<&Message> {
        self.good.iter().find(|message| message.order_id() == case.order_id() && message.effect > 0)
    }
}

/// A sequence of the file, with its own word about the end held against its messages'.
fn given(entry: &Value, good: &[Message]) -> Sequence {
    let name = text(entry, "name");
    let words: Vec<&str> = entry["deliver"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let find = |word: &&str| good.iter().find(|message| message.name == **word).expect("a sequence names messages");
    let deliver: Vec<Message> = words.iter().map(find).cloned().collect();
    let history: Vec<Message> = good.iter().filter(|message| words.contains(&&*message.name)).cloned().collect();
    let end = implied(&history, true);
    assert_eq!(json!(end.state), entry["final"], "{name}: its messages end as it says");
    assert_eq!(json!(end.net), entry["net_wallet_idr"], "{name}: its messages add up to what it says");
    Sequence { name, deliver, history }
}

pub fn names(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.name.as_str()).collect()
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}
