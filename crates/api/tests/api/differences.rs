//! Where what is sold and what runs differ, as administrators see it; and the mails to them when it lasts.

use std::time::Duration;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};
use minispod_domain::{AnyCommand, DifferenceCommand, difference::difference_id};
use minispod_events::DifferenceKind;
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    stage::{Customer, PAID, PRICE, no},
    world::{Answered, World, open},
};

const LIST: &str = "/admin/differences";
const VOLUME: &str = "PersistentVolumeClaim customer-gone/n8n-data";

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// As the watch reports it.
    async fn tell(&self, id: &str, command: DifferenceCommand, key: &str) {
        self.command(id, AnyCommand::Difference(command), &format!("{key}.{id}")).await;
    }

    /// The service of `customer` is paid for and has failed; gives the difference's id.
    async fn differs(&self, customer: &Customer) -> String {
        let kind = DifferenceKind::PaidNotRunning;
        let instance_id = Some(customer.instance_id.clone());
        let id = difference_id(kind, instance_id.as_deref(), None);
        let (subscription_id, user_id) = (Some(customer.id.clone()), Some(customer.user_id.clone()));
        let detail = "it is paid for, and it has failed".to_owned();
        let find = DifferenceCommand::Find { kind, instance_id, subscription_id, user_id, object: None, detail };
        self.tell(&id, find, "find").await;
        id
    }

    /// A volume is there that nobody knows; gives the difference's id.
    async fn stray(&self) -> String {
        let (kind, object) = (DifferenceKind::VolumeWithoutCustomer, Some(VOLUME.to_owned()));
        let id = difference_id(kind, None, object.as_deref());
        let detail = "no instance is known that it is of".to_owned();
        let (instance_id, subscription_id, user_id) = (None, None, None);
        let find = DifferenceCommand::Find { kind, instance_id, subscription_id, user_id, object, detail };
        self.tell(&id, find, "find").await;
        id
    }
}

fn differences(answer: &Answered) -> Vec<Value> {
    answer.data()["differences"].as_array().unwrap_or_else(|| panic!("{:#}", answer.body)).clone()
}

fn ids(answer: &Answered) -> Vec<String> {
    let text = |one: Value| one["id"].as_str().expect("an id").to_owned();
    differences(answer).into_iter().map(text).collect()
}

#[actix_web::test]
async fn a_difference_is_shown_with_whose_it_is_and_customers_see_none() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let empty = world.get(LIST, &admin).await;
    assert_eq!(empty.status, 200, "{:#}", empty.body);
    assert_eq!((ids(&empty).len(), &empty.data()["counts"]), (0, &json!([])));
    let found = world.clock_now();
    let id = world.differs(&ani).await;
    let shown = world.get(LIST, &admin).await;
    assert_eq!(shown.data()["pagination"]["total"], json!(1));
    assert_eq!(
        differences(&shown),
        [json!({
            "id": id, "kind": "paid_not_running", "state": "OPEN", "podId": ani.instance_id,
            "subscriptionId": ani.id, "userId": ani.user_id, "object": null,
            "detail": "it is paid for, and it has failed", "foundAt": found.to_contract(),
            "deadline": found.plus(Duration::from_hours(4)).to_contract(), "overdueAt": null, "resolvedAt": null,
        })]
    );
    assert_eq!(shown.data()["counts"], json!([{ "kind": "paid_not_running", "state": "OPEN", "count": 1 }]));
    assert_eq!(no(&world.get(LIST, &ani.token).await), (403, "FORBIDDEN_ERROR"));
    assert_eq!(world.call("GET", LIST, None, None).await.status, 401);
}

#[actix_web::test]
async fn differences_are_narrowed_by_state_and_kind_and_walked_through() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let failed = world.differs(&ani).await;
    world.clock.advance(Duration::from_secs(1));
    let stray = world.stray().await;
    world.tell(&failed, DifferenceCommand::Resolve, "resolve").await;
    for (query, expected) in [
        ("", vec![&stray, &failed]),
        ("state=OPEN", vec![&stray]),
        ("state=RESOLVED", vec![&failed]),
        ("state=OVERDUE", vec![]),
        ("kind=paid_not_running", vec![&failed]),
        ("kind=running_not_paid", vec![]),
        ("kind=volume_without_customer&state=OPEN", vec![&stray]),
        ("limit=1&page=2", vec![&failed]),
    ] {
        let shown = world.get(&format!("{LIST}?{query}"), &admin).await;
        assert_eq!(ids(&shown).iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let shown = differences(&world.get(&format!("{LIST}?state=OPEN"), &admin).await);
    assert_eq!(
        (&shown[0]["podId"], &shown[0]["userId"], &shown[0]["object"]),
        (&Value::Null, &Value::Null, &json!(VOLUME))
    );
    let (mut walked, mut next) = (Vec::new(), Some(String::new()));
    while let Some(cursor) = next {
        let shown = world.get(&format!("{LIST}?limit=1&cursor={cursor}"), &admin).await;
        walked.extend(ids(&shown));
        next = shown.data()["pagination"]["nextCursor"].as_str().map(str::to_owned);
    }
    assert_eq!(walked, [stray, failed]);
    let bad = world.get(&format!("{LIST}?state=open&kind=house"), &admin).await;
    assert_eq!((bad.status.as_u16(), bad.fields()), (400, vec!["state", "kind"]));
}

#[actix_web::test]
async fn what_is_overdue_is_mailed_to_every_administrator_once() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.publish(PAID, "pro", PRICE, 3).await;
    let ani = world.running("ani").await;
    let (_, admin_id) = world.administrator("admin@example.com").await;
    let (_, other_id) = world.administrator("other@example.com").await;
    let id = world.differs(&ani).await;
    world.tell(&id, DifferenceCommand::Remind, "early").await;
    assert_eq!(world.count("AdministratorsAlerted").await, 0);
    world.clock.advance(Duration::from_hours(4));
    world.tell(&id, DifferenceCommand::Remind, "due").await;
    world.tell(&id, DifferenceCommand::Remind, "again").await;
    world.settle_reactions().await;
    assert_eq!((world.count("DifferenceOverdue").await, world.count("AdministratorsAlerted").await), (1, 1));
    let mut mailed: Vec<(String, Value)> = sqlx::query_as(
        "SELECT payload::jsonb ->> 'user_id', payload::jsonb -> 'mail' FROM log.events \
         WHERE event_type = 'MailQueued' AND payload::jsonb #>> '{mail,template}' = 'difference_overdue'",
    )
    .fetch_all(world.store.pool())
    .await
    .expect("reads the log");
    mailed.sort_by(|one, other| one.0.cmp(&other.0));
    let mut expected = vec![admin_id, other_id];
    expected.sort();
    assert_eq!(mailed.iter().map(|one| one.0.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(mailed[0].1["kind"], "paid_not_running");
    assert_eq!(mailed[0].1["about"], json!(ani.instance_id));
    let later = world.sign_in("admin@example.com").await;
    let shown = differences(&world.get(&format!("{LIST}?state=OVERDUE"), &later.access).await);
    assert_eq!((shown.len(), shown[0]["overdueAt"].is_string()), (1, true));
}
