//! A whole api over its own database: real store, real dispatcher, read models projected when asked for.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{
    Error,
    body::to_bytes,
    dev::{Service, ServiceResponse},
    http::{Method, StatusCode, header::HeaderMap},
    test::{TestRequest, init_service},
    web,
};
use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusBuilder;
use minispod_api::{ApiConfig, AppState, NoPaymentPage, Offerings, Parts, PaymentPage, PaymentPages, ReadModels, app};
use minispod_auth::{AccessTokens, GoogleKeys, GoogleSignIn, LinkToken, Passwords};
use minispod_billing::{NotificationVerifier, ProofFolder, ServerKey};
use minispod_domain::{
    AnyCommand, CommandRequest, PlanCommand, TopUpCommand, UserCommand, policies,
    ports::{Documents, LinkKind, PortError, fleet::Fleet},
};
use minispod_events::{Capacity, Event, Fact, PlanDetails, Role};
use minispod_kernel::{Actor, InsSeq, Language, ManualClock, Rupiah, SystemIds, Timestamp};
use minispod_runtime::{Cause, Dispatched, Dispatcher, SilentHints};
use minispod_store::{Store, StoreConfig, migrate};
use minispod_testkit::{
    TestDb,
    google::{self, FakeGoogle},
};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// The gateway key of the tests.
pub const SERVER_KEY: &str = "SB-Mid-server-TEST";
/// Signs the tests' access tokens.
pub const TOKEN_SECRET: &[u8] = b"a signing secret of more than 32 bytes";
/// A password that follows the policy.
pub const PASSWORD: &str = "Rahasia!1";

/// An answer with everything a test looks at.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: web::Bytes,
    /// Null when the body is not JSON.
    pub body: Value,
}

impl Answered {
    /// The data of a success.
    pub fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// One header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The fields named in `errors`.
    pub fn fields(&self) -> Vec<&str> {
        self.body["errors"].as_array().into_iter().flatten().filter_map(|fault| fault["field"].as_str()).collect()
    }
}

/// What a sign-in gave.
#[derive(Debug, Clone)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

impl Tokens {
    /// Of an answer that has some.
    pub fn of(answer: &Answered) -> Self {
        let text = |name: &str| answer.data()["tokens"][name].as_str().expect("a token").to_owned();
        Self { access: text("accessToken"), refresh: text("refreshToken") }
    }
}

/// Payment pages that can be told to fail.
#[derive(Default)]
pub struct Pages {
    pub broken: AtomicBool,
}

#[async_trait]
impl PaymentPages for Pages {
    async fn open(&self, _topup_id: &str, order_id: &str) -> Result<PaymentPage, NoPaymentPage> {
        if self.broken.load(Ordering::SeqCst) {
            let source = std::io::Error::other("gateway at 10.1.2.3 said no").into();
            return Err(NoPaymentPage { order_id: order_id.to_owned(), source });
        }
        let redirect_url = format!("https://pay.example/{order_id}");
        Ok(PaymentPage { token: format!("token-{order_id}"), redirect_url })
    }
}

struct Papers;

#[async_trait]
impl Documents for Papers {
    async fn invoice_pdf(&self, invoice_id: &str, language: Option<Language>) -> Result<Option<Vec<u8>>, PortError> {
        let language = language.map_or("usual", Language::code);
        Ok(Some(format!("%PDF-1.7 {invoice_id} {language}").into_bytes()))
    }
}

struct OneOffering;

impl Offerings for OneOffering {
    fn overrides(&self, offering: &str) -> Vec<String> {
        if offering == "n8n" { vec!["GENERIC_TIMEZONE".to_owned(), "N8N_SMTP_PASS".to_owned()] } else { Vec::new() }
    }
    fn beside(&self, offering: &str) -> Option<[String; 2]> {
        (offering == "wordpress").then(|| ["0.25".to_owned(), "256Mi".to_owned()])
    }
    fn speaks_http(&self, offering: &str) -> bool {
        offering != "postgresql"
    }
}

/// Projects into schema `read` at the moment somebody waits: no lag, no loops.
pub struct AtOnce {
    store: Store,
    url: String,
    seen: Mutex<i64>,
    /// While set, no read model moves and nobody is shown anything.
    pub stuck: AtomicBool,
}

