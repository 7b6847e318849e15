//! What customers of stories do before the story begins: pay at the stand-in, choose a plan, wait for their service.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use minispod_testkit::wait_until;
use serde_json::{Value, json};

use crate::{Door, World, process::binary};

/// Longest wait for what follows by itself: a credit, a running service.
const READY: Duration = Duration::from_mins(2);
/// Everybody's password.
const PASSWORD: &str = "Rahasia-123!";

impl World {
    /// An administrator, made as an operator makes one, and signed in.
    pub async fn administrator(&self, email: &str) -> Door {
        let mut child = Command::new(binary())
            .args(["admin", "create", "--name", "Siti Admin", "--email", email, "--config"])
            .arg(self.directory().join("minispod.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary can be started");
        let mut stdin = child.stdin.take().expect("it reads the password");
        writeln!(stdin, "{PASSWORD}").expect("it takes the password");
        drop(stdin);
        assert!(child.wait().expect("it ends").success(), "no administrator was made");
        self.door().with_token(&self.session(email).await)
    }

    /// The access token of a new sign-in.
    pub async fn session(&self, email: &str) -> String {
        let login = self.door().post("/auth/login", json!({"email": email, "password": PASSWORD})).await;
        login.data()["tokens"]["accessToken"].as_str().expect("a token").to_owned()
    }

    /// Pays a top-up at the stand-in and waits for the credit; gives back the top-up as it was answered.
    pub async fn fund(&self, customer: &Door, amount: i64) -> Value {
        let before = customer.balance().await;
        let topup = customer.post("/billing/topup", json!({"amount": amount, "currency": "IDR"})).await.data().clone();
        let order = topup["orderId"].as_str().expect("a top-up has an order id");
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client can be made");
        let url = format!("{}/standin/orders/{order}/pay", self.midtrans.url);
        let paid = client.post(url).json(&json!({"payment_type": "gopay"})).send().await.expect("the stand-in answers");
        assert!(paid.status().is_success(), "the stand-in takes the payment");
        wait_until(READY, || async { customer.balance().await == before + amount }).await;
        topup
    }

    /// The cheapest plan of an offering: its id and its price.
    pub async fn plan(&self, offering: &str) -> (String, i64) {
        let found = self.door().get(&format!("/services/grouped?search={offering}")).await;
        let services = found.data()["services"].as_array().cloned().unwrap_or_default();
        let service = services.iter().find(|service| service["name"] == offering).expect("the offering is sold");
        let price = |plan: &Value| plan["monthlyPrice"].as_str().and_then(|price| price.parse().ok());
        let plans = service["variants"].as_array().into_iter().flatten();
        let plans = plans.filter_map(|plan| Some((plan["id"].as_str()?.to_owned(), price(plan)?)));
        plans.min_by_key(|(_, price)| *price).expect("the offering has a plan")
    }

    /// Subscribes and waits until the service runs; gives back the subscription's id.
    pub async fn subscribe(&self, customer: &Door, plan: &str) -> String {
        let answer = customer.post("/subscriptions", json!({"serviceId": plan})).await;
        let id = answer.data()["id"].as_str().expect("a subscription has an id").to_owned();
        let path = format!("/subscriptions/{id}");
        wait_until(READY, || async { customer.get(&path).await.data()["status"] == "ACTIVE" }).await;
        id
    }
}
