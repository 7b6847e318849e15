//! Everything a handler may use, made once by the binary.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use minispod_auth::{AccessTokens, GoogleSignIn, Passwords};
use minispod_domain::ports::{Documents, fleet::Fleet, proofs::ProofStore};
use minispod_kernel::{Clock, IdSource, Rupiah, Timestamp};
use minispod_runtime::Dispatcher;
use minispod_store::Store;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::{
    api_tokens::ApiTokens,
    caller::Accounts,
    edge::address::Network,
    input::body::DEFAULT_LIMIT,
    limits::{Allowance, Limit, Window},
    log_stream::Followers,
    ports::{NotificationGate, Offerings, PaymentPages, Probe, ReadModels},
    refused_access::Keeper,
    routes::metrics::read::NextCount,
    session::Sessions,
};

/// The environment of real customers, as [`ApiConfig::environment`] names it.
pub const PRODUCTION: &str = "production";

/// Notifications a minute from one address: far beyond what a gateway sends, and each is cheap to refuse unsigned.
const NOTIFICATIONS_PER_MINUTE: u32 = 6_000;
/// What one administrator may give back or let in alone, unless configured.
const APPROVAL_ABOVE: Rupiah = Rupiah::new(1_000_000);
const QUARTER_HOUR: Duration = Duration::from_mins(15);
/// Wrong second factors of one account in a quarter of an hour: guessing one of a million takes years then.
const SECOND_FACTORS: u32 = 5;
/// Mails with links for one account in a quarter of an hour.
const LINKS: u32 = 3;
/// Entries a minute about one who asks for what is somebody else's: enough to see what he is after.
const REFUSED_ACCESSES_PER_MINUTE: u32 = 60;

/// What the binary chooses.
#[derive(Clone)]
pub struct ApiConfig {
    /// Shown by `/health` and `/api/v1/status`.
    pub version: String,
    /// [`PRODUCTION`], `development` …
    pub environment: String,
    /// `kubernetes` or `simulated`.
    pub cluster: String,
    /// Services answer at `<subdomain>.<offering>.<this>`.
    pub cluster_domain: String,
    /// Whether hosts that customers bring get certificates, or need none.
    pub brings_hosts: bool,
    /// Percent of the cluster's room that may be sold; 0: whatever is asked for.
    pub sell_percent: u32,
    /// Stand-ins in use: name (`midtrans`, `mail`, `cluster`) and control address, empty when it has none; never silent.
    pub stand_ins: BTreeMap<String, String>,
    /// Browsers' origins that may call; `*`: any.
    pub allowed_origins: Vec<String>,
    /// Who sends this as a bearer token may read `/metrics`; `None`: nobody in production, everybody elsewhere.
    pub metrics_token: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Largest request body in bytes.
    pub body_limit: usize,
    /// Requests of one address.
    pub address_allowance: Allowance,
    /// Notifications of one address, which are not counted among its requests: the gateway sends all customers' from few.
    pub notification_allowance: Allowance,
    /// Sign-ins, registrations and the like of one address, good or not.
    pub sign_in_request_allowance: Allowance,
    /// Reads of one account.
    pub read_allowance: Allowance,
    /// Writes of one account.
    pub write_allowance: Allowance,
    /// Top-ups and payments of one customer.
    pub payment_allowance: Allowance,
    /// Coupon codes that one customer tries.
    pub coupon_allowance: Allowance,
    /// Refused sign-ins of one account from one address.
    pub sign_in_allowance: Allowance,
    /// Wrong second factors of one account.
    pub second_factor_allowance: Allowance,
    /// Mails with links that are asked for one account.
    pub link_allowance: Allowance,
    /// Entries about one customer who asks for what is one other's.
    pub refused_access_allowance: Allowance,
    /// Who asks for a second factor, as authenticator apps show it.
    pub brand: String,
    /// How long a refresh token lives.
    pub refresh_lifetime: Duration,
    /// How long a top-up order may be paid.
    pub topup_lifetime: Duration,
    /// A refund or a manual top-up of more needs two administrators.
    pub approval_above: Rupiah,
    /// Longest wait for a payment page.
    pub payment_page_deadline: Duration,
    /// Threads that serve requests.
    pub workers: usize,
    /// How long requests in flight may still run after a shutdown is asked for.
    pub drain: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: "development".to_owned(),
            cluster: "simulated".to_owned(),
            cluster_domain: "localhost".to_owned(),
            brings_hosts: true,
            sell_percent: 100,
            stand_ins: BTreeMap::new(),
            allowed_origins: vec!["http://localhost:3100".to_owned()],
            metrics_token: None,
            trusted_proxies: Vec::new(),
            body_limit: DEFAULT_LIMIT,
            address_allowance: Allowance::per_minute(1200),
            notification_allowance: Allowance::per_minute(NOTIFICATIONS_PER_MINUTE),
            sign_in_request_allowance: Allowance::per_minute(300),
            read_allowance: Allowance::per_minute(1200),
            write_allowance: Allowance::per_minute(600),
            payment_allowance: Allowance::per_minute(5),
            coupon_allowance: Allowance::per_minute(20),
            sign_in_allowance: Allowance::per_minute(10),
            second_factor_allowance: Allowance::within(SECOND_FACTORS, QUARTER_HOUR),
            link_allowance: Allowance::within(LINKS, QUARTER_HOUR),
            refused_access_allowance: Allowance::per_minute(REFUSED_ACCESSES_PER_MINUTE),
            brand: "Minispod".to_owned(),
            refresh_lifetime: Duration::from_hours(7 * 24),
            topup_lifetime: Duration::from_hours(24),
            approval_above: APPROVAL_ABOVE,
            payment_page_deadline: Duration::from_secs(10),
            workers: 2,
            drain: Duration::from_secs(20),
        }
    }
}