impl AtOnce {
    async fn lay_tables(&self) {
        let mut connection = self.connection().await;
        connection.execute("CREATE SCHEMA IF NOT EXISTS read").await.expect("a schema");
        for projection in minispod_projections::all() {
            connection.execute("SET search_path TO read").await.expect("a search path");
            connection.execute(projection.schema()).await.expect("tables");
            let (checkpoints, start) = (self.store.checkpoints(), minispod_kernel::LogPosition(0));
            let begun = checkpoints.reset_in_tx(&mut connection, projection.name(), start, InsSeq(0), 1).await;
            begun.expect("a checkpoint at the beginning");
        }
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("the test database answers")
    }

    /// Brings every read model up to the end of the log, unless they are stuck.
    pub async fn catch_up(&self) {
        if self.stuck.load(Ordering::SeqCst) {
            return;
        }
        let mut seen = self.seen.lock().await;
        while self.store.numbering().catch_up().await.expect("numbers").is_none() {}
        let after = minispod_kernel::LogPosition(*seen);
        let recorded = self.store.log().read_after(after, 10_000).await.expect("reads the log");
        let Some((last, ins_seq)) = recorded.last().map(|last| (last.position, last.ins_seq)) else { return };
        let mut facts: Vec<Fact> =
            recorded.into_iter().map(|recorded| Fact::read(recorded).expect("a known event")).collect();
        self.store.vault().open_facts(&mut facts).await.expect("opens");
        let mut connection = self.connection().await;
        for projection in minispod_projections::all() {
            let mut tx = connection.begin().await.expect("a transaction");
            tx.execute("SET LOCAL search_path TO read").await.expect("a search path");
            projection.apply(&mut tx, &facts).await.expect("projects");
            let checkpoints = self.store.checkpoints();
            checkpoints.advance_in_tx(&mut tx, projection.name(), after, last, ins_seq, 1).await.expect("moves");
            tx.commit().await.expect("commits");
        }
        *seen = last.0;
    }
}

#[async_trait]
impl ReadModels for AtOnce {
    async fn show(&self, _projections: &[&str], _ins_seq: InsSeq) -> bool {
        self.catch_up().await;
        !self.stuck.load(Ordering::SeqCst)
    }
}

/// Where the proofs of a world lie: under its database's name, beside the build.
pub fn proofs_of(database: &TestDb) -> std::path::PathBuf {
    let name = database.url.rsplit('/').next().unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("proofs").join(name)
}

pub fn test_cause() -> Cause {
    Cause { actor: Actor::system("test"), correlation_id: "test".to_owned(), causation_id: None, traceparent: None }
}

/// One running api.
pub struct World<S> {
    pub service: S,
    pub store: Store,
    pub dispatcher: Dispatcher,
    pub pages: Arc<Pages>,
    pub clock: Arc<ManualClock>,
    pub read: Arc<AtOnce>,
    pub shutdown: CancellationToken,
    /// Goes away with the world.
    pub database: TestDb,
}

/// Opens a world; `configure` may change what the binary would choose.
pub async fn open(
    configure: impl FnOnce(&mut ApiConfig),
) -> World<
    impl Service<actix_http::Request, Response = ServiceResponse<impl actix_web::body::MessageBody>, Error = Error>,
> {
    let (state, world) = ground(configure).await;
    over(state, world).await
}

/// Opens a world that takes the word of `google`.
pub async fn open_with_google(
    google: &FakeGoogle,
) -> World<
    impl Service<actix_http::Request, Response = ServiceResponse<impl actix_web::body::MessageBody>, Error = Error>,
> {
    let (mut state, world) = ground(|_| {}).await;
    let keys = GoogleKeys::new(google.keys_url.clone(), world.clock.clone()).expect("a client");
    let sign_in = GoogleSignIn::new(google::CLIENT_ID, keys, world.clock.clone()).expect("a client id");
    state.google = Some(Arc::new(sign_in));
    over(state, world).await
}

/// Opens a world with a cluster behind it.
pub async fn open_with_fleet(
    fleet: Arc<dyn Fleet>,
) -> World<
    impl Service<actix_http::Request, Response = ServiceResponse<impl actix_web::body::MessageBody>, Error = Error>,
> {
    open_with_fleet_as(|_| {}, fleet).await
}

/// The same; `configure` may change what the binary would choose.
pub async fn open_with_fleet_as(
    configure: impl FnOnce(&mut ApiConfig),
    fleet: Arc<dyn Fleet>,
) -> World<
    impl Service<actix_http::Request, Response = ServiceResponse<impl actix_web::body::MessageBody>, Error = Error>,
