//! Changes of plan through the api: confirmed, paid, carried out, shown, and taken back.

use actix_web::{Error, body::MessageBody, dev::Service, dev::ServiceResponse};
use minispod_domain::{AnyCommand, InstanceCommand, PlanCommand, SubscriptionCommand};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    market::{BASIC, FREE, NOBODY, PRO, assert_keys},
    world::{Answered, World, open},
};

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// Somebody on the paid plan with `money` left.
    async fn on_basic(&self, name: &str, money: i64) -> (String, String) {
        let (token, _) = self.register(&format!("{name}@example.com")).await;
        self.top_up(&token, 31_000 + money).await;
        let id = self.subscribe(&token, BASIC).await;
        self.activate(&id).await;
        (token, id)
    }

    async fn change(&self, verb: &str, token: &str, id: &str, plan: &str, confirmed: bool) -> Answered {
        let confirmation = if verb == "upgrade" { "confirmPayment" } else { "confirmDowngrade" };
        let body = json!({"newServiceId": plan, "reason": "growth", confirmation: confirmed});
        self.post(&format!("/subscriptions/{id}/{verb}"), token, body).await
    }

    /// The cluster does what the change asked for, or fails.
    async fn cluster(&self, id: &str, generation: u32, works: bool) {
        self.settle_reactions().await;
        let instance_id = self.instance_of(id).await;
        let applied = InstanceCommand::RecordApplied {
            generation,
            namespace: "customer-of-a-test".to_owned(),
            workload: format!("n8n-{id}"),
            internal_url: "http://inside:5678".to_owned(),
            external_url: "https://flows.example".to_owned(),
            volume_claim: None,
            simulated: true,
            program: None,
        };
        let outcome = if works {
            InstanceCommand::RecordReady { generation, external_url: "https://flows.example".to_owned() }
        } else {
            InstanceCommand::RecordFailed { generation, detail: "no room".to_owned() }
        };
        for (report, what) in [(applied, "applied"), (outcome, "outcome")] {
            let key = format!("{instance_id}-{generation}-{what}");
            self.command(&instance_id, AnyCommand::Instance(report), &key).await;
        }
    }

    async fn changes(&self, token: &str, id: &str) -> Vec<Value> {
        let list = self.get(&format!("/subscriptions/{id}/plan-changes"), token).await;
        list.data()["planChanges"].as_array().unwrap_or_else(|| panic!("{:#}", list.body)).clone()
    }

    async fn wallet_of(&self, token: &str) -> Value {
        self.get("/billing/balance", token).await.data()["balance"].clone()
    }
}

#[actix_web::test]
async fn an_upgrade_is_confirmed_paid_carried_out_and_shown_w13_w19() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, id) = world.on_basic("ani", 40_000).await;
    let asked = world.change("upgrade", &ani, &id, PRO, false).await;
    assert_eq!((asked.status.as_u16(), &asked.body["code"]), (400, &json!("PAYMENT_CONFIRMATION_REQUIRED")));
    assert_eq!(asked.data()["calculation"]["financial"]["chargeAmount"], 31_000);
    assert_eq!((world.wallet_of(&ani).await, world.changes(&ani, &id).await.len()), (json!("40000"), 0));

    let done = world.change("upgrade", &ani, &id, PRO, true).await;
    assert_eq!(done.status, 200, "{:#}", done.body);
    assert_keys(done.data(), &["success", "planChangeId", "message", "status", "calculation", "newService"]);
    assert_eq!(done.data()["newService"], json!({"id": PRO, "name": "N8N - Basic", "variant": "pro"}));
    assert_eq!((&done.data()["status"], world.wallet_of(&ani).await), (&json!("MIGRATING_RESOURCES"), json!("9000")));
    world.cluster(&id, 2, true).await;
    let changes = world.changes(&ani, &id).await;
    let [change] = changes.as_slice() else { panic!("{changes:#?}") };
    assert_eq!(
        (&change["id"], &change["status"], &change["changeType"], &change["chargeAmount"]),
        (&done.data()["planChangeId"], &json!("COMPLETED"), &json!("UPGRADE"), &json!("31000"))
    );
    assert_eq!(change["initiator"]["email"], "ani@example.com");
    assert_eq!((&change["reason"], &change["failureReason"]), (&Value::Null, &Value::Null));
    let now = world.get(&format!("/subscriptions/{id}"), &ani).await;
    assert_eq!((&now.data()["serviceId"], &now.data()["status"]), (&json!(PRO), &json!("ACTIVE")));
    let invoices = world.count("InvoiceIssued").await;
    assert_eq!(invoices, 3, "top-up, subscription, change of plan");
}

