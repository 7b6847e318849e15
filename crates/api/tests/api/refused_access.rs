//! Who asks for what is somebody else's: told what is told about nothing, and kept for administrators, a bounded number.

use std::{sync::Arc, time::Duration};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};
use minispod_api::{Allowance, refused_access::Keeper};
use minispod_domain::ports::fleet::LogSeen;
use minispod_store::{RefusedAccess, RefusedFilter, telemetry::KEEP_REFUSED};
use minispod_testkit::{eventually, require, wait_until};
use serde_json::{Value, json};
use sqlx::Executor;

use crate::{
    described::NOBODY,
    fleet::PlayedFleet,
    stage::{Customer, PAID, PRICE, no},
    world::{Answered, World, open, open_with_fleet, request},
};

const LIST: &str = "/admin/audit/refused-access";
/// Far beyond what the task needs.
const SOON: Duration = Duration::from_secs(20);
/// What is shown of a service.
const SIGHTS: [&str; 4] = ["logs", "logs/stream", "events", "usage"];

/// The operation that refused it, as operations are shown.
pub fn operation_of(entry: &RefusedAccess) -> String {
    format!("{} {}", entry.method, entry.route)
}

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// Every entry, the newest first.
    pub async fn refused(&self) -> Vec<RefusedAccess> {
        let all = RefusedFilter::default();
        self.store.telemetry().refused_access(&all, None, 0, 100_000).await.expect("reads")
    }

    /// Waits until there are `count` entries. One task keeps them in order: what was asked before the last of them is
    /// kept by then, or never will be.
    async fn until_kept(&self, count: usize) -> Vec<RefusedAccess> {
        eventually(SOON, || async { self.refused().await.len() >= count }).await;
        let kept = self.refused().await;
        assert_eq!(kept.len(), count, "{kept:#?}");
        kept
    }

    /// What `customer` is shown of the subscription `id`.
    async fn look(&self, customer: &Customer, id: &str, sight: &str) -> Answered {
        let path = format!("/subscriptions/{id}/{sight}");
        let peer = "203.0.113.5:1234".parse().expect("an address");
        let asked =
            request("GET", &path, Some(&customer.token), None).insert_header(("x-request-id", sight.replace('/', "-")));
        self.send(asked.peer_addr(peer)).await
    }

    /// `asker` asks for the subscription of `owner`.
    async fn pry(&self, asker: &Customer, owner: &Customer) {
        let answer = self.look(asker, &owner.id, "usage").await;
        assert_eq!(no(&answer), (404, "NOT_FOUND_ERROR"), "{:#}", answer.body);
    }
}

fn entries(answer: &Answered) -> Vec<Value> {
    answer.data()["entries"].as_array().unwrap_or_else(|| panic!("{:#}", answer.body)).clone()
}

#[actix_web::test]
async fn reviewer_15_somebody_elses_instance_is_not_there_and_who_asked_for_it_is_kept() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    let world = open_with_fleet(fleet.clone()).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.running("budi").await);
    let (admin, _) = world.administrator("admin@example.com").await;
    fleet.laid().log = Some(LogSeen { pod: "n8n-1".into(), text: "listening\n".into() });
    let mut of_nothing = Vec::new();
    for sight in SIGHTS {
        let unknown = world.look(&budi, NOBODY, sight).await;
        assert_eq!(no(&unknown), (404, "NOT_FOUND_ERROR"), "{sight}");
        of_nothing.push(unknown);
        assert_eq!(world.look(&budi, &budi.id, sight).await.status, 200, "{sight}");
        assert_eq!(world.look(&ani, &ani.id, sight).await.status, 200, "{sight}");
    }
    // An administrator has doors of his own; that he finds nothing at a customer's is no news.
    assert_eq!(world.get(&format!("/subscriptions/{}/logs", ani.id), &admin).await.status, 404);
    for (sight, unknown) in SIGHTS.into_iter().zip(of_nothing) {
        let foreign = world.look(&budi, &ani.id, sight).await;
        assert_eq!(no(&foreign), (404, "NOT_FOUND_ERROR"), "{sight}");
        assert_eq!(foreign.bytes, unknown.bytes, "{sight}: not a word tells them apart");
    }
    world.until_kept(SIGHTS.len()).await;

    let shown = world.get(LIST, &admin).await;
    assert_eq!(shown.status, 200, "{:#}", shown.body);
    assert_eq!(shown.data()["pagination"]["total"], json!(SIGHTS.len()));
    let shown = entries(&shown);
    for sight in SIGHTS {
        let route = json!(format!("/api/v1/subscriptions/{{id}}/{sight}"));
        let mut entry =
            shown.iter().find(|entry| entry["route"] == route).unwrap_or_else(|| panic!("{shown:#?}")).clone();
        let id = entry.as_object_mut().and_then(|members| members.remove("id"));
        assert!(id.is_some_and(|id| id.is_string()));
        assert_eq!(
            entry,
            json!({
                "userId": budi.user_id, "ownerId": ani.user_id, "method": "GET", "route": route, "kind": "subscription",
                "thingId": ani.id, "address": "203.0.113.5", "requestId": sight.replace('/', "-"),
                "createdAt": world.clock_now().to_contract(),
            })
        );
    }
    for customer in [&ani, &budi] {
        assert_eq!(no(&world.get(LIST, &customer.token).await), (403, "FORBIDDEN_ERROR"));
    }
}