> {
    let (mut state, world) = ground(configure).await;
    state.fleet = Some(fleet);
    over(state, world).await
}

async fn over(
    state: AppState,
    world: World<()>,
) -> World<
    impl Service<actix_http::Request, Response = ServiceResponse<impl actix_web::body::MessageBody>, Error = Error>,
> {
    World {
        service: init_service(app(web::Data::new(state))).await,
        store: world.store,
        dispatcher: world.dispatcher,
        pages: world.pages,
        clock: world.clock,
        read: world.read,
        shutdown: world.shutdown,
        database: world.database,
    }
}

/// An api's state, and a world without a service.
pub async fn ground(configure: impl FnOnce(&mut ApiConfig)) -> (AppState, World<()>) {
    let database = TestDb::create().await;
    migrate(&database.pool().await).await.expect("migrates");
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_millis(1_800_000_000_000)));
    let ids = Arc::new(SystemIds::new(clock.clone()));
    let config = StoreConfig::new(&database.url, [7; 32], [8; 32]);
    let store = Store::connect(config, clock.clone(), ids.clone()).await.expect("connects");
    let dispatcher = Dispatcher::new(store.clone(), Arc::new(SilentHints));
    let read = Arc::new(AtOnce {
        store: store.clone(),
        url: database.url.clone(),
        seen: Mutex::new(0),
        stuck: AtomicBool::new(false),
    });
    read.lay_tables().await;
    let (pages, shutdown) = (Arc::new(Pages::default()), CancellationToken::new());
    let mut api = ApiConfig::default();
    configure(&mut api);
    let tokens = AccessTokens::new(TOKEN_SECRET, Duration::from_hours(24), clock.clone()).expect("long enough");
    let state = AppState::new(Parts {
        config: api,
        store: store.clone(),
        dispatcher: dispatcher.clone(),
        read_models: read.clone(),
        passwords: Passwords::new(ids.clone(), 2).expect("hashes"),
        tokens,
        payment_pages: pages.clone(),
        notifications: Arc::new(NotificationVerifier::new(ServerKey::new(SERVER_KEY))),
        documents: Arc::new(Papers),
        proofs: Arc::new(ProofFolder::new(proofs_of(&database), ids)),
        offerings: Arc::new(OneOffering),
        google: None,
        fleet: None,
        probes: Vec::new(),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        shutdown: shutdown.clone(),
    });
    (state, World { service: (), store, dispatcher, pages, clock, read, shutdown, database })
}

