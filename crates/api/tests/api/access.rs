//! Who may call what: every route that the api describes, called by everybody who may and who may not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use actix_web::{Error, body::MessageBody, dev::Service, dev::ServiceResponse};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use minispod_api::{Allowance, ApiConfig, refused_access::Kind};
use minispod_auth::AccessTokens;
use minispod_domain::{AnyCommand, SubscriptionCommand, UserCommand};
use minispod_kernel::{Clock, ManualClock, Timestamp, ids::is_id};
use minispod_testkit::{eventually, require};
use serde_json::{Value, json};

use crate::{
    described::{Access, HOST, NOBODY, Operation, operations},
    fleet::PlayedFleet,
    manual_topups::picture,
    refused_access::operation_of,
    world::{Answered, TOKEN_SECRET, World, open, open_with_fleet_as},
};

/// Somebody at the door.
struct Caller {
    name: &'static str,
    token: Option<String>,
    standing: Standing,
}

/// What the door should make of a caller.
enum Standing {
    /// Nobody that is known.
    Stranger,
    /// Signed in.
    Person { administers: bool },
    /// With an API token of these scopes.
    Program { administers: bool, scopes: &'static [&'static str] },
}

impl Caller {
    fn new(name: &'static str, token: &str, standing: Standing) -> Self {
        Self { name, token: Some(token.to_owned()), standing }
    }

    fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// With what status the caller is turned away, by the description of the operation alone.
    fn refusal(&self, operation: &Operation) -> Option<u16> {
        if operation.access == Access::Public {
            return None;
        }
        let has_role = |administers| administers || operation.access != Access::Administrator;
        let is_let_in = match &self.standing {
            Standing::Stranger => return Some(401),
            Standing::Person { administers } => has_role(*administers),
            Standing::Program { administers, scopes } => {
                let all = |needed: &BTreeSet<String>| needed.iter().all(|scope| scopes.contains(&scope.as_str()));
                has_role(*administers) && operation.scopes.as_ref().is_some_and(all)
            }
        };
        (!is_let_in).then_some(403)
    }
}

/// Programs of an administrator, by the scopes of their tokens.
const PROGRAMS: [(&str, &[&str]); 5] = [
    ("a program that reads", &["read"]),
    ("a program that writes", &["write"]),
    ("a program that only acts", &["admin"]),
    ("a program that reads and writes", &["read", "write"]),
    ("a program that may everything", &["read", "write", "admin"]),
];

/// No limit stands in the way of so many calls.
fn unlimited(config: &mut ApiConfig) {
    for allowance in [
        &mut config.address_allowance,
        &mut config.notification_allowance,
        &mut config.payment_allowance,
        &mut config.sign_in_request_allowance,
        &mut config.read_allowance,
        &mut config.write_allowance,
        &mut config.sign_in_allowance,
        &mut config.second_factor_allowance,
        &mut config.link_allowance,
        &mut config.refused_access_allowance,
    ] {
        *allowance = Allowance::unlimited();
    }
}

