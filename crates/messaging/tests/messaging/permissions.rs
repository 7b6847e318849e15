//! What each user of `nats/accounts.conf` may not do, tried call by call.

use std::{collections::BTreeSet, time::Duration};

use async_nats::{Client, ConnectOptions, Event, ServerError};
use minispod_kernel::LogPosition;
use minispod_messaging::{Fetcher, message::encode, topology::CONSUMERS};
use minispod_testkit::{TestNats, eventually, require};
use serde_json::json;
use tokio::sync::mpsc;

use crate::support::{account, connect, fetch, history};

const USERS: [&str; 7] = ["relay", "api", "projector", "billing", "provisioner", "mailer", "analyst"];
const SOON: Duration = Duration::from_secs(10);

/// Every subject worth guarding: publishing to it reads, changes or destroys something.
fn guarded() -> Vec<String> {
    let mut all: Vec<String> = [
        "minispod.evt.billing.wallet.c1.wallet_opened",
        "minispod.hint.appended",
        "minispod.ckpt.users",
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
        "$JS.API.STREAM.CREATE.OTHER",
        "$JS.API.STREAM.DELETE.OTHER",
        "$JS.API.STREAM.RESTORE.MINISPOD_EVT",
        "$JS.API.CONSUMER.CREATE.OTHER.x",
    ]
    .map(str::to_owned)
    .to_vec();
    for stream in ["MINISPOD_EVT", "MINISPOD_DLQ"] {
        for verb in ["INFO", "CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "MSG.GET", "MSG.DELETE", "PEER.REMOVE"]
        {
            all.push(format!("$JS.API.STREAM.{verb}.{stream}"));
        }
        all.push(format!("$JS.API.DIRECT.GET.{stream}"));
        all.push(format!("$JS.API.CONSUMER.NAMES.{stream}"));
        all.push(format!("$JS.API.CONSUMER.LIST.{stream}"));
        // The old form takes the consumer's name from the body, so no permission could look at it.
        all.push(format!("$JS.API.CONSUMER.CREATE.{stream}"));
    }
    for consumer in ["projector", "billing", "provisioner", "mailer", "study"] {
        for verb in ["CREATE", "INFO", "DELETE", "MSG.NEXT", "PAUSE", "UNPIN", "RESET", "DURABLE.CREATE"] {
            all.push(format!("$JS.API.CONSUMER.{verb}.MINISPOD_EVT.{consumer}"));
        }
        all.push(format!("$JS.API.CONSUMER.CREATE.MINISPOD_EVT.{consumer}.minispod.evt.>").replace('>', "x"));
        all.push(format!("$JS.ACK.MINISPOD_EVT.{consumer}.1.1.1.1.0"));
        all.push(format!("$JS.ACK._.hash.MINISPOD_EVT.{consumer}.1.1.1.1.0"));
        all.push(format!("minispod.dlq.{consumer}.lane"));
    }
    all
}

/// What a user may do, written down a second time and in other words than the configuration.
fn allowed(user: &str, subject: &str) -> bool {
    let api = subject.strip_prefix("$JS.API.").unwrap_or("");
    let role_names = ["projector", "billing", "provisioner", "mailer"];
    match user {
        "relay" => {
            subject.starts_with("minispod.evt.")
                || [
                    "STREAM.INFO.MINISPOD_EVT",
                    "STREAM.CREATE.MINISPOD_EVT",
                    "STREAM.DELETE.MINISPOD_EVT",
                    "STREAM.MSG.GET.MINISPOD_EVT",
                    "DIRECT.GET.MINISPOD_EVT",
                    "STREAM.INFO.MINISPOD_DLQ",
                    "STREAM.CREATE.MINISPOD_DLQ",
                ]
                .contains(&api)
        }
        "api" => subject == "minispod.hint.appended",
        "analyst" => {
            let reads = ["INFO", "STREAM.NAMES", "STREAM.LIST"].contains(&api)
                || ["STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET", "CONSUMER.NAMES", "CONSUMER.LIST"]
                    .iter()
                    .any(|verb| api == format!("{verb}.MINISPOD_EVT"));
            let own = ["CONSUMER.CREATE.MINISPOD_EVT.study", "CONSUMER.MSG.NEXT.MINISPOD_EVT.study"]
                .iter()
                .any(|start| api.starts_with(start))
                || (subject.starts_with("$JS.ACK.") && subject.contains("MINISPOD_EVT.study."));
            let looks = api.starts_with("CONSUMER.INFO.MINISPOD_EVT.");
            reads || own || looks
        }
        role => {
            let own = ["CREATE", "INFO", "DELETE", "MSG.NEXT"]
                .iter()
                .any(|verb| api == format!("CONSUMER.{verb}.MINISPOD_EVT.{role}"))
                || (subject.starts_with("$JS.ACK.") && subject.contains(&format!("MINISPOD_EVT.{role}.")));
            let says = if role == "projector" {
                subject == "minispod.ckpt.users"
            } else {
                subject == "minispod.hint.appended" || subject == format!("minispod.dlq.{role}.lane")
            };
            assert!(role_names.contains(&role), "{role} is no role");
            own || says
        }
    }
}

/// A connection whose refusals can be read.
async fn watched(test: &TestNats, role: &str) -> (Client, mpsc::UnboundedReceiver<String>) {
    let user = test.user(role);
    let (sender, receiver) = mpsc::unbounded_channel();
    let options = ConnectOptions::with_user_and_password(user.user, user.password)
        .custom_inbox_prefix(user.inbox_prefix)
        .event_callback(move |event| {
            if let Event::ServerError(ServerError::Other(text)) = event {
                let _ = sender.send(text);
            }
            std::future::ready(())
        });
    (options.connect(&test.url).await.expect("connects"), receiver)
}

/// Subjects (quoted in the server's complaints) that were refused, once `expected` have been or time is up.
async fn refusals(receiver: &mut mpsc::UnboundedReceiver<String>, expected: &BTreeSet<String>) -> BTreeSet<String> {
    let seen = std::sync::Mutex::new(BTreeSet::new());
    let receiver = std::sync::Mutex::new(receiver);
    eventually(SOON, || async {
        let mut seen = seen.lock().expect("unpoisoned");
        while let Ok(text) = receiver.lock().expect("unpoisoned").try_recv() {
            seen.extend(text.split('"').nth(1).map(str::to_owned));
        }
        expected.is_subset(&seen)
    })
    .await;
    seen.into_inner().expect("unpoisoned")
}

#[tokio::test]
async fn every_forbidden_publication_is_refused_for_every_user() {
    if !require("nats") {
        return;
    }
    let (test, admin) = account().await;
    connect(&test, "relay").await.publish_batch(&history(1, 5, [0; 32], "a")).await.expect("published");
    for user in USERS {
        let (client, mut receiver) = watched(&test, user).await;
        let forbidden: BTreeSet<String> = guarded().into_iter().filter(|subject| !allowed(user, subject)).collect();
        assert!(forbidden.len() > 30, "{user} has {} forbidden calls", forbidden.len());
        for subject in &forbidden {
            // Without a body a permitted destructive call would be carried out, so a hole would also show below.
            client.publish(subject.clone(), "".into()).await.expect("sent");
        }
        client.flush().await.expect("flushed");
        let refused = refusals(&mut receiver, &forbidden).await;
        let open: Vec<&String> = forbidden.difference(&refused).collect();
        assert!(open.is_empty(), "{user} could publish to {open:?}");
    }
    let tail = admin.stream_tail().await.expect("readable").expect("the stream is still there");
    assert_eq!((tail.last_sequence, tail.count), (5, 5));
}

#[tokio::test]
async fn what_is_allowed_is_not_refused() {
    if !require("nats") {
        return;
    }
    let (test, _admin) = account().await;
    for user in USERS {
        let (client, mut receiver) = watched(&test, user).await;
        let harmless = |subject: &String| {
            // These two would end the stream; that the relay may use them is shown by recreating it elsewhere.
            allowed(user, subject) && !subject.contains("STREAM.DELETE") && !subject.contains("STREAM.CREATE")
        };
        for subject in guarded().iter().filter(|subject| harmless(subject)) {
            client.publish_with_reply(subject.clone(), client.new_inbox(), "".into()).await.expect("sent");
        }
        client.subscribe("canary.of.the.test").await.expect("sent");
        client.flush().await.expect("flushed");
        // Complaints come in order: once the canary's has come, no other can.
        let refused = refusals(&mut receiver, &BTreeSet::from(["canary.of.the.test".to_owned()])).await;
        assert_eq!(refused.len(), 1, "{user} was refused {refused:?}");
    }
}

#[tokio::test]
async fn nobody_listens_where_another_gets_answers() {
    if !require("nats") {
        return;
    }
    let (test, _admin) = account().await;
    for user in USERS {
        let (client, mut receiver) = watched(&test, user).await;
        let mut forbidden: BTreeSet<String> = ["_INBOX.>", ">", "$JS.>", "$JS.API.>", "$JS.EVENT.>", "minispod.>"]
            .into_iter()
            .map(str::to_owned)
            .collect();
        forbidden.extend(USERS.iter().filter(|other| **other != user).map(|other| format!("_INBOX_{other}.>")));
        if user != "analyst" {
            forbidden.insert("minispod.evt.>".to_owned());
        }
        for subject in &forbidden {
            client.subscribe(subject.clone()).await.expect("sent");
        }
        client.flush().await.expect("flushed");
        let refused = refusals(&mut receiver, &forbidden).await;
        let open: Vec<&String> = forbidden.difference(&refused).collect();
        assert!(open.is_empty(), "{user} could listen to {open:?}");
    }
}

#[tokio::test]
async fn an_analyst_reads_everything_with_a_consumer_of_their_own() {
    if !require("nats") {
        return;
    }
    let (test, _admin) = account().await;
    connect(&test, "relay").await.publish_batch(&history(1, 5, [0; 32], "a")).await.expect("published");
    let analyst = connect(&test, "analyst").await;
    let config = json!({ "stream_name": "MINISPOD_EVT", "config": {
        "name": "study", "durable_name": "study", "ack_policy": "explicit", "filter_subject": "minispod.evt.billing.>" } });
    let made = analyst.api("CONSUMER.CREATE.MINISPOD_EVT.study.minispod.evt.billing.>", &config).await.expect("made");
    assert_eq!(made["num_pending"], 5);
    assert_eq!(analyst.read_at(3).await.expect("readable").expect("there").position, LogPosition(3));
    assert!(analyst.stream_tail().await.expect("readable").is_some());
}

#[tokio::test]
async fn an_analyst_cannot_reach_a_roles_consumer_by_a_detour() {
    if !require("nats") {
        return;
    }
    let (test, admin) = account().await;
    connect(&test, "relay").await.publish_batch(&history(1, 5, [0; 32], "a")).await.expect("published");
    let analyst = connect(&test, "analyst").await;
    for (role, _) in CONSUMERS {
        let before =
            admin.api(&format!("CONSUMER.INFO.MINISPOD_EVT.{role}"), &serde_json::Value::Null).await.expect("there");
        // Another name in the body than in the subject.
        for field in ["name", "durable_name"] {
            let body = json!({ "stream_name": "MINISPOD_EVT", "config": { field: role, "ack_policy": "none", "max_deliver": 1 } });
            let _ = analyst.api("CONSUMER.CREATE.MINISPOD_EVT.study", &body).await;
        }
        // A push consumer that delivers into the event subjects or into the API.
        for target in ["minispod.evt.billing.wallet.c1.wallet_opened", "$JS.API.STREAM.PURGE.MINISPOD_EVT"] {
            let body = json!({ "stream_name": "MINISPOD_EVT",
                "config": { "name": "push", "ack_policy": "none", "deliver_subject": target } });
            let _ = analyst.api("CONSUMER.CREATE.MINISPOD_EVT.push", &body).await;
        }
        let after =
            admin.api(&format!("CONSUMER.INFO.MINISPOD_EVT.{role}"), &serde_json::Value::Null).await.expect("there");
        assert_eq!(before["config"], after["config"], "{role}");
    }
    // A request answered after the pushes would have run: whatever they did has been done.
    let mut fetcher =
        Fetcher::open(&connect(&test, "projector").await, "projector", LogPosition(0)).await.expect("opens");
    assert_eq!(fetch(&mut fetcher, 5).await, [1, 2, 3, 4, 5]);
    let tail = admin.stream_tail().await.expect("readable").expect("there");
    assert_eq!((tail.first_sequence, tail.last_sequence, tail.count), (1, 5, 5));
}

#[tokio::test]
async fn only_the_relay_can_store_an_event() {
    if !require("nats") {
        return;
    }
    let (test, admin) = account().await;
    let events = history(1, 1, [0; 32], "forged");
    let forged = encode(&events[0]).expect("encodes");
    for user in USERS.iter().filter(|user| **user != "relay") {
        let (client, _receiver) = watched(&test, user).await;
        let sent = client.publish_with_headers(forged.subject.clone(), forged.headers.clone(), forged.body.clone());
        sent.await.expect("sent");
        client.flush().await.expect("flushed");
    }
    assert_eq!(admin.stream_tail().await.expect("readable").expect("there").last_sequence, 0);
}