impl<S, B> World<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: actix_web::body::MessageBody,
{
    /// Sends any request.
    pub async fn send(&self, request: TestRequest) -> Answered {
        let response = self.service.call(request.to_request()).await.expect("every failure is an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body()).await.ok().expect("a body");
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answered { status, headers, bytes, body }
    }

    /// A request under `/api/v1` as the web client sends it: JSON header always, body sometimes.
    pub async fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Answered {
        self.send(request(method, path, token, body)).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answered {
        self.call("GET", path, Some(token), None).await
    }

    pub async fn post(&self, path: &str, token: &str, body: Value) -> Answered {
        self.call("POST", path, Some(token), Some(&body)).await
    }

    /// Registers somebody; gives the access token and the user id.
    pub async fn register(&self, email: &str) -> (String, String) {
        let body = json!({"name": "Ani Wijaya", "email": email, "password": PASSWORD, "confirmPassword": PASSWORD});
        let answer = self.call("POST", "/auth/register", None, Some(&body)).await;
        assert_eq!(answer.status, 201, "{:#}", answer.body);
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (text(&answer.data()["tokens"]["accessToken"]), text(&answer.data()["user"]["id"]))
    }

    /// Signs in; gives the whole answer.
    pub async fn login(&self, email: &str, password: &str) -> Answered {
        let body = json!({ "email": email, "password": password });
        self.call("POST", "/auth/login", None, Some(&body)).await
    }

    /// Signs in with [`PASSWORD`]; gives the tokens.
    pub async fn sign_in(&self, email: &str) -> Tokens {
        let answer = self.login(email, PASSWORD).await;
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        self.read.catch_up().await;
        Tokens::of(&answer)
    }

    /// Exchanges a refresh token.
    pub async fn refresh(&self, token: &str) -> Answered {
        self.call("POST", "/auth/refresh", None, Some(&json!({ "refreshToken": token }))).await
    }

    /// Waits, for as long as a change of who may come in may take, until `token` is refused.
    pub async fn until_refused(&self, token: &str) {
        minispod_testkit::wait_until(Duration::from_secs(1), || async {
            self.get("/auth/me", token).await.status == 401
        })
        .await;
    }

    /// Registers somebody and makes an administrator of them; gives the access token and the user id.
    pub async fn administrator(&self, email: &str) -> (String, String) {
        let (token, id) = self.register(email).await;
        let promote = UserCommand::ChangeRole { role: Role::Administrator, reason: "test".to_owned() };
        self.command(&id, AnyCommand::User(promote), &format!("promote-{id}")).await;
        (token, id)
    }

    /// Name, actor and payload of every event of an aggregate, in order.
    pub async fn events(&self, aggregate_type: &str, aggregate_id: &str) -> Vec<(String, Value, Value)> {
        sqlx::query_as(
            "SELECT event_type, metadata::jsonb -> 'actor', payload::jsonb FROM log.events \
             WHERE aggregate_type = $1 AND aggregate_id = $2 ORDER BY ins_seq",
        )
        .bind(aggregate_type)
        .bind(aggregate_id)
        .fetch_all(self.store.pool())
        .await
        .expect("reads the log")
    }

    /// Puts a plan into the catalogue.
    pub async fn publish(&self, id: &str, variant: &str, price: i64, capacity: i64) {
        let details = PlanDetails {
            variant: variant.to_owned(),
            variant_display_name: format!("Plan {variant}"),
            sort_order: u16::from(price != 0),
            is_default_variant: price == 0,
            ..n8n()
        };
        let command = AnyCommand::Plan(PlanCommand::Publish {
            details,
            monthly_price: Rupiah::new(price),
            capacity: Capacity(capacity),
        });
        self.command(id, command, &format!("publish-{id}")).await;
    }

    /// Pays a top-up order in full, as the gateway's word would.
    pub async fn settle(&self, topup_id: &str, order_id: &str, amount: i64) {
        let status = minispod_domain::GatewayStatus {
            order_id: order_id.to_owned(),
            transaction_status: "settlement".to_owned(),
            status_code: "200".to_owned(),
            fraud_status: Some("accept".to_owned()),
            gross_amount: Some(Rupiah::new(amount)),
            currency: "IDR".to_owned(),
            merchant_matches: true,
            payment_type: "qris".to_owned(),
            transaction_id: "11111111-2222-3333-4444-555555555555".to_owned(),
            refunds: Vec::new(),
        };
        let command = AnyCommand::TopUp(TopUpCommand::ApplyGatewayStatus { status, after: None });
        self.command(topup_id, command, &format!("settle-{order_id}")).await;
    }

    /// Stops the read models, or lets them go on with the next who waits.
    pub fn stick(&self, stuck: bool) {
        self.read.stuck.store(stuck, Ordering::SeqCst);
    }

    /// Requests and settles a top-up.
    pub async fn top_up(&self, token: &str, amount: i64) {
        let topup = self.post("/billing/topup", token, json!({ "amount": amount })).await;
        let text = |name: &str| topup.data()[name].as_str().expect("a text").to_owned();
        self.settle(&text("transactionId"), &text("orderId"), amount).await;
    }

    /// Carries out a command and everything that follows from it, as the billing role would; then projects.
    pub async fn command(&self, id: &str, command: AnyCommand, key: &str) {
        let first = self.command_alone(id, command, key).await;
        self.follow(vec![first], &test_cause()).await;
    }

    /// Carries out a command and nothing that follows from it.
    pub async fn command_alone(&self, id: &str, command: AnyCommand, key: &str) -> Dispatched {
        let request = CommandRequest { key: key.to_owned(), aggregate_id: id.to_owned(), command, on_refusal: None };
        self.dispatcher.dispatch(request, &test_cause()).await.expect("the command is accepted")
    }

    /// Carries out what follows from everything in the log, in-line or not.
    pub async fn settle_reactions(&self) {
        let cause = Cause {
            actor: Actor::system("billing"),
            correlation_id: "test".to_owned(),
            causation_id: None,
            traceparent: None,
        };
        while self.store.numbering().catch_up().await.expect("numbers").is_none() {}
        let recorded = self.store.log().read_after(minispod_kernel::LogPosition(0), 10_000).await.expect("the log");
        let mut facts: Vec<_> = recorded.into_iter().map(|recorded| Fact::read(recorded).expect("known")).collect();
        self.store.vault().open_facts(&mut facts).await.expect("opens");
        let done = facts.into_iter().map(|fact| Dispatched {
            aggregate_id: fact.recorded.aggregate_id.clone(),
            version: fact.recorded.sequence,
            ins_seq: fact.recorded.ins_seq,
            events: vec![(fact.recorded.metadata.event_id.clone(), fact.event)],
            replayed: false,
        });
        self.follow(done.collect(), &cause).await;
    }

    async fn follow(&self, first: Vec<Dispatched>, cause: &Cause) {
        let mut queue: VecDeque<(String, String, Event)> = VecDeque::new();
        let take = |queue: &mut VecDeque<_>, done: Dispatched| {
            queue.extend(done.events.into_iter().map(|(event, what)| (done.aggregate_id.clone(), event, what)));
        };
        for done in first {
            take(&mut queue, done);
        }
        while let Some((aggregate_id, event_id, event)) = queue.pop_front() {
            for reaction in policies::react(&aggregate_id, &event) {
                let request = reaction.to_request(&event_id);
                let done = self.dispatcher.dispatch(request, &cause.after(&event_id)).await;
                if let Some(done) = done.ok().filter(|done| !done.replayed) {
                    take(&mut queue, done);
                }
            }
        }
        self.read.catch_up().await;
    }

    /// Signs in with whatever `body` says.
    pub async fn login_with(&self, body: &Value) -> Answered {
        self.call("POST", "/auth/login", None, Some(body)).await
    }

    /// The token of a mailed link, made and kept as the mailer does when it sends the mail.
    pub async fn mailed_link(&self, kind: LinkKind, user_id: &str) -> String {
        let token = LinkToken::generate(user_id, self.store.ids().as_ref());
        let kept = token.kept(self.store.clock().now().plus(kind.life()));
        self.store.vault().replace(&format!("user/{user_id}"), kind.secret_name(), &kept).await.expect("kept");
        token.text().to_owned()
    }

    /// How many mails of this template were queued.
    pub async fn mails(&self, template: &str) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM log.events WHERE event_type = 'MailQueued' AND payload->'mail'->>'template' = $1",
        )
        .bind(template)
        .fetch_one(self.store.pool())
        .await
        .expect("counts")
    }