#[actix_web::test]
async fn administrators_narrow_the_entries_and_walk_through_them() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.running("budi").await);
    let (admin, admin_id) = world.administrator("admin@example.com").await;
    let invoices = world.get("/billing/invoices", &ani.token).await;
    let invoice = invoices.data()["invoices"][0]["id"].as_str().expect("an invoice").to_owned();
    let begun = world.clock_now().to_contract();
    world.pry(&budi, &ani).await;
    world.clock.advance(Duration::from_secs(1));
    let later = world.clock_now().to_contract();
    world.pry(&ani, &budi).await;
    let cancel = world.call("DELETE", &format!("/subscriptions/{}", ani.id), Some(&budi.token), Some(&json!({}))).await;
    assert_eq!(no(&cancel), (404, "NOT_FOUND_ERROR"));
    assert_eq!(world.status_of(&ani).await, "ACTIVE");
    assert_eq!(no(&world.get(&format!("/billing/invoices/{invoice}"), &budi.token).await), (404, "NOT_FOUND_ERROR"));
    let (of_budi, of_ani) = (format!("userId={}", budi.user_id), format!("ownerId={}", ani.user_id));
    // Looking over a shoulder is an administrator's doing, and on record by itself.
    let why = json!({ "reason": "ticket 7: cannot see it" });
    let over = world.post(&format!("/admin/users/{}/impersonate", budi.user_id), &admin, why).await;
    let over = over.data()["accessToken"].as_str().expect("a token").to_owned();
    assert_eq!(world.get(&format!("/subscriptions/{}", ani.id), &over).await.status, 404);
    world.pry(&ani, &budi).await;
    world.until_kept(5).await;
    for (query, count) in [
        (String::new(), 5),
        (of_budi.clone(), 3),
        (of_ani.clone(), 3),
        (format!("userId={}&{of_ani}", ani.user_id), 0),
        (format!("userId={admin_id}"), 0),
        (format!("{of_budi}&kind=invoice"), 1),
        ("kind=api_token".to_owned(), 0),
        (format!("endDate={begun}"), 1),
        (format!("startDate={later}"), 4),
    ] {
        let shown = world.get(&format!("{LIST}?{query}"), &admin).await;
        assert_eq!((entries(&shown).len(), &shown.data()["pagination"]["total"]), (count, &json!(count)), "{query}");
    }
    let mut walked = Vec::new();
    let mut next = Some(String::new());
    while let Some(cursor) = next {
        let shown = world.get(&format!("{LIST}?limit=2&cursor={cursor}"), &admin).await;
        walked.extend(entries(&shown));
        next = shown.data()["pagination"]["nextCursor"].as_str().map(str::to_owned);
    }
    assert_eq!(walked, entries(&world.get(LIST, &admin).await));
    let second = world.get(&format!("{LIST}?limit=2&page=2"), &admin).await;
    assert_eq!(entries(&second), walked[2..4]);
    assert!(second.data()["pagination"].get("nextCursor").is_none());
    let bad = world.get(&format!("{LIST}?kind=house&userId=me&startDate=never"), &admin).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["kind", "userId", "startDate"]));
}

/// The samples of the audit's counters.
fn counted(recorder: &metrics_exporter_prometheus::PrometheusRecorder) -> Vec<String> {
    let text = recorder.handle().render();
    let mut lines: Vec<_> = text.lines().filter(|line| line.starts_with("minispod_api_foreign_reads_")).collect();
    lines.sort_unstable();
    lines.into_iter().map(str::to_owned).collect()
}

#[actix_web::test]
async fn a_flood_of_one_customer_keeps_few_entries_a_minute_and_counts_the_rest() {
    if !require("pg") {
        return;
    }
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let world = open(|config| config.refused_access_allowance = Allowance::per_minute(3)).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.running("budi").await);
    for _ in 0..8 {
        world.pry(&budi, &ani).await;
    }
    world.pry(&ani, &budi).await;
    let kept = world.until_kept(4).await;
    assert_eq!(kept.iter().filter(|one| one.user_id == budi.user_id).count(), 3);
    assert_eq!(
        counted(&recorder),
        [
            "minispod_api_foreign_reads_dropped_total{reason=\"caller\"} 5",
            "minispod_api_foreign_reads_total{kind=\"subscription\"} 9",
        ]
    );
    world.clock.advance(Duration::from_mins(1));
    world.pry(&budi, &ani).await;
    world.until_kept(5).await;
}

#[actix_web::test]
async fn the_answer_waits_for_no_entry_and_fails_with_none() {
    if !require("pg") {
        return;
    }
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.running("budi").await);
    let mut hindrance = world.store.pool().begin().await.expect("begins");
    hindrance.execute("LOCK TABLE telemetry.refused_access IN ACCESS EXCLUSIVE MODE").await.expect("locks");
    for _ in 0..3 {
        world.pry(&budi, &ani).await;
    }
    hindrance.rollback().await.expect("gives it free");
    world.until_kept(3).await;
    world.store.pool().execute("DROP TABLE telemetry.refused_access").await.expect("drops");
    world.pry(&budi, &ani).await;
    let lost = "minispod_api_foreign_reads_dropped_total{reason=\"store\"} 1";
    wait_until(SOON, || async { counted(&recorder).iter().any(|line| line == lost) }).await;
    assert_eq!(world.look(&budi, &budi.id, "usage").await.status, 200, "nothing else is hindered");
}

#[actix_web::test]
async fn old_entries_go_where_nothing_is_measured_too() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let (ani, budi) = (world.running("ani").await, world.running("budi").await);
    world.pry(&budi, &ani).await;
    world.until_kept(1).await;
    world.clock.advance(KEEP_REFUSED + Duration::from_secs(1));
    let _next_process = Keeper::start(world.store.clone(), Allowance::unlimited());
    wait_until(SOON, || async { world.refused().await.is_empty() }).await;
}