/// Everything durable, counted, and the end of the log.
async fn written<S>(world: &World<S>) -> BTreeMap<String, i64> {
    let tables: Vec<(String,)> = sqlx::query_as(
        "SELECT table_schema || '.' || table_name FROM information_schema.tables
         WHERE table_schema IN ('log', 'vault', 'ops') AND table_type = 'BASE TABLE'",
    )
    .fetch_all(world.store.pool())
    .await
    .expect("the tables");
    let mut counts = BTreeMap::new();
    for (table,) in tables {
        let question = format!("SELECT count(*) FROM {table}");
        let count = sqlx::query_scalar(&question).fetch_one(world.store.pool()).await.expect("counts");
        counts.insert(table, count);
    }
    let end = sqlx::query_scalar("SELECT coalesce(max(ins_seq), 0) FROM log.events");
    counts.insert("the end of the log".to_owned(), end.fetch_one(world.store.pool()).await.expect("the log"));
    counts
}

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// An API token of these scopes.
    async fn api_token(&self, session: &str, scopes: &[&str]) -> String {
        let wish = json!({"name": "a program", "scopes": scopes, "expiresInDays": 30});
        let made = self.post("/auth/api-tokens", session, wish).await;
        assert_eq!(made.status, 201, "{:#}", made.body);
        made.data()["token"].as_str().expect("a token").to_owned()
    }

    /// Tokens of `real`'s session that must not be believed.
    fn forgeries(&self, real: &str) -> Vec<(&'static str, String)> {
        let [_, middle, signature] = real.split('.').collect::<Vec<_>>()[..] else { panic!("a token has three parts") };
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = URL_SAFE_NO_PAD.decode(middle).expect("base64");
        let claims: Value = serde_json::from_slice(&claims).expect("claims are JSON");
        let text = |name: &str| claims[name].as_str().expect("a claim");
        let signed = |secret: &[u8], clock: ManualClock, role: &str| {
            let tokens = AccessTokens::new(secret, Duration::from_hours(1), Arc::new(clock)).expect("long enough");
            tokens.issue(text("userId"), role, text("sid")).expect("signs")
        };
        let now = self.clock.now();
        let past = Timestamp::from_unix_millis(now.unix_millis() - 2 * 3_600_000);
        let mut promoted = claims.clone();
        promoted["role"] = json!("ADMINISTRATOR");
        let head = |algorithm: &str| encoded(&json!({"alg": algorithm, "typ": "JWT"}));
        vec![
            ("an expired token", signed(TOKEN_SECRET, ManualClock::at(past), "USER")),
            ("a token of another secret", signed(&[9; 40], ManualClock::at(now), "ADMINISTRATOR")),
            ("a token that is not signed", format!("{}.{}.", head("none"), encoded(&promoted))),
            ("a token with a changed role", format!("{}.{}.{signature}", head("HS256"), encoded(&promoted))),
            ("an API token of nobody", format!("msp_{NOBODY}_{}", "a".repeat(43))),
        ]
    }

    /// Everybody who is turned away somewhere.
    async fn everybody(&self) -> Vec<Caller> {
        let (customer, _) = self.register("customer@example.com").await;
        let (gone, gone_id) = self.register("gone@example.com").await;
        let switched_off = UserCommand::Deactivate { reason: "test".to_owned() };
        self.command(&gone_id, AnyCommand::User(switched_off), "gone").await;
        let (admin, _) = self.administrator("admin@example.com").await;
        // A role that its holder lost holds no longer, whatever the token says; a role that was never given neither.
        let signer = AccessTokens::new(TOKEN_SECRET, Duration::from_hours(1), self.clock.clone()).expect("long enough");
        let claims = signer.read(&customer).expect("a real token");
        let boasting = signer.issue(&claims.user_id, "ADMINISTRATOR", &claims.sid).expect("signs");
        let mut callers = vec![
            Caller { name: "nobody", token: None, standing: Standing::Stranger },
            Caller::new("a deactivated user", &gone, Standing::Stranger),
            Caller::new("a customer", &customer, Standing::Person { administers: false }),
            Caller::new("a customer who boasts", &boasting, Standing::Person { administers: false }),
            Caller::new("an administrator", &admin, Standing::Person { administers: true }),
        ];
        let forged = self.forgeries(&customer).into_iter();
        callers.extend(forged.map(|(name, token)| Caller::new(name, &token, Standing::Stranger)));
        for (name, scopes) in PROGRAMS {
            let token = self.api_token(&admin, scopes).await;
            callers.push(Caller::new(name, &token, Standing::Program { administers: true, scopes }));
        }
        let (name, scopes) = ("a customer's program", &["read", "write"]);
        let token = self.api_token(&customer, scopes).await;
        callers.push(Caller::new(name, &token, Standing::Program { administers: false, scopes }));
        callers
    }
}

/// What is wrong with an answer that should be this refusal.
fn faults(answer: &Answered, status: u16) -> Option<String> {
    let is_right = answer.status == status
        && answer.body["success"] == false
        && answer.body["statusCode"] == status
        && answer.body.get("data").is_none_or(|data| data["error"] == answer.body["code"]);
    (!is_right).then(|| format!("{} instead of {status}: {}", answer.status, answer.body))
}

#[actix_web::test]
async fn who_may_not_call_is_told_so_and_writes_nothing() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    let callers = world.everybody().await;
    let (_, somebody) = world.register("victim@example.com").await;
    let before = written(&world).await;
    let (mut wrong, mut refused) = (Vec::new(), BTreeMap::new());
    for operation in operations(&world).await {
        for caller in &callers {
            let Some(status) = caller.refusal(&operation) else { continue };
            let answer = operation.call(&world, &vec![somebody.as_str(); operation.ids()], caller.token()).await;
            wrong.extend(faults(&answer, status).map(|fault| format!("{operation} by {}: {fault}", caller.name)));
            *refused.entry(caller.name).or_insert(0) += 1;
        }
        let after = written(&world).await;
        assert_eq!(after, before, "{operation} was refused and wrote something\n{}", wrong.join("\n"));
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    let everything = "a program that may everything";
    assert!(callers.iter().all(|who| refused.contains_key(who.name) || who.name == "an administrator"), "{refused:?}");
    assert!(refused[everything] > 10 && refused[everything] < refused["nobody"], "{refused:?}");
}