    /// Every event with its metadata, as the log has it.
    pub async fn log_text(&self) -> String {
        sqlx::query_scalar("SELECT coalesce(string_agg(payload::text || metadata::text, ' '), '') FROM log.events")
            .fetch_one(self.store.pool())
            .await
            .expect("reads")
    }

    /// How many events of this name the log has.
    pub async fn count(&self, event_type: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM log.events WHERE event_type = $1")
            .bind(event_type)
            .fetch_one(self.store.pool())
            .await
            .expect("counts")
    }
}

/// A request under `/api/v1` as the web client sends it.
pub fn request(method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> TestRequest {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let request = TestRequest::default()
        .method(method)
        .uri(&format!("/api/v1{path}"))
        .insert_header(("content-type", "application/json"));
    let request = match token {
        Some(token) => request.insert_header(("authorization", format!("Bearer {token}"))),
        None => request,
    };
    match body {
        Some(body) => request.set_payload(body.to_string()),
        None => request,
    }
}

pub fn n8n() -> PlanDetails {
    PlanDetails {
        offering: "n8n".into(),
        variant: "basic".into(),
        variant_display_name: "Basic".into(),
        display_name: "N8N - Basic".into(),
        description: "Workflow automation for everyone".into(),
        version: "latest".into(),
        cpu_request: "0.25".into(),
        cpu_limit: "1".into(),
        mem_request: "512Mi".into(),
        mem_limit: "1Gi".into(),
        docker_image: "n8nio/n8n:1.100.1".into(),
        container_port: 5678,
        environment: [("GENERIC_TIMEZONE".to_owned(), "Asia/Jakarta".to_owned())].into(),
        category: "automation".into(),
        tags: vec!["workflow".into()],
        icon: "n8n-icon.svg".into(),
        features: vec!["5 active workflows".into()],
        sort_order: 1,
        is_default_variant: true,
        volume_size: Some("250Mi".into()),
        volume_mount_path: Some("/home/node/.n8n".into()),
        volume_name: Some("n8n-data".into()),
        storage_class: "local-path".into(),
        access_mode: "ReadWriteOnce".into(),
        yearly_discount_percent: 10,
    }
}
