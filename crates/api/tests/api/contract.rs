//! Every exchange of the client's contract in one walk: what answers has the contract's keys and types.

use std::{collections::BTreeSet, sync::Arc};

use actix_web::{Error, body::MessageBody, dev::Service, dev::ServiceResponse};
use minispod_testkit::require;
use serde_json::{Value, json};

use crate::{
    catalogue::form,
    fleet::{PlayedFleet, node, workload},
    shapes::{answers, difference},
    world::{Answered, PASSWORD, World, open_with_fleet},
};

const NOBODY: &str = "c000000000000000000000000";

struct Walk<'a, S> {
    world: &'a World<S>,
    walked: BTreeSet<(String, String)>,
    faults: Vec<String>,
}

impl<S, B> Walk<'_, S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// One exchange; `ids` take the places of `:id` and the like, in order.
    async fn step(
        &mut self,
        exchange: &str,
        kind: &str,
        ids: &[&str],
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answered {
        let (method, template) = exchange.split_once(' ').expect("a method and a path");
        let mut ids = ids.iter();
        let parts = template.trim_start_matches("/api/v1").split('/');
        let parts: Vec<&str> =
            parts.map(|part| if part.starts_with(':') { ids.next().expect("an id") } else { part }).collect();
        let answer = self.world.call(method, &parts.join("/"), token, body.as_ref()).await;
        self.walked.insert((exchange.to_owned(), kind.to_owned()));
        let status = answer.status.as_u16();
        let is_absent = answer.body["code"] == "ENDPOINT_NOT_FOUND" || [405, 501].contains(&status);
        if is_absent {
            self.faults.push(format!("{exchange} {kind}: {status}, no such route"));
        } else if (kind == "ok") != (status < 400) || status >= 500 {
            self.faults.push(format!("{exchange} {kind}: {status} {}", answer.body));
        } else if let Some(difference) = difference(exchange, kind, &answer.body) {
            self.faults.push(format!("{exchange} {kind}: {difference}"));
        }
        answer
    }

    async fn sign_in(&mut self) -> (String, String, String) {
        let new = json!({"name": "Ani Wijaya", "email": "ani@example.com", "password": PASSWORD,
                         "confirmPassword": PASSWORD});
        self.step("POST /api/v1/auth/register", "ok", &[], None, Some(new.clone())).await;
        let mut taken = new;
        for field in ["password", "confirmPassword"] {
            taken[field] = json!("Another!1");
        }
        self.step("POST /api/v1/auth/register", "refused", &[], None, Some(taken)).await;
        let login = json!({"email": "ani@example.com", "password": PASSWORD});
        let answer = self.step("POST /api/v1/auth/login", "ok", &[], None, Some(login)).await;
        self.step("POST /api/v1/auth/login", "refused", &[], None, Some(json!({"email": "x"}))).await;
        let text = |pointer: &str| answer.body.pointer(pointer).and_then(Value::as_str).expect("a text").to_owned();
        let token = text("/data/tokens/accessToken");
        for exchange in ["GET /api/v1/auth/me", "GET /api/v1/auth/profile", "GET /api/v1/billing/balance"] {
            self.step(exchange, "ok", &[], Some(&token), None).await;
        }
        (token, text("/data/tokens/refreshToken"), text("/data/user/id"))
    }

    /// The plan that the customer buys, and one that is deleted again.
    async fn keep_the_catalogue(&mut self, admin: &str) -> String {
        let admin = Some(admin);
        let created = self.step("POST /api/v1/services", "ok", &[], admin, Some(form("gitea", "basic"))).await;
        self.step("POST /api/v1/services", "refused", &[], admin, Some(form("gitea", "basic"))).await;
        let other = self.step("POST /api/v1/services", "ok", &[], admin, Some(form("gitea", "plus"))).await;
        let (plan, other) = (id_of(&created), id_of(&other));
        self.step("PUT /api/v1/services/:id", "ok", &[&plan], admin, Some(form("gitea", "basic"))).await;
        self.step("PATCH /api/v1/services/:id/toggle-status", "ok", &[&other], admin, None).await;
        self.step("DELETE /api/v1/services/:id", "ok", &[&other], admin, None).await;
        self.step("DELETE /api/v1/services/:id", "refused", &[&other], admin, None).await;
        self.step("GET /api/v1/services/grouped", "ok", &[], None, None).await;
        plan
    }

    /// Pays, buys and is served; gives the subscription.
    async fn buy(&mut self, token: &str, plan: &str) -> String {
        let customer = Some(token);
        let wish = json!({ "serviceId": plan });
        self.step("POST /api/v1/subscriptions", "refused", &[], customer, Some(wish.clone())).await;
        let amount = json!({"amount": 100_000, "currency": "IDR"});
        let topup = self.step("POST /api/v1/billing/topup", "ok", &[], customer, Some(amount)).await;
        self.step("POST /api/v1/billing/topup", "refused", &[], customer, Some(json!({"amount": 1}))).await;
        let history = self.step("GET /api/v1/billing/transactions", "ok", &[], customer, None).await;
        let line = history.data()["transactions"][0]["id"].as_str().expect("a line").to_owned();
        let pay = "POST /api/v1/billing/transactions/:id/pay";
        self.step(pay, "ok", &[&line], customer, None).await;
        self.step(pay, "refused", &[NOBODY], customer, None).await;
        self.step("GET /api/v1/billing/invoices/:id/pdf", "refused", &[NOBODY], customer, None).await;
        let text = |name: &str| topup.data()[name].as_str().expect("a text").to_owned();
        self.world.settle(&text("transactionId"), &text("orderId"), 100_000).await;
        let bought = self.step("POST /api/v1/subscriptions", "ok", &[], customer, Some(wish)).await;
        let id = id_of(&bought);
        self.world.settle_reactions().await;
        self.world.deploy(&id, "https://toko.example").await;
        self.world.settle_reactions().await;
        self.step("GET /api/v1/subscriptions", "ok", &[], customer, None).await;
        self.step("GET /api/v1/subscriptions", "refused", &[], None, None).await;
        self.step("GET /api/v1/subscriptions/:id", "ok", &[&id], customer, None).await;
        id
    }

    async fn administer(&mut self, admin: &str, customer_id: &str, plan: &str, subscription: &str) {
        let admin = Some(admin);
        self.step("GET /api/v1/services/admin", "ok", &[], admin, None).await;
        self.step("GET /api/v1/services/admin/:id", "ok", &[plan], admin, None).await;
        self.step("GET /api/v1/services/admin/:id", "refused", &[NOBODY], admin, None).await;
        self.step("GET /api/v1/admin/users", "ok", &[], admin, None).await;
        self.step("GET /api/v1/admin/users", "refused", &[], None, None).await;
        self.step("GET /api/v1/admin/users/:id", "ok", &[customer_id], admin, None).await;
        self.step("GET /api/v1/admin/users/:id", "refused", &[NOBODY], admin, None).await;
        let person = json!({"name": "Citra Dewi", "email": "citra@example.com", "password": PASSWORD, "role": "USER"});
        let made = self.step("POST /api/v1/admin/users", "ok", &[], admin, Some(person)).await;
        self.step("POST /api/v1/admin/users", "refused", &[], admin, Some(json!({}))).await;
        let made = id_of(&made);
        self.step("PATCH /api/v1/admin/users/:id/toggle-status", "ok", &[&made], admin, None).await;
        self.step("DELETE /api/v1/admin/users/:id", "ok", &[&made], admin, None).await;
        self.step("DELETE /api/v1/admin/users/:id", "refused", &[customer_id], admin, None).await;
        self.step("GET /api/v1/admin/billing/transactions", "ok", &[], admin, None).await;
        self.step("GET /api/v1/admin/subscriptions", "ok", &[], admin, None).await;
        self.step("GET /api/v1/admin/subscriptions/:id", "ok", &[subscription], admin, None).await;
        let status = "PUT /api/v1/admin/subscriptions/:id/status";
        self.step(status, "refused", &[subscription], admin, Some(json!({"status": "LOST"}))).await;
        self.step(status, "ok", &[subscription], admin, Some(json!({"status": "CANCELLED"}))).await;
    }

    async fn look_at_the_cluster(&mut self, admin: &str) {
        let admin = Some(admin);
        for exchange in ["GET /api/v1/admin/pods", "GET /api/v1/admin/pods/orphaned", "GET /api/v1/admin/workers"] {
            self.step(exchange, "ok", &[], admin, None).await;
        }
        let pods = self.step("GET /api/v1/admin/pods", "ok", &[], admin, None).await;
        let pod = pods.data()["pods"][0]["id"].as_str().expect("an instance").to_owned();
        for (exchange, id) in
            [("GET /api/v1/admin/pods/:id", pod.as_str()), ("GET /api/v1/admin/workers/:id", "worker-1")]
        {
            self.step(exchange, "ok", &[id], admin, None).await;
            self.step(exchange, "refused", &[NOBODY], admin, None).await;
        }
        let orphan = "DELETE /api/v1/admin/pods/orphaned/:deploymentName/:namespace";
        let (name, confirm) = (["lost", "customer-lost"], json!({"confirm": true}));
        self.step(orphan, "ok", &name, admin, Some(confirm)).await;
        self.step(orphan, "refused", &name, admin, Some(json!({}))).await;
    }
}

