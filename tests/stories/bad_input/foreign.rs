//! Other people's things: whoever asks for them hears exactly what is said of things that do not exist.

use minispod_e2e::{Door, World, WorldOptions, door::Answer};
use minispod_testkit::require;
use reqwest::Method;
use serde_json::{Value, json};

use super::{everything_written, refusal_faults};

/// As well formed as the others, of nothing.
const NOBODY: &str = "c000000000000000000000000";

/// One thing of somebody, at every door that takes its id.
struct Thing {
    what: &'static str,
    id: String,
    /// Method, path around the id, body.
    doors: Vec<(Method, &'static str, Option<Value>)>,
}

impl Thing {
    fn new(what: &'static str, id: &Value, doors: &[(Method, &'static str)]) -> Self {
        let body = |method: &Method| (*method != Method::GET).then(|| json!({}));
        Self {
            what,
            id: id.as_str().expect("a thing has an id").to_owned(),
            doors: doors.iter().map(|(method, path)| (method.clone(), *path, body(method))).collect(),
        }
    }
}

async fn ask(door: &Door, method: &Method, path: &str, id: &str, body: Option<&Value>) -> Answer {
    door.send(method.clone(), &path.replace("{id}", id), body.cloned()).await
}

/// The answer without what differs from moment to moment.
fn lasting(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body["timestamp"] = Value::Null;
    body
}

/// Everything that a customer who has paid for something has.
async fn things_of(world: &World, owner: &Door) -> Vec<Thing> {
    const INVOICE: [(Method, &str); 2] =
        [(Method::GET, "/billing/invoices/{id}"), (Method::GET, "/billing/invoices/{id}/pdf")];
    const TRANSACTION: [(Method, &str); 2] =
        [(Method::GET, "/billing/transactions/{id}"), (Method::POST, "/billing/transactions/{id}/pay")];
    const TOPUP: [(Method, &str); 2] =
        [(Method::GET, "/billing/topup/{id}"), (Method::POST, "/billing/transactions/{id}/pay")];
    const SUBSCRIPTION: [(Method, &str); 3] = [
        (Method::GET, "/subscriptions/{id}"),
        (Method::PUT, "/subscriptions/{id}/renew"),
        (Method::DELETE, "/subscriptions/{id}"),
    ];
    let paid = world.fund(owner, 500_000).await;
    let open = owner.post("/billing/topup", json!({"amount": 70_000})).await.data().clone();
    let subscription = world.subscribe(owner, &world.plan("n8n").await.0).await;
    world.settle(&world.sql().await, super::SETTLE).await;
    let mut things = vec![
        Thing::new("a paid top-up", &paid["transactionId"], &TOPUP),
        Thing::new("an open top-up", &open["transactionId"], &TOPUP),
        Thing::new("a subscription", &json!(subscription), &SUBSCRIPTION),
    ];
    let invoices = owner.get("/billing/invoices").await.data()["invoices"].as_array().cloned().unwrap_or_default();
    assert_eq!(invoices.len(), 2, "one invoice of the top-up and one of the subscription");
    for invoice in &invoices {
        assert_eq!(invoice["status"], "PAID");
        things.push(Thing::new("a paid invoice", &invoice["id"], &INVOICE));
    }
    let lines = owner.get("/billing/transactions").await.data()["transactions"].as_array().cloned().unwrap_or_default();
    assert_eq!(lines.len(), 3, "two top-ups and a charge");
    things.extend(lines.iter().map(|line| Thing::new("a transaction", &line["id"], &TRANSACTION)));
    things
}

/// What another customer learns of a thing, at each of its doors.
async fn learns(other: &Door, thing: &Thing) -> Vec<String> {
    let mut wrong = Vec::new();
    for (method, path, body) in &thing.doors {
        let theirs = ask(other, method, path, &thing.id, body.as_ref()).await;
        let nothing = ask(other, method, path, NOBODY, body.as_ref()).await;
        let mut faults = refusal_faults(&theirs, 404, "NOT_FOUND_ERROR");
        if lasting(&theirs) != lasting(&nothing) {
            faults.push(format!("{} differs from what is said of nothing: {}", theirs.body, nothing.body));
        }
        if theirs.headers.contains_key("etag") {
            faults.push("tells its version".to_owned());
        }
        wrong.extend(faults.into_iter().map(|fault| format!("{} at {method} {path}: {fault}", thing.what)));
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_somebody_else_does_not_exist() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::default()).await;
    let (owner, user) = world.door().register("Budi Owner").await;
    let (other, _) = world.door().register("Ani Curious").await;
    let things = things_of(&world, &owner).await;
    let balance = owner.balance().await;
    let before = everything_written(&world).await;
    let mut wrong = Vec::new();
    for thing in &things {
        wrong.extend(learns(&other, thing).await);
    }
    // Nor do the lists, whatever they are asked for.
    let user_id = user["id"].as_str().expect("a user has an id");
    for list in ["/billing/invoices", "/billing/transactions", "/subscriptions"] {
        let answer = other.get(&format!("{list}?userId={user_id}&user_id={user_id}&limit=100")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let text = answer.body.to_string();
        let seen = things.iter().filter(|thing| text.contains(&thing.id));
        wrong.extend(seen.map(|thing| format!("{list} shows {} of somebody else", thing.what)));
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(everything_written(&world).await, before, "asking for somebody else's things wrote something");
    // They were there all the time: their owner sees each.
    for thing in &things {
        for (method, path, body) in thing.doors.iter().filter(|(method, ..)| *method == Method::GET) {
            let answer = ask(&owner, method, path, &thing.id, body.as_ref()).await;
            assert_eq!(answer.status, 200, "{} at {path}: {}", thing.what, answer.body);
        }
    }
    assert_eq!(owner.balance().await, balance);
}
