//! A customer whose service runs, and what is left of its plan.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
};
use minispod_domain::{AnyCommand, InstanceCommand};
use serde_json::{Value, json};

use crate::world::{Answered, World, request};

/// The plan that is sold.
pub const PAID: &str = "cplanpaid0000000000000000";
/// Its price.
pub const PRICE: i64 = 35_000;
/// What a customer tops up with first.
pub const MONEY: i64 = 100_000;

/// Somebody and his subscription.
pub struct Customer {
    pub token: String,
    pub user_id: String,
    /// Of the subscription.
    pub id: String,
    pub instance_id: String,
}

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// Somebody who has paid and waits for the deployment.
    pub async fn waiting(&self, name: &str) -> Customer {
        let (token, user_id) = self.register(&format!("{name}@example.com")).await;
        self.top_up(&token, MONEY).await;
        let bought = self.post("/subscriptions", &token, json!({"serviceId": PAID})).await;
        assert_eq!(bought.status, 200, "{:#}", bought.body);
        let id = bought.data()["id"].as_str().expect("an id").to_owned();
        self.settle_reactions().await;
        let instance_id = self.instance_of(&id).await;
        Customer { token, user_id, id, instance_id }
    }

    /// Somebody whose service runs.
    pub async fn running(&self, name: &str) -> Customer {
        let customer = self.waiting(name).await;
        self.deploy(&customer.id, &format!("https://{name}.n8n.example")).await;
        customer
    }

    /// The instance of a subscription.
    pub async fn instance_of(&self, id: &str) -> String {
        sqlx::query_scalar(
            "SELECT payload->>'instance_id' FROM log.events \
             WHERE event_type = 'SubscriptionRequested' AND aggregate_id = $1",
        )
        .bind(id)
        .fetch_one(self.store.pool())
        .await
        .expect("reads the log")
    }

    /// The cluster takes the instance of a subscription, and it runs.
    pub async fn deploy(&self, id: &str, url: &str) {
        let applied = InstanceCommand::RecordApplied {
            generation: 1,
            namespace: "customer-of-a-test".to_owned(),
            workload: format!("n8n-{id}"),
            internal_url: "http://inside:5678".to_owned(),
            external_url: url.to_owned(),
            volume_claim: Some(format!("n8n-{id}-data")),
            simulated: true,
            program: None,
        };
        let ready = InstanceCommand::RecordReady { generation: 1, external_url: url.to_owned() };
        let instance_id = self.instance_of(id).await;
        for (report, what) in [(applied, "applied"), (ready, "ready")] {
            self.command(&instance_id, AnyCommand::Instance(report), &format!("{instance_id}-{what}")).await;
        }
    }

    /// Slots of the plan that are left, as everybody sees them.
    pub async fn slots_left(&self) -> i64 {
        let plan = self.call("GET", "/services/n8n", None, None).await;
        plan.data()["availableQuota"].as_i64().unwrap_or_else(|| panic!("{:#}", plan.body))
    }

    /// The subscription's status, as its customer sees it.
    pub async fn status_of(&self, customer: &Customer) -> String {
        let seen = self.get(&format!("/subscriptions/{}", customer.id), &customer.token).await;
        seen.data()["status"].as_str().unwrap_or_else(|| panic!("{:#}", seen.body)).to_owned()
    }

    /// What is in the customer's wallet.
    pub async fn balance_of(&self, customer: &Customer) -> Value {
        self.get("/billing/balance", &customer.token).await.data()["balance"].clone()
    }

    /// The world's own now.
    pub fn clock_now(&self) -> minispod_kernel::Timestamp {
        self.store.clock().now()
    }

    /// The names of what has happened to an aggregate.
    pub async fn names(&self, aggregate_type: &str, id: &str) -> Vec<String> {
        self.events(aggregate_type, id).await.into_iter().map(|(name, ..)| name).collect()
    }

    /// Asks for an administrator's deed on a subscription.
    pub async fn deed(&self, admin: &str, verb: &str, customer: &Customer, what: &str, body: Value) -> Answered {
        self.call(verb, &format!("/admin/subscriptions/{}/{what}", customer.id), Some(admin), Some(&body)).await
    }

    /// Lets a subscription stand like this.
    pub async fn stand(&self, admin: &str, customer: &Customer, status: &str) -> Answered {
        self.deed(admin, "PUT", customer, "status", json!({ "status": status })).await
    }

    /// The same request twice under one key; both answers.
    pub async fn twice(&self, method: &str, path: &str, token: &str, body: &Value, key: &str) -> [Answered; 2] {
        let ask = || request(method, path, Some(token), Some(body)).insert_header(("idempotency-key", key.to_owned()));
        [self.send(ask()).await, self.send(ask()).await]
    }
}

/// Status and code of a refusal.
pub fn no(answer: &Answered) -> (u16, &str) {
    (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default())
}