/// The status is one that the operation describes, and blames nobody inside.
fn is_described(operation: &Operation, answer: &Answered) -> bool {
    let status = answer.status.as_u16();
    operation.statuses.contains(&status) && status != 500
}

#[actix_web::test]
async fn who_may_call_is_let_in_finds_nothing_under_an_unknown_id_and_writes_nothing_by_looking_w69() {
    if !require("pg") {
        return;
    }
    let world = open(unlimited).await;
    let mut wrong = Vec::new();
    let (keeper, _) = world.administrator("keeper@example.com").await;
    let everything = world.api_token(&keeper, &["read", "write", "admin"]).await;
    let scopes = &["read", "write", "admin"];
    let (mut customer, mut admin) = (String::new(), String::new());
    for (place, operation) in operations(&world).await.into_iter().enumerate() {
        // Some routes end a session or an account: somebody new comes to the next one.
        if world.get("/auth/me", &customer).await.status != 200 {
            customer = world.register(&format!("customer{place}@example.com")).await.0;
        }
        if world.get("/auth/me", &admin).await.status != 200 {
            admin = world.administrator(&format!("admin{place}@example.com")).await.0;
        }
        for caller in [
            Caller { name: "nobody", token: None, standing: Standing::Stranger },
            Caller::new("a customer", &customer, Standing::Person { administers: false }),
            Caller::new("an administrator", &admin, Standing::Person { administers: true }),
            Caller::new("a program", &everything, Standing::Program { administers: true, scopes }),
        ] {
            if caller.refusal(&operation).is_some() {
                continue;
            }
            let before = written(&world).await;
            let answer = operation.call(&world, &vec![NOBODY; operation.ids()], caller.token()).await;
            let status = answer.status.as_u16();
            if (operation.is_safe() || status >= 400) && written(&world).await != before {
                wrong.push(format!("{operation} by {}: {status} and something is written", caller.name));
            }
            let is_let_in = operation.access == Access::Public || ![401, 403].contains(&status);
            // A machine's door is open to nobody else, and says nothing of what is behind it.
            let is_machines = operation.access == Access::Public && status == 401;
            let is_missing = operation.ids() == 0 || [404, 503].contains(&status) || is_machines;
            if !is_let_in || !is_missing || !is_described(&operation, &answer) {
                wrong.push(format!("{operation} by {}: {status} {}", caller.name, answer.body));
            }
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every id in an answer.
fn ids_in(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if is_id(text) => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| ids_in(item, found)),
        Value::Object(members) => members.values().for_each(|item| ids_in(item, found)),
        _ => {}
    }
}

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    /// Somebody who has one of everything: a paid and an open order, a bank transfer, a running service with a domain, an API token, two sessions.
    async fn owner(&self, email: &str) -> String {
        const PLAN: &str = "cplan0000000000000000own1";
        self.publish(PLAN, "basic", 35_000, 5).await;
        let (token, user_id) = self.register(email).await;
        self.sign_in(email).await;
        self.api_token(&token, &["read"]).await;
        self.top_up(&token, 100_000).await;
        self.post("/billing/topup", &token, json!({"amount": 70_000})).await;
        assert_eq!(self.send_proof(&token, 60_000, &picture(1)).await.status, 201);
        let bought = self.post("/subscriptions", &token, json!({ "serviceId": PLAN })).await;
        let id = bought.data()["id"].as_str().unwrap_or_else(|| panic!("{:#}", bought.body)).to_owned();
        self.settle_reactions().await;
        let ready = SubscriptionCommand::Activate { external_url: "https://toko.example".to_owned() };
        self.command(&id, AnyCommand::Subscription(ready), &format!("ready-{user_id}")).await;
        self.settle_reactions().await;
        let brought = self.post(&format!("/subscriptions/{id}/domains"), &token, json!({ "host": HOST })).await;
        assert_eq!(brought.status, 201, "{:#}", brought.body);
        token
    }

    /// Every operation of `wanted` has kept that `other` asked for what is `owner`'s, and no other has; one thing of each kind.
    async fn all_kept(&self, wanted: &BTreeSet<String>, other: &str, owner: &str) {
        let routes = async || self.refused().await.iter().map(operation_of).collect::<BTreeSet<_>>();
        eventually(Duration::from_secs(20), || async { routes().await == *wanted }).await;
        assert_eq!(routes().await, *wanted, "each route that looks for an owner keeps who asked for somebody else's");
        let kept = self.refused().await;
        assert!(kept.iter().all(|one| (one.user_id.as_str(), one.owner_id.as_str()) == (other, owner)), "{kept:#?}");
        let kinds: BTreeSet<&str> = kept.iter().map(|one| one.kind.as_str()).collect();
        assert_eq!(kinds, BTreeSet::from(Kind::ALL.map(Kind::as_str)));
    }

    /// Every id that `token` is shown and a stranger is not.
    async fn ids_of(&self, all: &[Operation], token: &str) -> Vec<String> {
        let (mut own, mut public) = (BTreeSet::new(), BTreeSet::new());
        for operation in all.iter().filter(|operation| operation.is_safe() && operation.ids() == 0) {
            match operation.access {
                Access::Public => ids_in(&operation.call(self, &[], None).await.body, &mut public),
                _ => ids_in(&operation.call(self, &[], Some(token)).await.body, &mut own),
            }
        }
        let first: Vec<String> = own.iter().cloned().collect();
        for operation in all.iter().filter(|operation| operation.is_safe() && operation.ids() == 1) {
            for id in &first {
                ids_in(&operation.call(self, &[id], Some(token)).await.body, &mut own);
            }
        }
        own.difference(&public).cloned().collect()
    }
}

