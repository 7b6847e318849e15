//! The web client's flow as it was recorded, call by call in its order: every field that the client reads is there.

mod fields;

use std::{collections::BTreeSet, time::Duration};

use minispod_e2e::{Door, World, WorldOptions, door::Answer};
use minispod_testkit::{require, wait_until};
use reqwest::Method;
use serde_json::{Value, json};

/// Where the client's pages come from.
const ORIGIN: &str = "http://localhost:3100";
const READY: Duration = Duration::from_mins(2);
/// As well formed as any id, of nothing.
const NOBODY: &str = "c000000000000000000000000";

/// The client at one backend.
struct Client {
    stranger: Door,
    /// Method and path, names and all, of every route there is.
    routes: BTreeSet<String>,
    absent: BTreeSet<String>,
    faults: Vec<String>,
}

/// One call: who, which route with which ids, with what.
struct Step<'a> {
    door: &'a Door,
    route: &'a str,
    ids: &'a [&'a str],
    query: &'a str,
    body: Option<Value>,
}

impl<'a> Step<'a> {
    fn new(door: &'a Door, route: &'a str) -> Self {
        Self { door, route, ids: &[], query: "", body: None }
    }

    fn of(self, ids: &'a [&'a str]) -> Self {
        Self { ids, ..self }
    }

    fn with(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    fn asking(self, query: &'a str) -> Self {
        Self { query, ..self }
    }

    fn target(&self) -> (Method, String) {
        let (method, path) = self.route.split_once(' ').expect("a method and a path");
        let mut ids = self.ids.iter();
        let parts = path.split('/').map(|part| if part.starts_with('{') { ids.next().expect("an id") } else { part });
        let path = parts.collect::<Vec<_>>().join("/");
        (method.parse().expect("a method"), format!("{path}{}", self.query))
    }
}

