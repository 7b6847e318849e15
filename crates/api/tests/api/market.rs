//! Plans, customers and what they buy, for tests that look at it afterwards.

use std::collections::BTreeSet;

use actix_web::{Error, body::MessageBody, dev::Service, dev::ServiceResponse};
use minispod_domain::{AnyCommand, SubscriptionCommand};
use serde_json::{Value, json};

use crate::world::{Answered, World};

/// Plans of one offering; a month from 15 January 2027 has 31 days, so these cost 1 000 and 2 000 a day.
pub const FREE: &str = "cplanfree0000000000000000";
pub const BASIC: &str = "cplanbasic000000000000000";
pub const PRO: &str = "cplanpro00000000000000000";
/// An id that nothing has.
pub const NOBODY: &str = "c000000000000000000000000";

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// The three plans.
    pub async fn stock(&self) {
        for (id, variant, price, capacity) in
            [(FREE, "free", 0, -1), (BASIC, "basic", 31_000, -1), (PRO, "pro", 62_000, 5)]
        {
            self.publish(id, variant, price, capacity).await;
        }
    }

    /// Subscribes to `plan`; the service is not ready yet.
    pub async fn subscribe(&self, token: &str, plan: &str) -> String {
        let bought = self.post("/subscriptions", token, json!({ "serviceId": plan })).await;
        assert_eq!(bought.status, 200, "{:#}", bought.body);
        self.settle_reactions().await;
        bought.data()["id"].as_str().expect("an id").to_owned()
    }

    /// The service of subscription `id` answers.
    pub async fn activate(&self, id: &str) {
        let ready = SubscriptionCommand::Activate { external_url: "https://toko.example".to_owned() };
        self.command(id, AnyCommand::Subscription(ready), &format!("ready-{id}")).await;
        self.settle_reactions().await;
    }

    /// How many events the log has.
    pub async fn log_length(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM log.events").fetch_one(self.store.pool()).await;
        count.expect("counts")
    }
}

/// Panics unless `value` is an object with exactly these keys.
#[track_caller]
pub fn assert_keys(value: &Value, keys: &[&str]) {
    let has: BTreeSet<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(has, keys.iter().copied().collect::<BTreeSet<_>>(), "{value:#}");
}

/// One text of every row of a list, in order.
pub fn column<'a>(answer: &'a Answered, list: &str, name: &str) -> Vec<&'a str> {
    let rows = answer.data()[list].as_array().unwrap_or_else(|| panic!("no {list} in {:#}", answer.body));
    rows.iter().map(|row| row[name].as_str().expect("a text")).collect()
}

/// Status and the fields that are named.
pub fn faults(answer: &Answered) -> (u16, Vec<&str>) {
    (answer.status.as_u16(), answer.fields())
}