fn id_of(answer: &Answered) -> String {
    answer.data()["id"].as_str().unwrap_or(NOBODY).to_owned()
}

#[actix_web::test]
async fn every_exchange_of_the_contract_has_its_keys_and_types() {
    if !require("pg") {
        return;
    }
    let fleet = Arc::new(PlayedFleet::default());
    fleet.laid().nodes = vec![node("worker-1")];
    fleet.laid().workloads = vec![workload("customer-lost", "lost", None)];
    let world = open_with_fleet(fleet).await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let mut walk = Walk { world: &world, walked: BTreeSet::new(), faults: Vec::new() };
    let (token, refresh, customer_id) = walk.sign_in().await;
    let plan = walk.keep_the_catalogue(&admin).await;
    let subscription = walk.buy(&token, &plan).await;
    walk.administer(&admin, &customer_id, &plan, &subscription).await;
    walk.look_at_the_cluster(&admin).await;
    let renewed = json!({ "refreshToken": refresh });
    walk.step("POST /api/v1/auth/refresh", "ok", &[], None, Some(renewed)).await;
    walk.step("POST /api/v1/auth/logout", "ok", &[], Some(&token), None).await;

    let all: BTreeSet<_> = answers().into_iter().collect();
    assert_eq!(all.difference(&walk.walked).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "not walked");
    assert!(walk.faults.is_empty(), "{}", walk.faults.join("\n"));
}