#[actix_web::test]
async fn what_cannot_be_had_is_refused_with_reasons_and_leaves_nothing_behind() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, id) = world.on_basic("ani", 30_999).await;
    let poor = world.change("upgrade", &ani, &id, PRO, true).await;
    assert_eq!((poor.status.as_u16(), &poor.body["code"]["reasons"]), (402, &json!(["INSUFFICIENT_BALANCE"])));
    world.top_up(&ani, 10_000).await;
    let full = PlanCommand::ChangeCapacity { capacity: minispod_events::Capacity(0) };
    world.command(PRO, AnyCommand::Plan(full), "full").await;
    let sold_out = world.change("upgrade", &ani, &id, PRO, true).await;
    assert_eq!((sold_out.status.as_u16(), &sold_out.body["code"]["reasons"]), (409, &json!(["SERVICE_UNAVAILABLE"])));
    let same = world.change("upgrade", &ani, &id, BASIC, true).await;
    assert_eq!((same.status.as_u16(), &same.body["code"]["reasons"]), (409, &json!(["SAME_SERVICE"])));
    world.settle_reactions().await;
    assert_eq!(world.wallet_of(&ani).await, "40999");
    let statuses: Vec<_> = world.changes(&ani, &id).await.iter().map(|change| change["status"].clone()).collect();
    assert_eq!(statuses, ["FAILED", "FAILED"], "newest first; what is refused outright never began");
    let (budi, _) = world.register("budi@example.com").await;
    for (token, id) in [(&budi, id.as_str()), (&ani, NOBODY)] {
        for verb in ["upgrade", "downgrade"] {
            assert_eq!(world.change(verb, token, id, PRO, true).await.status, 404);
        }
    }
    assert_eq!(world.change("upgrade", &ani, &id, NOBODY, true).await.status, 404);
}

#[actix_web::test]
async fn w14_a_customers_cheaper_plan_waits_for_the_next_period_and_an_administrators_does_not() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let (ani, id) = world.on_basic("ani", 0).await;
    let up = world.change("upgrade", &ani, &id, FREE, true).await;
    assert_eq!((up.status.as_u16(), &up.body["code"]["reasons"]), (409, &json!(["DOWNGRADE_NOT_ALLOWED"])));
    let asked = world.change("downgrade", &ani, &id, FREE, false).await;
    assert_eq!((asked.status.as_u16(), &asked.body["code"]), (400, &json!("DOWNGRADE_CONFIRMATION_REQUIRED")));
    let later = world.change("downgrade", &ani, &id, FREE, true).await;
    assert_eq!((later.status.as_u16(), &later.data()["status"]), (200, &json!("PENDING")), "{:#}", later.body);
    let seen = world.get(&format!("/subscriptions/{id}"), &ani).await;
    assert_eq!((&seen.data()["serviceId"], &seen.data()["nextServiceId"]), (&json!(BASIC), &json!(FREE)));
    let withdrawn = world.change("downgrade", &ani, &id, BASIC, true).await;
    assert_eq!((withdrawn.status.as_u16(), &withdrawn.data()["status"]), (200, &json!("CANCELLED")));
    assert_eq!(world.wallet_of(&ani).await, "0");

    let now = world.change("downgrade", &admin, &id, FREE, true).await;
    assert_eq!(now.status, 200, "{:#}", now.body);
    world.cluster(&id, 2, true).await;
    assert_eq!(world.wallet_of(&ani).await, "31000", "the whole period is left");
    let changes = world.changes(&ani, &id).await;
    assert_eq!((&changes[0]["status"], &changes[0]["refundAmount"]), (&json!("COMPLETED"), &json!("31000")));
}