impl ApiConfig {
    /// Whether real customers call.
    pub fn is_production(&self) -> bool {
        self.environment == PRODUCTION
    }
}

/// What the binary hands over. Everything here is cheap to clone or shared.
pub struct Parts {
    pub config: ApiConfig,
    pub store: Store,
    pub dispatcher: Dispatcher,
    pub read_models: Arc<dyn ReadModels>,
    pub passwords: Passwords,
    pub tokens: AccessTokens,
    pub payment_pages: Arc<dyn PaymentPages>,
    pub notifications: Arc<dyn NotificationGate>,
    pub documents: Arc<dyn Documents>,
    pub proofs: Arc<dyn ProofStore>,
    pub offerings: Arc<dyn Offerings>,
    /// Who checks Google's word; `None`: it is not taken here.
    pub google: Option<Arc<GoogleSignIn>>,
    /// The live cluster; `None`: this process has no way to it.
    pub fleet: Option<Arc<dyn Fleet>>,
    /// Beside Postgres and the projections, which the api asks itself.
    pub probes: Vec<Arc<dyn Probe>>,
    pub metrics: PrometheusHandle,
    /// Cancelled: the process is going away, so it is not ready any more.
    pub shutdown: CancellationToken,
}

/// How often one may call.
pub struct Limits {
    pub per_address: Limit,
    pub notifications: Limit,
    /// By address.
    pub sign_in_requests: Limit,
    /// By account.
    pub reads: Limit,
    /// By account.
    pub writes: Limit,
    pub payments: Window,
    /// By customer: nobody finds a code by trying.
    pub coupons: Window,
    /// Passwords that did not fit, by account and address.
    pub sign_ins: Window,
    /// Second factors that did not fit, by account.
    pub second_factors: Window,
    /// Mails with links, by address or account.
    pub links: Window,
}

/// Everything a handler may use.
pub struct AppState {
    pub config: ApiConfig,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub store: Store,
    pub dispatcher: Dispatcher,
    pub read_models: Arc<dyn ReadModels>,
    pub passwords: Passwords,
    pub tokens: AccessTokens,
    pub accounts: Accounts,
    pub sessions: Sessions,
    pub api_tokens: ApiTokens,
    pub limits: Limits,
    pub refused_access: Keeper,
    pub followers: Arc<Followers>,
    pub payment_pages: Arc<dyn PaymentPages>,
    pub notifications: Arc<dyn NotificationGate>,
    pub documents: Arc<dyn Documents>,
    pub proofs: Arc<dyn ProofStore>,
    pub offerings: Arc<dyn Offerings>,
    pub google: Option<Arc<GoogleSignIn>>,
    pub fleet: Option<Arc<dyn Fleet>>,
    pub probes: Vec<Arc<dyn Probe>>,
    pub metrics: PrometheusHandle,
    pub next_count: NextCount,
    pub shutdown: CancellationToken,
    pub started_at: Timestamp,
}

impl AppState {
    /// The state of one process. Its tasks run in the runtime that this is called in.
    pub fn new(parts: Parts) -> Self {
        let clock = Arc::clone(parts.store.clock());
        let limits = Limits {
            per_address: Limit::new("address", parts.config.address_allowance, Arc::clone(&clock)),
            notifications: Limit::new("notifications", parts.config.notification_allowance, Arc::clone(&clock)),
            sign_in_requests: Limit::new("sign-in", parts.config.sign_in_request_allowance, Arc::clone(&clock)),
            reads: Limit::new("reads", parts.config.read_allowance, Arc::clone(&clock)),
            writes: Limit::new("writes", parts.config.write_allowance, Arc::clone(&clock)),
            payments: Window::new("payments", parts.config.payment_allowance, Arc::clone(&clock)),
            coupons: Window::new("coupons", parts.config.coupon_allowance, Arc::clone(&clock)),
            sign_ins: Window::new("sign_ins", parts.config.sign_in_allowance, Arc::clone(&clock)),
            second_factors: Window::new("second_factors", parts.config.second_factor_allowance, Arc::clone(&clock)),
            links: Window::new("links", parts.config.link_allowance, Arc::clone(&clock)),
        };
        Self {
            started_at: clock.now(),
            ids: Arc::clone(parts.store.ids()),
            accounts: Accounts::new(parts.store.pool().clone()),
            sessions: Sessions::new(parts.store.clone()),
            api_tokens: ApiTokens::new(parts.store.clone()),
            clock,
            limits,
            refused_access: Keeper::start(parts.store.clone(), parts.config.refused_access_allowance),
            followers: Arc::default(),
            config: parts.config,
            store: parts.store,
            dispatcher: parts.dispatcher,
            read_models: parts.read_models,
            passwords: parts.passwords,
            tokens: parts.tokens,
            payment_pages: parts.payment_pages,
            notifications: parts.notifications,
            documents: parts.documents,
            proofs: parts.proofs,
            offerings: parts.offerings,
            google: parts.google,
            fleet: parts.fleet,
            probes: parts.probes,
            metrics: parts.metrics,
            next_count: NextCount::default(),
            shutdown: parts.shutdown,
        }
    }

    /// Where read models are asked.
    pub fn pool(&self) -> &PgPool {
        self.store.pool()
    }
}
