//! The roles: what each one connects to and runs, alone or all in one process.

use std::{net::TcpListener, num::NonZeroU32, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use minispod_api::{Allowance, ApiConfig, AppState};
use minispod_auth::{AccessTokens, Passwords};
use minispod_billing::PaymentPages;
use minispod_domain::ports::fleet::Fleet;
use minispod_kernel::{Clock, IdSource, Rupiah, SystemClock, SystemIds};
use minispod_messaging::{ConnectError, Nats, NatsConfig, TopologyError, topology};
use minispod_provisioner::{catalog::Catalog, sampling};
use minispod_runtime::{
    Dispatcher, PolicyReactor, ReactorOptions, Visibility,
    hints::{Hints, NatsHints, SilentHints},
    projector, reactors, relay, timers,
};
use minispod_standins::cluster::SimulatedCluster;
use minispod_store::{Store, StoreConfig, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    doors,
    seed::{self, OfferingFacts, SeedError},
    telemetry, watching, wiring,
};

/// How long a role that ended may take the others down with it.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Passwords hashed at once.
const HASHES_AT_ONCE: usize = 2;
const HTTP_LIMIT: Duration = Duration::from_secs(5);
/// Longest wait for read models to show the first data.
const SHOWN_LIMIT: Duration = Duration::from_secs(20);
const READY_POLL: Duration = Duration::from_millis(100);

/// Why a role did not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    #[error("the store could not be opened")]
    Store(#[from] StoreError),
    #[error("NATS could not be reached")]
    Connect(#[from] ConnectError),
    #[error("streams and consumers could not be applied")]
    Topology(#[from] TopologyError),
    #[error("{path} cannot be laid over the streams")]
    Overlay {
        path: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the streams differ from nats/ (apply them with `minispod nats apply`): {0}")]
    Drift(String),
    #[error("the relay refuses to publish")]
    Relay(#[from] relay::RelayError),
    #[error("the projector cannot go on")]
    Projector(#[from] projector::ProjectorError),
    #[error("{what} could not be set up")]
    Part {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the api could not listen on {address}")]
    Listen {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the api stopped")]
    Serve(#[source] std::io::Error),
    #[error("logs or metrics could not be set up")]
    Telemetry(#[from] telemetry::TelemetryError),
    #[error("the role {0} ended by itself")]
    Ended(&'static str),
    #[error("the role {0} panicked")]
    Panicked(String),
    #[error("the api at {url} was not ready within {} s", .limit.as_secs())]
    NotReady { url: String, limit: Duration },
    #[error("{url} could not be asked")]
    Ask {
        url: String,
        #[source]
        source: reqwest::Error,
    },
}

/// A role of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// REST API
    Api,
    /// Number the log and publish it to NATS
    Relay,
    /// Build the read models
    Projector,
    /// Keep instances in the cluster as they were sold
    Provisioner,
    /// Policies, timers, payments, invoices
    Billing,
    /// Send mail
    Mailer,
}

impl Role {
    /// All, consumers before the door.
    pub const ALL: [Self; 6] =
        [Self::Relay, Self::Projector, Self::Billing, Self::Provisioner, Self::Mailer, Self::Api];

    /// Its name: NATS user, durable, metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Relay => "relay",
            Self::Projector => "projector",
            Self::Provisioner => "provisioner",
            Self::Billing => "billing",
            Self::Mailer => "mailer",
        }
    }
}

/// What every role needs.
#[derive(Clone)]
pub struct Parts {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub store: Store,
    pub hasher: Passwords,
    pub metrics: PrometheusHandle,
    /// For one-off commands; roles make their own with hints.
    pub dispatcher: Dispatcher,
}

impl Parts {
    /// Opens the store; the recorder behind `/metrics` is installed by the first call of the process.
    pub async fn connect(config: Config) -> Result<Self, RoleError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdSource> = Arc::new(SystemIds::new(clock.clone()));
        let store = Store::connect(store_config(&config), clock.clone(), ids.clone()).await?;
        let hasher = Passwords::new(ids.clone(), HASHES_AT_ONCE)
            .map_err(|source| RoleError::Part { what: "password hashing", source: Box::new(source) })?;
        let dispatcher = Dispatcher::new(store.clone(), Arc::new(SilentHints));
        Ok(Self { metrics: telemetry::metrics()?, config, clock, ids, store, hasher, dispatcher })
    }

    /// A connection of `role`'s own user.
    pub async fn nats(&self, role: &str) -> Result<Nats, RoleError> {
        Ok(connect_nats(&self.config, role).await?)
    }

    fn dispatcher_with(&self, nats: &Nats) -> Dispatcher {
        let hints: Arc<dyn Hints> = Arc::new(NatsHints::start(nats.clone()));
        Dispatcher::new(self.store.clone(), hints)
    }
}

fn store_config(config: &Config) -> StoreConfig {
    // Absent only where `check_for` allows it: with the relay, which neither seals nor opens.
    let master = config.secrets.master_key_bytes().unwrap_or_default();
    let mut store = StoreConfig::new(config.database.url.clone(), master, claim_key(&master));
    store.max_connections = config.database.max_connections;
    store.state_every = i64::from(config.database.state_every);
    store
}

/// The key of claims on addresses, derived from the master key so that there is one secret to keep.
fn claim_key(master: &[u8; 32]) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::new().chain_update(b"minispod claim key 1").chain_update(master).finalize().into()
}

/// A connection of `role`'s own user.
pub async fn connect_nats(config: &Config, role: &str) -> Result<Nats, ConnectError> {
    let user = format!("{}{role}", config.nats.user_prefix);
    Nats::connect(NatsConfig::for_user(config.nats.url.clone(), role, &user, config.nats.passwords.of(role))).await
}

/// Brings the schema up to date.
pub async fn migrate(config: &Config) -> Result<(), RoleError> {
    let pool = sqlx::PgPool::connect(&config.database.url)
        .await
        .map_err(|source| RoleError::Part { what: "the database", source: Box::new(source) })?;
    minispod_store::migrate(&pool).await?;
    pool.close().await;
    Ok(())
}

/// Creates or updates streams and consumers; what was done, by name.
pub async fn apply_topology(
    config: &Config,
    lowering: topology::Lowering,
) -> Result<Vec<(String, topology::Applied)>, RoleError> {
    let overlay = overlay(config)?;
    let nats = connect_nats(config, "admin").await?;
    Ok(topology::apply_as(&nats, &overlay, lowering).await?)
}

/// What this installation lays over the files of `nats/`.
pub fn overlay(config: &Config) -> Result<topology::Overlay, RoleError> {
    if config.nats.overlay.is_empty() {
        return Ok(topology::Overlay::new());
    }
    let path = config.nats.overlay.clone();
    let text = std::fs::read_to_string(&path)
        .map_err(|source| RoleError::Overlay { path: path.clone(), source: Box::new(source) })?;
    topology::read_overlay(&text).map_err(|source| RoleError::Overlay { path, source: Box::new(source) })
}

/// Publishes the catalogue to start with.
pub async fn seed_catalogue(parts: &Parts) -> Result<usize, SeedError> {
    seed::catalogue(&parts.dispatcher, |name| {
        Catalog::built_in().find(name).map(|offering| OfferingFacts {
            image: offering.image.clone(),
            port: offering.port,
            mount_path: Some(offering.volume.mount.clone()),
            version: offering.version().to_owned(),
            storage_class: parts.config.cluster.storage_class.clone(),
        })
    })
    .await
}

/// Roles running in this process.
pub struct RunningRoles {
    tasks: JoinSet<(&'static str, Result<(), RoleError>)>,
    stop: CancellationToken,
}

impl RunningRoles {
    /// Waits for the signal to stop, or for a role to end by itself; then stops the rest.
    pub async fn until_stopped(&mut self, shutdown: &CancellationToken) -> Result<(), RoleError> {
        let first = tokio::select! {
            // Asked first: a role that ends because it was told to has not ended by itself.
            biased;
            () = shutdown.cancelled() => Ok(()),
            ended = self.tasks.join_next() => match ended {
                Some(Ok((_, Err(error)))) => Err(error),
                Some(Ok((name, Ok(())))) => Err(RoleError::Ended(name)),
                Some(Err(error)) => Err(RoleError::Panicked(error.to_string())),
                None => Ok(()),
            },
        };
        self.stop.cancel();
        if !minispod_runtime::shutdown::finish(&mut self.tasks, STOP_LIMIT).await {
            tracing::warn!("some work did not end in time and was cut off; it will be done again");
        }
        first
    }
}

/// Starts every role in this process; `listener` is the api's.
pub async fn start_all(
    parts: &Parts,
    listener: TcpListener,
    status: doors::StandIns,
    simulated: Option<Arc<SimulatedCluster>>,
    shutdown: CancellationToken,
) -> Result<RunningRoles, RoleError> {
    let mut running = RunningRoles { tasks: JoinSet::new(), stop: shutdown.child_token() };
    let mut listener = Some(listener);
    for role in Role::ALL {
        let door = if role == Role::Api { listener.take() } else { None };
        start(&mut running, parts, role, door, &status, simulated.clone()).await?;
    }
    open_metrics(&mut running, parts, true)?;
    Ok(running)
}

/// Runs roles in this process until a signal.
pub async fn run(roles: &[Role], config: Config) -> Result<(), RoleError> {
    let shutdown = minispod_runtime::shutdown::on_signals().map_err(RoleError::Serve)?;
    let parts = Parts::connect(config).await?;
    let mut running = RunningRoles { tasks: JoinSet::new(), stop: shutdown.child_token() };
    let status = doors::StandIns::of(&parts.config);
    let simulated = roles.contains(&Role::Provisioner).then(|| wiring::simulated(&parts.config)).flatten();
    // In the order in which they depend on each other, and none twice.
    for role in Role::ALL.into_iter().filter(|role| roles.contains(role)) {
        start(&mut running, &parts, role, None, &status, simulated.clone()).await?;
        tracing::info!(role = role.name(), "the role has started");
    }
    open_metrics(&mut running, &parts, roles.contains(&Role::Api))?;
    running.until_stopped(&shutdown).await
}

/// `/metrics` at a door of its own, which no ingress leads to: customers' requests and scrapes never meet.
fn open_metrics(running: &mut RunningRoles, parts: &Parts, with_accounts: bool) -> Result<(), RoleError> {
    let address = &parts.config.telemetry.metrics_listen;
    if address.is_empty() {
        return Ok(());
    }
    let pool = with_accounts.then(|| parts.store.pool().clone());
    let door = doors::metrics(address, parts.metrics.clone(), pool, running.stop.clone())?;
    running.tasks.spawn(async move { ("metrics", door.await.map_err(RoleError::Serve)) });
    Ok(())
}

fn listen(config: &Config) -> Result<TcpListener, RoleError> {
    let address = config.http.listen;
    TcpListener::bind(address).map_err(|source| RoleError::Listen { address: address.to_string(), source })
}

/// Starts one role's tasks.
async fn start(
    running: &mut RunningRoles,
    parts: &Parts,
    role: Role,
    listener: Option<TcpListener>,
    status: &doors::StandIns,
    simulated: Option<Arc<SimulatedCluster>>,
) -> Result<(), RoleError> {
    let (name, stop) = (role.name(), running.stop.clone());
    let nats = parts.nats(name).await?;
    let store = parts.store.clone();
    match role {
        Role::Relay => {
            let relay_config = relay::RelayConfig { overlay: overlay(&parts.config)?, ..relay::RelayConfig::default() };
            refuse_drift(&nats, &relay_config.overlay).await?;
            running.tasks.spawn(async move {
                (name, relay::run(store, nats, relay_config, stop).await.map_err(RoleError::from))
            });
        }
        Role::Projector => {
            let projections = minispod_projections::all();
            running.tasks.spawn(async move {
                (name, projector::run(store, nats, projections, stop).await.map_err(RoleError::from))
            });
        }
        Role::Billing => {
            let gateway = wiring::midtrans(&parts.config, &parts.store)?;
            let dispatcher = parts.dispatcher_with(&nats);
            let (firing, timers_stop) = (dispatcher.clone(), stop.clone());
            running.tasks.spawn(async move {
                timers::run(firing, timers_stop).await;
                ("timers", Ok(()))
            });
            react(
                running,
                parts,
                Arc::new(PolicyReactor::around(gateway).under(wiring::settings(&parts.config))),
                dispatcher,
                nats,
            );
        }
        Role::Provisioner => {
            start_provisioner(running, parts, nats, simulated, stop).await?;
        }
        Role::Mailer => {
            let reactor = wiring::mailer(&parts.config, &parts.store)?;
            let dispatcher = parts.dispatcher_with(&nats);
            react(running, parts, Arc::new(reactor), dispatcher, nats);
        }
        Role::Api => {
            let listener = match listener {
                Some(listener) => listener,
                None => listen(&parts.config)?,
            };
            let fleet = wiring::fleet(&parts.config, simulated).await;
            let state = api_state(parts, nats, status, fleet, stop)?;
            let server = minispod_api::serve(state, listener).map_err(RoleError::Serve)?;
            running.tasks.spawn(async move { (name, server.await.map_err(RoleError::Serve)) });
        }
    }
    Ok(())
}

/// The reactor and the watches over instances, their use, nodes and promises.
async fn start_provisioner(
    running: &mut RunningRoles,
    parts: &Parts,
    nats: Nats,
    simulated: Option<Arc<SimulatedCluster>>,
    stop: CancellationToken,
) -> Result<(), RoleError> {
    let fleet = wiring::fleet(&parts.config, simulated.clone()).await;
    let cluster = wiring::cluster(&parts.config, simulated).await?;
    let reactor = wiring::provisioner(&parts.config, &parts.store, cluster.clone())?;
    let dispatcher = parts.dispatcher_with(&nats);
    let health = watching::health(cluster.clone(), parts.store.clock().clone(), dispatcher.clone());
    let options = wiring::plan_options(&parts.config)?;
    let offerings = Arc::new(wiring::CatalogOfferings(options.catalog.clone()));
    // A simulated cluster forgets with its process, and nobody edits it by hand.
    let real = cluster.kind() == "kubernetes";
    let drift = real.then(|| watching::drift(cluster.clone(), &parts.store, options, dispatcher.clone()));
    if let Some(fleet) = fleet.clone().filter(|_| real) {
        let (promises, until) = (watching::promises(fleet, &parts.store, dispatcher.clone()), stop.clone());
        running.tasks.spawn(async move {
            promises.run(until).await;
            ("promise watch", Ok(()))
        });
    }
    if let Some(fleet) = fleet {
        let (nodes, until) = (watching::nodes(fleet, &parts.store, offerings, dispatcher.clone()), stop.clone());
        running.tasks.spawn(async move {
            nodes.run(until).await;
            ("node watch", Ok(()))
        });
    }
    let until = stop.clone();
    let measures = Arc::new(watching::Measurements(parts.store.clone()));
    running.tasks.spawn(async move {
        sampling::run(cluster, measures, until).await;
        ("measurements", Ok(()))
    });
    let until = stop.clone();
    running.tasks.spawn(async move {
        health.run(until).await;
        ("health watch", Ok(()))
    });
    if let Some(drift) = drift {
        running.tasks.spawn(async move {
            drift.run(stop).await;
            ("drift watch", Ok(()))
        });
    }
    react(running, parts, Arc::new(reactor), dispatcher, nats);
    Ok(())
}

/// The streams must be as the files say before anything is published into them. What is missing the relay makes; a
/// server that does not answer yet is waited for by the relay itself.
async fn refuse_drift(nats: &Nats, overlay: &topology::Overlay) -> Result<(), RoleError> {
    match topology::verify_streams(nats, overlay).await {
        Ok(drifts) => {
            let drifts: Vec<String> =
                drifts.iter().filter(|drift| !is_repairable(drift)).map(ToString::to_string).collect();
            if drifts.is_empty() { Ok(()) } else { Err(RoleError::Drift(drifts.join("; "))) }
        }
        Err(error) => {
            tracing::warn!(
                error = crate::operations::chain(&error),
                "the streams could not be compared with their files"
            );
            Ok(())
        }
    }
}

/// What is missing the relay makes; how many copies there are hurts no publishing.
fn is_repairable(drift: &topology::Drift) -> bool {
    ["", "num_replicas", "placement"].contains(&drift.field.as_str())
}

/// Starts a reactor's loops.
fn react(
    running: &mut RunningRoles,
    parts: &Parts,
    reactor: Arc<dyn minispod_domain::ports::Reactor>,
    dispatcher: Dispatcher,
    nats: Nats,
) {
    let (name, stop) = (reactor.name(), running.stop.clone());
    let options = ReactorOptions::new(format!("{name}-{}-{}", std::process::id(), parts.ids.next_id()));
    running.tasks.spawn(async move {
        reactors::run(reactor, dispatcher, Some(nats), options, stop).await;
        (name, Ok(()))
    });
}

fn api_state(
    parts: &Parts,
    nats: Nats,
    status: &doors::StandIns,
    fleet: Option<Arc<dyn Fleet>>,
    stop: CancellationToken,
) -> Result<AppState, RoleError> {
    let config = &parts.config;
    let dispatcher = parts.dispatcher_with(&nats);
    let lifetime = Duration::from_secs(config.limits.access_token_seconds);
    let tokens = AccessTokens::new(config.secrets.jwt_secret.as_bytes(), lifetime, parts.clock.clone())
        .map_err(|source| RoleError::Part { what: "access tokens", source: Box::new(source) })?;
    let pages = wiring::InlinePages {
        dispatcher: dispatcher.clone(),
        reactor: wiring::midtrans(config, &parts.store)?,
        pages: PaymentPages::new(wiring::secrets(&parts.store)),
    };
    Ok(AppState::new(minispod_api::Parts {
        config: api_config(config, status),
        store: parts.store.clone(),
        read_models: Arc::new(Visibility::start(parts.store.clone(), nats.clone())),
        dispatcher,
        passwords: parts.hasher.clone(),
        tokens,
        payment_pages: Arc::new(pages),
        notifications: Arc::new(wiring::notifications(config)),
        documents: wiring::documents(config, &parts.store),
        proofs: wiring::proofs(config, &parts.store),
        offerings: Arc::new(wiring::CatalogOfferings(wiring::catalog(&parts.config)?)),
        google: wiring::google(config, &parts.clock)?,
        fleet,
        probes: vec![Arc::new(wiring::NatsProbe(nats))],
        metrics: parts.metrics.clone(),
        shutdown: stop,
    }))
}

fn api_config(config: &Config, status: &doors::StandIns) -> ApiConfig {
    ApiConfig {
        environment: match config.mode {
            crate::config::Mode::Development => "development".into(),
            crate::config::Mode::Production => "production".into(),
        },
        cluster: match config.cluster.kind {
            crate::config::ClusterKind::Kubernetes => "kubernetes".into(),
            crate::config::ClusterKind::Simulated => "simulated".into(),
        },
        brings_hosts: config.cluster.tls_mode != crate::config::TlsMode::Controller,
        sell_percent: config.cluster.sell_percent,
        cluster_domain: config.cluster.domain.clone(),
        stand_ins: status.by_name.clone(),
        allowed_origins: config.http.cors_origins.clone(),
        metrics_token: (!config.http.metrics_token.is_empty()).then(|| config.http.metrics_token.clone()),
        approval_above: Rupiah::new(i64::try_from(config.billing.approval_above).unwrap_or(i64::MAX)),
        trusted_proxies: config.http.trusted_proxies.clone(),
        body_limit: config.http.body_limit,
        address_allowance: allowance(config.http.rate_limit, Duration::from_millis(config.http.rate_window_ms)),
        sign_in_request_allowance: of_class(config, config.http.sign_ins_per_minute),
        read_allowance: of_class(config, config.http.reads_per_minute),
        write_allowance: of_class(config, config.http.writes_per_minute),
        payment_allowance: allowance(config.http.payments_per_minute, Duration::from_mins(1)),
        sign_in_allowance: allowance(config.http.failed_sign_ins_per_minute, Duration::from_mins(1)),
        brand: config.smtp.from_name.clone(),
        refresh_lifetime: Duration::from_secs(config.limits.refresh_token_seconds),
        drain: Duration::from_secs(config.limits.drain_seconds),
        ..ApiConfig::default()
    }
}

/// The limit of a class of requests; off with the limit of all requests.
fn of_class(config: &Config, per_minute: u32) -> Allowance {
    let count = if config.http.rate_limit == 0 { 0 } else { per_minute };
    allowance(count, Duration::from_mins(1))
}

/// 0 switches a limit off.
fn allowance(count: u32, window: Duration) -> Allowance {
    NonZeroU32::new(count).map_or_else(Allowance::unlimited, |count| Allowance { count, window })
}

/// `GET /health/ready`: whether it is ready, and its report.
pub async fn readiness(url: &str) -> Result<(bool, serde_json::Value), RoleError> {
    let ask = |source| RoleError::Ask { url: url.to_owned(), source };
    let client = reqwest::Client::builder().timeout(HTTP_LIMIT).build().map_err(ask)?;
    let answer = client.get(format!("{url}/health/ready")).send().await.map_err(ask)?;
    let ready = answer.status().is_success();
    Ok((ready, answer.json().await.unwrap_or_default()))
}

/// Waits until the api is ready.
pub async fn wait_ready(url: &str, limit: Duration) -> Result<(), RoleError> {
    let end = tokio::time::Instant::now() + limit;
    while !matches!(readiness(url).await, Ok((true, _))) {
        if tokio::time::Instant::now() >= end {
            return Err(RoleError::NotReady { url: url.to_owned(), limit });
        }
        tokio::time::sleep(READY_POLL).await;
    }
    Ok(())
}

/// Whether every read model shows what is committed now, after at most [`SHOWN_LIMIT`]; false at once for one that lags
/// anyway, as while it is rebuilt.
pub async fn are_shown(parts: &Parts) -> Result<bool, RoleError> {
    let newest = parts.store.log().newest_ins_seq().await?;
    let names: Vec<_> = minispod_projections::all().into_iter().map(|projection| projection.name()).collect();
    let visibility = Visibility::start(parts.store.clone(), parts.nats("api").await?);
    Ok(visibility.wait_within(&names, newest, SHOWN_LIMIT).await)
}