impl Client {
    async fn of(world: &World) -> Self {
        let stranger = world.door();
        let document = stranger.get("/openapi.json").await.body;
        let paths = document["paths"].as_object().expect("paths").iter();
        // What describes no success is a promise only.
        let is_built = |described: &Value| {
            described["responses"].as_object().into_iter().flatten().any(|(status, _)| status.starts_with('2'))
        };
        let routes = paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten().filter(|(_, described)| is_built(described));
            methods.map(move |(method, _)| format!("{} {}", method.to_uppercase(), path.trim_start_matches("/api/v1")))
        });
        Self {
            routes: routes.map(|route| bare(&route)).collect(),
            stranger,
            absent: BTreeSet::new(),
            faults: Vec::new(),
        }
    }

    /// A call that is answered with `status`, and with these fields in its data.
    async fn call(&mut self, step: Step<'_>, status: u16, fields: &str) -> Option<Answer> {
        let answer = self.ask(&step).await?;
        let is_right = answer.status == status && answer.body["success"] == json!(status < 400);
        if !is_right || !answer.body["message"].is_string() {
            self.faults.push(format!("{}: {} instead of {status}: {}", step.route, answer.status, answer.body));
            return None;
        }
        let faults = fields::faults(&answer.body["data"], fields);
        self.faults.extend(faults.into_iter().map(|fault| format!("{}: {fault}", step.route)));
        Some(answer)
    }

    /// The answer, as a browser lets the page see it; none where there is no such route.
    async fn ask(&mut self, step: &Step<'_>) -> Option<Answer> {
        if !self.routes.contains(&bare(step.route)) {
            self.absent.insert(step.route.to_owned());
            return None;
        }
        let (method, path) = step.target();
        self.preflight(&method, &path).await;
        let body = step.body.as_ref().map(|body| body.to_string().into_bytes());
        let answer = step.door.try_send(method, &path, body, &[("origin", ORIGIN)]).await.expect("the api answers");
        if answer.headers.get("access-control-allow-origin").is_none_or(|origin| origin != ORIGIN) {
            self.faults.push(format!("{}: a browser would hide this answer", step.route));
        }
        Some(answer)
    }

    /// Every call of a browser is asked for first, without a token.
    async fn preflight(&mut self, method: &Method, path: &str) {
        let wish = [
            ("origin", ORIGIN),
            ("access-control-request-method", method.as_str()),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let answer = self.stranger.try_send(Method::OPTIONS, path, None, &wish).await.expect("the api answers");
        let says = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let headers = says("access-control-allow-headers").to_lowercase();
        let is_right = (200..300).contains(&answer.status)
            && says("access-control-allow-origin") == ORIGIN
            && says("access-control-allow-methods").contains(method.as_str())
            && headers.contains("authorization")
            && headers.contains("content-type");
        if !is_right {
            self.faults
                .push(format!("a browser would not send {method} {path}: {} {:?}", answer.status, answer.headers));
        }
    }

    fn expect(&mut self, what: &str, holds: bool, told: &Value) {
        if !holds {
            self.faults.push(format!("{what}: {told}"));
        }
    }

    async fn sign_in(&mut self, world: &World) -> Door {
        let stranger = self.stranger.clone();
        let login = || Step::new(&stranger, "POST /auth/login");
        let credentials = |email: &str, password: &str| json!({"email": email, "password": password});
        if let Some(no) =
            self.call(login().with(credentials("no@example.com", "Wrong-123!")), 401, fields::NOTHING).await
        {
            self.expect("a refused sign-in has a text as its code", no.body["code"].is_string(), &no.body);
        }
        if let Some(no) = self.call(login().with(credentials("x", "")), 400, fields::NOTHING).await {
            let named: Vec<_> =
                no.body["errors"].as_array().into_iter().flatten().map(|fault| &fault["field"]).collect();
            let is_right = named == ["email", "password"] && no.body["code"] == "VALIDATION_ERROR";
            self.expect("the login page shows each fault under its field", is_right, &no.body);
        }
        world.door().register("Ani Client").await;
        let credentials = credentials("ani.client@example.com", "Rahasia-123!");
        let answer = self.call(login().with(credentials), 200, fields::LOGIN).await.expect("a sign-in");
        self.expect("a customer's role", answer.data()["user"]["role"] == "USER", &answer.body);
        stranger.with_token(answer.data()["tokens"]["accessToken"].as_str().expect("a token"))
    }

    /// From an empty dashboard to a running service for nothing.
    async fn first_service(&mut self, world: &World, ani: &Door) {
        let list = || Step::new(ani, "GET /subscriptions");
        let none = self.call(list(), 200, fields::NO_SUBSCRIPTIONS).await.expect("a list");
        self.expect("nothing yet", none.data()["subscriptions"] == json!([]), &none.body);
        self.call(Step::new(ani, "GET /services/grouped"), 200, fields::GROUPED).await;
        let subscribe = |plan: &str| Step::new(ani, "POST /subscriptions").with(json!({ "serviceId": plan }));
        let paid = world.plan("n8n").await.0;
        let no = self.call(subscribe(&paid), 402, fields::NOTHING).await.expect("a refusal");
        self.expect("reasons", no.body["code"]["reasons"] == json!(["Insufficient balance"]), &no.body);
        let (free, price) = world.plan("wordpress").await;
        assert_eq!(price, 0, "the catalogue has something for nothing");
        let bought = self.call(subscribe(&free), 200, fields::NOTHING).await.expect("a subscription");
        self.expect("it begins", bought.data()["status"] == "PENDING_DEPLOYMENT", &bought.body);
        wait_until(READY, || async {
            ani.get("/subscriptions").await.data()["subscriptions"][0]["status"] == "ACTIVE"
        })
        .await;
        self.call(list(), 200, fields::SUBSCRIPTIONS).await;
    }

    /// The history of money, as the billing page asks for it.
    async fn history(&mut self, ani: &Door) -> Vec<Value> {
        let step = Step::new(ani, "GET /billing/transactions").asking("?page=1&limit=20");
        let answer = self.call(step, 200, fields::TRANSACTIONS).await.expect("a history");
        answer.data()["transactions"].as_array().cloned().unwrap_or_default()
    }

    async fn money(&mut self, world: &World, ani: &Door) {
        let empty = self.call(Step::new(ani, "GET /billing/balance"), 200, fields::BALANCE).await.expect("a balance");
        self.expect("nothing in the wallet", empty.data()["balance"] == "0", &empty.body);
        let first = self.history(ani).await;
        let is_free = first.len() == 1 && first[0]["type"] == "SERVICE_PURCHASE" && first[0]["amount"] == "0";
        self.expect("what costs nothing is booked too", is_free, &json!(first));
        let order = Step::new(ani, "POST /billing/topup").with(json!({"amount": 100_000, "currency": "IDR"}));
        let topup = self.call(order, 201, fields::PAYMENT).await.expect("a top-up");
        let pending = self.history(ani).await.remove(0);
        let is_open = pending["status"] == "PENDING" && pending["actions"]["canPay"] == true;
        self.expect("an order that can be paid", is_open, &pending);
        let line = pending["id"].as_str().expect("an id").to_owned();
        let pay = Step::new(ani, "POST /billing/transactions/{id}/pay");
        let again = self.call(pay.of(&[&line]), 200, fields::PAYMENT).await.expect("a payment page");
        let is_same = ["orderId", "snapToken"].iter().all(|name| again.data()[name] == topup.data()[name]);
        self.expect("the same order and token", is_same, &again.body);
        self.webhook(world, ani, &topup.data()["orderId"]).await;
        let settled = self.history(ani).await.remove(0);
        let is_paid = settled["status"] == "SUCCESS" && settled["actions"]["canDownloadInvoice"] == true;
        self.expect("a paid order has an invoice", is_paid, &settled);
        let invoice = settled["invoice"]["id"].as_str().unwrap_or(NOBODY).to_owned();
        let pdf = Step::new(ani, "GET /billing/invoices/{id}/pdf");
        let pdf = self.ask(&pdf.of(&[&invoice])).await.expect("a document");
        self.expect("a PDF", pdf.status == 200 && pdf.bytes.starts_with(b"%PDF"), &pdf.body);
    }

    /// The gateway's word: believed when it is signed.
    async fn webhook(&mut self, world: &World, ani: &Door, order: &Value) {
        let forged = json!({"order_id": order, "status_code": "200", "gross_amount": "100000.00",
                            "transaction_status": "settlement", "signature_key": "0".repeat(128)});
        let stranger = self.stranger.clone();
        let step = Step::new(&stranger, "POST /billing/webhooks/midtrans").with(forged);
        self.call(step, 401, fields::NOTHING).await;
        assert_eq!(ani.balance().await, 0, "a forged word was believed");
        let url = format!("{}/standin/orders/{}/pay", world.midtrans.url, order.as_str().expect("an order"));
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client can be made");
        let pays = client.post(url).json(&json!({"payment_type": "qris"}));
        assert!(pays.send().await.expect("the stand-in answers").status().is_success());
        wait_until(READY, || async { ani.balance().await == 100_000 }).await;
        // The invoice gets its number a moment after the money.
        let newest = "/billing/transactions?page=1&limit=1";
        wait_until(READY, || async { ani.get(newest).await.data()["transactions"][0]["invoice"].is_object() }).await;
    }

    async fn second_service(&mut self, world: &World, ani: &Door) -> String {
        let (plan, price) = world.plan("n8n").await;
        let step = Step::new(ani, "POST /subscriptions").with(json!({ "serviceId": plan }));
        let bought = self.call(step, 200, fields::NOTHING).await.expect("a subscription");
        assert_eq!(ani.balance().await, 100_000 - price);
        let id = bought.data()["id"].as_str().expect("an id").to_owned();
        let path = format!("/subscriptions/{id}");
        wait_until(READY, || async { ani.get(&path).await.data()["status"] == "ACTIVE" }).await;
        let charge = self.history(ani).await.remove(0);
        let is_right = charge["type"] == "SERVICE_PURCHASE" && charge["status"] == "SUCCESS";
        self.expect("a charge in the history", is_right, &charge);
        id
    }

    async fn people(&mut self, siti: &Door) {
        let users = self.call(Step::new(siti, "GET /admin/users"), 200, fields::USERS).await.expect("people");
        let users = users.data()["users"].as_array().cloned().unwrap_or_default();
        let ani = users.iter().find(|user| user["email"] == "ani.client@example.com").expect("the customer");
        let ani = ani["id"].as_str().expect("an id").to_owned();
        self.call(Step::new(siti, "GET /admin/users/{id}").of(&[&ani]), 200, fields::USER).await;
        let new = json!({"name": "Budi Baru", "email": "budi@example.com", "password": "Rahasia-123!", "role": "USER"});
        let made =
            self.call(Step::new(siti, "POST /admin/users").with(new), 201, fields::NOTHING).await.expect("somebody");
        let budi = made.data()["id"].as_str().expect("an id").to_owned();
        self.call(Step::new(siti, "PATCH /admin/users/{id}/toggle-status").of(&[&budi]), 200, fields::NOTHING).await;
        self.call(Step::new(siti, "DELETE /admin/users/{id}").of(&[&budi]), 200, fields::NOTHING).await;
        self.call(Step::new(siti, "DELETE /admin/users/{id}").of(&[&ani]), 409, fields::NOTHING).await;
    }

    async fn catalogue(&mut self, siti: &Door) {
        let made =
            self.call(Step::new(siti, "POST /services").with(plan()), 201, fields::NOTHING).await.expect("a plan");
        let id = made.data()["id"].as_str().expect("an id").to_owned();
        self.call(Step::new(siti, "POST /services").with(plan()), 409, fields::NOTHING).await;
        let list = self.call(Step::new(siti, "GET /services/admin"), 200, fields::SERVICES).await.expect("the plans");
        let rows = list.data()["services"].as_array().cloned().unwrap_or_default();
        let row = rows.iter().find(|row| row["id"] == *id).expect("the new plan is listed");
        // The form of the row, sent back as the client sends it.
        let mut form = plan();
        for (name, value) in form.as_object_mut().into_iter().flatten() {
            *value = row[name].clone();
        }
        form["monthlyPrice"] = row["monthlyPrice"].as_str().and_then(|price| price.parse::<i64>().ok()).into();
        self.expect("a row fills the whole form", form == plan(), &form);
        self.call(Step::new(siti, "GET /services/admin/{id}").of(&[&id]), 200, fields::SERVICE).await;
        self.call(Step::new(siti, "PUT /services/{id}").of(&[&id]).with(form), 200, fields::SERVICE).await;
        self.call(Step::new(siti, "PATCH /services/{id}/toggle-status").of(&[&id]), 200, fields::NOTHING).await;
        self.call(Step::new(siti, "DELETE /services/{id}").of(&[&id]), 200, fields::NOTHING).await;
    }

    async fn subscriptions(&mut self, siti: &Door, ani: &Door, id: &str) {
        let detail = || Step::new(siti, "GET /admin/subscriptions/{id}").of(std::slice::from_ref(&id));
        self.call(Step::new(siti, "GET /admin/subscriptions"), 200, fields::ADMIN_SUBSCRIPTIONS).await;
        self.call(detail(), 200, fields::ADMIN_SUBSCRIPTION).await;
        for (verb, status) in [("stop", "STOPPED"), ("start", "RUNNING")] {
            let route = format!("POST /admin/subscriptions/{{id}}/{verb}");
            if self.call(Step::new(siti, &route).of(&[id]), 200, fields::NOTHING).await.is_some() {
                let path = format!("/admin/subscriptions/{id}");
                wait_until(READY, || async { siti.get(&path).await.data()["serviceInstance"]["status"] == status })
                    .await;
            }
        }
        for status in ["SUSPENDED", "ACTIVE", "CANCELLED"] {
            let ids = [id];
            let step = Step::new(siti, "PUT /admin/subscriptions/{id}/status").of(&ids);
            let step = step.with(json!({ "status": status }));
            if self.call(step, 200, fields::NOTHING).await.is_some() {
                let path = format!("/subscriptions/{id}");
                wait_until(READY, || async { ani.get(&path).await.data()["status"] == status }).await;
            }
        }
    }

    async fn cluster(&mut self, siti: &Door) {
        let id_in = |answer: &Answer, list: &str| answer.data()[list][0]["id"].as_str().unwrap_or(NOBODY).to_owned();
        let pods = self.call(Step::new(siti, "GET /admin/pods"), 200, fields::PODS).await;
        let pod = pods.map_or_else(|| NOBODY.to_owned(), |answer| id_in(&answer, "pods"));
        self.call(Step::new(siti, "GET /admin/pods/{id}").of(&[&pod]), 200, fields::POD).await;
        self.call(Step::new(siti, "GET /admin/pods/orphaned"), 200, fields::ORPHANS).await;
        // There is no orphan here; that it is refused with a word is what the page needs.
        let orphan = "DELETE /admin/pods/orphaned/{deploymentName}/{namespace}";
        let step = Step::new(siti, orphan).of(&["lost", "customer-lost"]).with(json!({"confirm": true}));
        self.call(step, 404, fields::NOTHING).await;
        let workers = self.call(Step::new(siti, "GET /admin/workers"), 200, fields::WORKERS).await;
        let worker = workers.map_or_else(|| NOBODY.to_owned(), |answer| id_in(&answer, "workers"));
        self.call(Step::new(siti, "GET /admin/workers/{nodeId}").of(&[&worker]), 200, fields::WORKER).await;
        for query in ["?type=TOPUP", "?type=SERVICE_PURCHASE"] {
            let step = Step::new(siti, "GET /admin/billing/transactions").asking(query);
            self.call(step, 200, fields::ADMIN_TRANSACTIONS).await;
        }
    }
}

