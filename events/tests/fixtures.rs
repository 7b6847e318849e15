//! Golden fixtures: every event ever written stays readable, for ever.
#![expect(clippy::expect_used, reason = "a fixture that cannot be read is the failure")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use minispod_events::{
    AdminRosterEvent, CouponEvent, CouponUseEvent, CustomDomainsEvent, DifferenceEvent, Event, InstanceEvent,
    InvoiceBookEvent, InvoiceEvent, JoinTokenEvent, MailEvent, ManualTopUpEvent, NodeEvent, PlanEvent, SessionEvent,
    SubscriptionEvent, TopUpEvent, UserEvent, WalletEvent, WelcomeEvent,
};
use serde_json::Value;

/// `(aggregate, event, version)` and the JSON of each file.
fn fixtures() -> Vec<(String, String, u32, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut found = Vec::new();
    for aggregate in files(&root) {
        for file in files(&aggregate) {
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
            let (event, version) = name.strip_suffix(".json").and_then(|stem| stem.split_once(".v")).expect(name);
            let text = fs::read_to_string(&file).expect(name);
            let payload = serde_json::from_str(&text).expect(name);
            let aggregate = aggregate.file_name().and_then(|name| name.to_str()).expect("a folder");
            found.push((aggregate.to_owned(), event.to_owned(), version.parse().expect(name), payload));
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_event_has_a_fixture_of_its_first_version_and_no_fixture_is_of_nothing() {
    let known: BTreeSet<(&str, &str)> = Event::CATALOGUE
        .iter()
        .flat_map(|(_, aggregate, names)| names.iter().map(move |name| (*aggregate, *name)))
        .collect();
    let fixtures = fixtures();
    let first: BTreeSet<(&str, &str)> = fixtures
        .iter()
        .filter(|(_, _, version, _)| *version == 1)
        .map(|(aggregate, event, ..)| (aggregate.as_str(), event.as_str()))
        .collect();
    assert_eq!(first, known);
    for (aggregate, event, ..) in &fixtures {
        assert!(known.contains(&(aggregate.as_str(), event.as_str())), "{aggregate}/{event}");
    }
}

#[test]
fn every_fixture_of_every_version_can_still_be_read() {
    for (aggregate, name, version, payload) in fixtures() {
        let event = Event::decode(&aggregate, &name, &format!("{version}.0"), payload)
            .unwrap_or_else(|error| panic!("{aggregate}/{name} v{version}: {error:?}"));
        assert_eq!(event.name(), name);
    }
}

#[test]
fn what_is_written_today_is_what_was_read() {
    for (aggregate, name, version, payload) in fixtures() {
        let current = current_version(&aggregate, &payload);
        if current == format!("{version}.0") {
            assert_eq!(written(&aggregate, &payload), payload, "{aggregate}/{name} v{version}");
        }
    }
}

#[test]
fn no_fixture_holds_anything_personal_in_the_open() {
    for (aggregate, name, version, payload) in fixtures() {
        let mut event = Event::decode(&aggregate, &name, &format!("{version}.0"), payload).expect("reads");
        for slot in event.sensitive() {
            assert!(slot.value.sealed().is_some(), "{aggregate}/{name}: {}", slot.field);
        }
    }
}

macro_rules! by_aggregate {
    ($aggregate:expr, $payload:expr, $visit:ident) => {
        match $aggregate {
            "user" => $visit::<UserEvent>($payload),
            "admin_roster" => $visit::<AdminRosterEvent>($payload),
            "session" => $visit::<SessionEvent>($payload),
            "plan" => $visit::<PlanEvent>($payload),
            "wallet" => $visit::<WalletEvent>($payload),
            "topup" => $visit::<TopUpEvent>($payload),
            "invoice" => $visit::<InvoiceEvent>($payload),
            "invoice_book" => $visit::<InvoiceBookEvent>($payload),
            "subscription" => $visit::<SubscriptionEvent>($payload),
            "instance" => $visit::<InstanceEvent>($payload),
            "mail" => $visit::<MailEvent>($payload),
            "manual_topup" => $visit::<ManualTopUpEvent>($payload),
            "coupon" => $visit::<CouponEvent>($payload),
            "coupon_use" => $visit::<CouponUseEvent>($payload),
            "welcome" => $visit::<WelcomeEvent>($payload),
            "node" => $visit::<NodeEvent>($payload),
            "join_token" => $visit::<JoinTokenEvent>($payload),
            "custom_domains" => $visit::<CustomDomainsEvent>($payload),
            "difference" => $visit::<DifferenceEvent>($payload),
            other => panic!("no aggregate is called {other}"),
        }
    };
}

fn written(aggregate: &str, payload: &Value) -> Value {
    fn rewrite<E: cqrs_es::DomainEvent>(payload: &Value) -> Value {
        let event: E = serde_json::from_value(payload.clone()).expect("reads");
        serde_json::to_value(event).expect("writes")
    }
    by_aggregate!(aggregate, payload, rewrite)
}

fn current_version(aggregate: &str, payload: &Value) -> String {
    fn version<E: cqrs_es::DomainEvent>(payload: &Value) -> String {
        serde_json::from_value::<E>(payload.clone()).map(|event| event.event_version()).unwrap_or_default()
    }
    by_aggregate!(aggregate, payload, version)
}