#[actix_web::test]
async fn w17_a_change_that_the_cluster_cannot_make_is_taken_back_in_full() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, id) = world.on_basic("ani", 40_000).await;
    world.change("upgrade", &ani, &id, PRO, true).await;
    world.cluster(&id, 2, false).await;
    world.settle_reactions().await;
    let changes = world.changes(&ani, &id).await;
    assert_eq!(
        (&changes[0]["status"], &changes[0]["failureReason"]),
        (&json!("ROLLED_BACK"), &json!("instance-resize-failed"))
    );
    assert_eq!(world.wallet_of(&ani).await, "40000");
    let now = world.get(&format!("/subscriptions/{id}"), &ani).await;
    assert_eq!((&now.data()["serviceId"], &now.data()["status"]), (&json!(BASIC), &json!("ACTIVE")));
}

#[actix_web::test]
async fn an_end_can_wait_for_the_period_and_be_withdrawn() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, id) = world.on_basic("ani", 0).await;
    let path = format!("/subscriptions/{id}");
    let later = world.call("DELETE", &path, Some(&ani), Some(&json!({"immediate": false}))).await;
    assert_eq!((later.status.as_u16(), &later.data()["status"]), (200, &json!("ACTIVE")), "{:#}", later.body);
    let seen = world.get(&path, &ani).await;
    assert_eq!(seen.data()["cancelAt"], seen.data()["expiresAt"]);
    world.call("PUT", &path, Some(&ani), Some(&json!({"autoRenew": true}))).await;
    assert_eq!(world.get(&path, &ani).await.data()["cancelAt"], Value::Null);
    let now = world.call("DELETE", &path, Some(&ani), Some(&json!({}))).await;
    assert_eq!((now.status.as_u16(), &now.data()["status"]), (200, &json!("CANCELLED")));
    assert_ne!(world.get(&path, &ani).await.data()["dataUntil"], Value::Null);
}

#[actix_web::test]
async fn what_expired_is_renewed_by_hand_where_slot_and_money_are_there_w06_w08() {
    if !require("pg") {
        return;
    }
    let world = open(|_| {}).await;
    world.stock().await;
    let (ani, id) = world.on_basic("ani", 0).await;
    let expire = SubscriptionCommand::Expire { cause: minispod_events::ExpiryCause::NotRenewed };
    world.command(&id, AnyCommand::Subscription(expire), "expire").await;
    let path = format!("/subscriptions/{id}/renew");
    let poor = world.call("PUT", &path, Some(&ani), None).await;
    assert_eq!((poor.status.as_u16(), &poor.body["code"]["reasons"]), (402, &json!(["Insufficient balance"])));
    world.top_up(&ani, 31_000).await;
    let full = PlanCommand::ChangeCapacity { capacity: minispod_events::Capacity(0) };
    world.command(BASIC, AnyCommand::Plan(full), "full").await;
    let sold_out = world.call("PUT", &path, Some(&ani), None).await;
    assert_eq!(
        (sold_out.status.as_u16(), &sold_out.body["code"]["reasons"]),
        (409, &json!(["Service quota exhausted"]))
    );
    assert_eq!(world.wallet_of(&ani).await, "31000", "nothing is charged");
    let free = PlanCommand::ChangeCapacity { capacity: minispod_events::Capacity(1) };
    world.command(BASIC, AnyCommand::Plan(free), "free").await;
    let renewed = world.call("PUT", &path, Some(&ani), None).await;
    assert_eq!((renewed.status.as_u16(), &renewed.data()["status"]), (200, &json!("ACTIVE")), "{:#}", renewed.body);
    assert_eq!(world.wallet_of(&ani).await, "0");
}