/// Whether its path names a plan, which is nobody's.
fn names_a_plan(operation: &Operation) -> bool {
    operation.path.contains("{serviceId}")
}

/// Every way to fill `count` names of a path with `ids`.
fn fillings(ids: &[String], count: usize) -> Vec<Vec<&str>> {
    (0..count).fold(vec![Vec::new()], |begun: Vec<Vec<&str>>, _| {
        begun.iter().flat_map(|start| ids.iter().map(|id| [&start[..], &[id.as_str()]].concat())).collect()
    })
}

#[actix_web::test]
async fn what_is_somebody_elses_is_found_by_nobody_but_its_owner() {
    if !require("pg") {
        return;
    }
    let world = open_with_fleet_as(unlimited, Arc::new(PlayedFleet::default())).await;
    let mut owner = world.owner("owner@example.com").await;
    let (other, other_id) = world.register("other@example.com").await;
    let (admin, _) = world.administrator("admin@example.com").await;
    let all = operations(&world).await;
    let ids = world.ids_of(&all, &owner).await;
    assert!(ids.len() >= 8, "a person, two sessions, a token, orders, lines, invoices and a subscription: {ids:?}");
    let is_own = |one: &Operation| one.access == Access::SignedIn && one.ids() > 0 && one.is_built();
    let mut own: Vec<_> = all.into_iter().filter(is_own).collect();
    let before = written(&world).await;
    let mut wrong = Vec::new();
    for operation in &own {
        for ids in fillings(&ids, operation.ids()) {
            // An administrator has doors of his own; at a customer's he finds his own things.
            let administrator = (!operation.of_anybody).then_some(("an administrator", &admin));
            for (name, token) in [("another customer", &other)].into_iter().chain(administrator) {
                let answer = operation.call(&world, &ids, Some(token)).await;
                wrong.extend(faults(&answer, 404).map(|fault| format!("{operation} {ids:?} by {name}: {fault}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(written(&world).await, before, "asking for somebody else's things wrote something");
    let me = world.get("/auth/me", &owner).await;
    let owner_id = me.data()["user"]["id"].as_str().expect("an id").to_owned();
    let wanted: BTreeSet<String> = own.iter().filter(|one| !names_a_plan(one)).map(ToString::to_string).collect();
    world.all_kept(&wanted, &other_id, &owner_id).await;

    // They were there all the time. What ends things is asked last.
    own.sort_by_key(|operation| {
        ["GET", "PUT", "PATCH", "POST", "DELETE"].iter().position(|it| *it == operation.method)
    });
    for operation in &own {
        let mut seen = BTreeSet::new();
        for ids in fillings(&ids, operation.ids()) {
            seen.insert(operation.call(&world, &ids, Some(&owner)).await.status.as_u16());
            if world.get("/auth/me", &owner).await.status == 401 {
                owner = world.sign_in("owner@example.com").await.access;
            }
        }
        // What names a plan besides is not found for the plan that nobody sells.
        let moves = operation.body.as_ref().is_some_and(|body| !body["newServiceId"].is_null());
        let is_found = moves || names_a_plan(operation) || seen.iter().any(|status| *status != 404);
        if !is_found || seen.iter().any(|status| *status >= 500) {
            wrong.push(format!("{operation} by its owner: {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}