/// A route whatever its ids are called.
fn bare(route: &str) -> String {
    route.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

/// The form of a new plan with the client's defaults.
fn plan() -> Value {
    json!({
        "name": "gitea", "variant": "basic", "variantDisplayName": "Basic", "displayName": "Gitea - Basic",
        "description": "Git hosting for small teams", "version": "latest", "isActive": true,
        "cpuRequest": "0.25", "cpuLimit": "1", "memRequest": "512Mi", "memLimit": "1Gi", "monthlyPrice": 35_000,
        "dockerImage": "gitea/gitea:1.22", "containerPort": 80, "category": "cms", "tags": ["git"], "icon": "",
        "features": ["Unlimited repositories"], "sortOrder": 1, "isDefaultVariant": true, "availableQuota": -1,
        "volumeSize": "250Mi", "volumeMountPath": "/data", "volumeName": "", "storageClass": "local-path",
        "accessMode": "ReadWriteOnce", "environmentVars": {},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_client_finds_every_field_that_it_reads() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions::with_live_views()).await;
    let mut client = Client::of(&world).await;
    let ani = client.sign_in(&world).await;
    client.first_service(&world, &ani).await;
    client.money(&world, &ani).await;
    let subscription = client.second_service(&world, &ani).await;
    let siti = world.administrator("siti@example.com").await;
    client.people(&siti).await;
    client.catalogue(&siti).await;
    client.cluster(&siti).await;
    client.subscriptions(&siti, &ani, &subscription).await;

    // Written to the stream itself: the test harness swallows what the print macros say in a passing test.
    assert!(client.absent.is_empty(), "the client calls what is not there: {:?}", client.absent);
    assert!(client.faults.is_empty(), "{} faults:\n{}", client.faults.len(), client.faults.join("\n"));
}
