//! One typed configuration from file and environment; unknown keys and unsafe production values are refused.

use std::{net::SocketAddr, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use minispod_billing::{TaxRule, TaxSchedule};
use serde::{Deserialize, Serialize};
use time::{Date, macros::format_description};
use toml::{Table, Value};

mod check;
mod cluster;
mod environment;
mod google;

pub use cluster::{Cluster, ClusterKind, TlsMode};
pub use google::Google;

/// The commented default file that `minispod config` prints.
pub const DEFAULT_FILE: &str = include_str!("config/default.toml");
/// The gateway's constant key of the stand-in; never accepted in production.
pub const STANDIN_SERVER_KEY: &str = "SB-Mid-server-TEST";
/// How the sandbox's keys begin.
const SANDBOX_KEY: &str = "SB-";
/// Behind the address of a mail sink.
pub const SINK_MARK: &str = "#sink";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path} cannot be read")]
    Read { path: String, source: std::io::Error },
    #[error("{path} is not valid TOML")]
    Toml { path: String, source: toml::de::Error },
    #[error("the configuration has an unknown key or a wrong value")]
    Shape { source: toml::de::Error },
    #[error("{name} must be {expected}")]
    Environment { name: &'static str, expected: &'static str },
    #[error("the environment has {name}, which nothing reads; the nearest that is read is {nearest}")]
    UnknownVariable { name: String, nearest: &'static str },
    #[error("the configuration cannot be used:\n{0}")]
    Problems(String),
}

/// Development fills gaps with stand-ins and says so; production refuses to start instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Development,
    Production,
}

/// Everything a role may need.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub mode: Mode,
    /// Where the web client lives: links in mails, return addresses of the payment page.
    pub frontend_url: String,
    pub http: Http,
    pub database: Database,
    pub nats: Nats,
    pub secrets: Secrets,
    pub smtp: Smtp,
    pub midtrans: Midtrans,
    pub google: Google,
    pub cluster: Cluster,
    pub billing: Billing,
    pub invoice: Invoice,
    pub telemetry: Telemetry,
    pub limits: Limits,
}

/// The REST door.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub listen: SocketAddr,
    /// Browser origins that may call; `*` for any.
    pub cors_origins: Vec<String>,
    /// Proxies whose X-Forwarded-For counts: addresses, or networks such as `10.0.0.0/8`.
    pub trusted_proxies: Vec<minispod_api::Network>,
    /// Largest JSON body, bytes.
    pub body_limit: usize,
    /// Requests of one address in each window; 0 switches it off.
    #[serde(alias = "rate_per_minute")]
    pub rate_limit: u32,
    /// That window, milliseconds.
    pub rate_window_ms: u64,
    /// Sign-ins, registrations and the like, a minute and address. This and the next two are off while `rate_limit` is.
    pub sign_ins_per_minute: u32,
    /// Reads, a minute and account.
    pub reads_per_minute: u32,
    /// Writes, a minute and account.
    pub writes_per_minute: u32,
    /// Top-up and pay requests a minute and customer.
    pub payments_per_minute: u32,
    /// Passwords that do not fit, a minute, account and address.
    pub failed_sign_ins_per_minute: u32,
    /// Bearer token that `/metrics` asks for; empty: hidden in production, open elsewhere.
    pub metrics_token: String,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            cors_origins: vec!["http://localhost:3000".into(), "http://localhost:3100".into()],
            trusted_proxies: Vec::new(),
            body_limit: 1024 * 1024,
            rate_limit: 1200,
            rate_window_ms: 60_000,
            sign_ins_per_minute: 300,
            reads_per_minute: 1200,
            writes_per_minute: 600,
            payments_per_minute: 5,
            failed_sign_ins_per_minute: 10,
            metrics_token: String::new(),
        }
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Http(listen {})", self.listen)
    }
}

/// Postgres.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    pub url: String,
    pub max_connections: u32,
    /// An aggregate's state is saved each time its version passes a multiple of this.
    pub state_every: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: String::new(), max_connections: 16, state_every: 50 }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database(max_connections {})", self.max_connections)
    }
}

/// NATS: one user a role, so that each may do only its part.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nats {
    pub url: String,
    /// Put before each role's user name, for servers that serve several installations.
    pub user_prefix: String,
    /// JSON file laid over the streams' files: copies, places and bounds of this installation. Empty: none.
    pub overlay: String,
    pub passwords: NatsPasswords,
}

impl std::fmt::Debug for Nats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Nats({})", self.url)
    }
}

/// Passwords by role.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsPasswords {
    pub admin: String,
    pub relay: String,
    pub api: String,
    pub projector: String,
    pub billing: String,
    pub provisioner: String,
    pub mailer: String,
    pub analyst: String,
}

impl NatsPasswords {
    /// `(user, password)` of every user.
    pub fn all(&self) -> [(&'static str, &str); 8] {
        [
            ("admin", &self.admin),
            ("relay", &self.relay),
            ("api", &self.api),
            ("projector", &self.projector),
            ("billing", &self.billing),
            ("provisioner", &self.provisioner),
            ("mailer", &self.mailer),
            ("analyst", &self.analyst),
        ]
    }

    /// The password of `user`; empty when there is none.
    pub fn of(&self, user: &str) -> &str {
        self.all().into_iter().find(|(name, _)| *name == user).map_or("", |(_, password)| password)
    }
}

/// Keys. Never printed.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// 32 bytes, base64: wraps every person's data key.
    pub master_key: String,
    /// Signs access tokens.
    pub jwt_secret: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// The master key's bytes.
    pub fn master_key_bytes(&self) -> Option<[u8; 32]> {
        BASE64.decode(self.master_key.trim()).ok().and_then(|bytes| bytes.try_into().ok())
    }
}

/// Mail.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smtp {
    /// `smtp://user:password@host:port` or `smtps://…`; empty: none (development starts a sink).
    pub url: String,
    pub from_name: String,
    pub from_address: String,
    /// `id` or `en`.
    pub language: String,
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            url: String::new(),
            from_name: "Minispod".into(),
            from_address: "no-reply@minispod.localhost".into(),
            language: "id".into(),
        }
    }
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Smtp(from {})", self.from_address)
    }
}

/// The payment gateway.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Midtrans {
    pub server_key: String,
    pub is_production: bool,
    /// Production refuses the gateway's sandbox, where nobody pays, unless this says that it is meant.
    pub allow_sandbox: bool,
    /// Checked against notifications when set.
    pub merchant_id: String,
    /// Empty: the official addresses for `is_production`; else both APIs under this one, a proxy for example.
    pub base_url: String,
    /// Address of the stand-in when one is used instead; its presence names it as a stand-in.
    pub standin_url: String,
}

impl Midtrans {
    /// Whether payments are only played: by the address, or by a key of the sandbox.
    pub fn is_sandbox(&self) -> bool {
        (self.base_url.is_empty() && !self.is_production) || self.server_key.starts_with(SANDBOX_KEY)
    }
}

impl std::fmt::Debug for Midtrans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Midtrans(production {})", self.is_production)
    }
}

/// The refund desk and bank transfers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Billing {
    /// A refund or a manual top-up of more rupiah needs two administrators.
    pub approval_above: u64,
    /// Where the proofs of bank transfers lie; empty: `proofs` in the state directory.
    pub proofs_directory: String,
}

impl Default for Billing {
    fn default() -> Self {
        Self { approval_above: 1_000_000, proofs_directory: String::new() }
    }
}

/// The seller on invoices.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Invoice {
    pub seller_name: String,
    pub seller_address: String,
    pub seller_tax_id: String,
    pub support_email: String,
    pub website: String,
    /// The tax inside prices, by the day it holds from; empty: none.
    pub tax: Vec<Tax>,
}

/// A rate of the tax inside prices (PPN). Since 2025 it is 12 % on 11/12 of the price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tax {
    /// The first day, `2025-01-01`.
    pub from: String,
    /// Hundredths of a percent: 1200 is 12 %.
    pub rate_basis_points: u32,
    #[serde(default = "one")]
    pub base_numerator: u32,
    #[serde(default = "one")]
    pub base_denominator: u32,
}

const fn one() -> u32 {
    1
}

impl Invoice {
    /// The rates as rules that can be computed with.
    pub fn tax_schedule(&self) -> Result<TaxSchedule, String> {
        let rule = |tax: &Tax| {
            let from = Date::parse(&tax.from, format_description!("[year]-[month]-[day]"))
                .map_err(|_| format!("{} is no day as in 2025-01-01", tax.from))?;
            let Tax { rate_basis_points, base_numerator, base_denominator, .. } = *tax;
            Ok(TaxRule { from, rate_basis_points, base_numerator, base_denominator })
        };
        let rules = self.tax.iter().map(rule).collect::<Result<Vec<_>, String>>()?;
        TaxSchedule::new(rules).map_err(|error| error.to_string())
    }
}

impl Default for Invoice {
    fn default() -> Self {
        Self {
            seller_name: "Minispod".into(),
            seller_address: "Indonesia".into(),
            seller_tax_id: String::new(),
            support_email: "support@minispod.localhost".into(),
            website: String::new(),
            tax: Vec::new(),
        }
    }
}

/// Logs and metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// A tracing filter (`info,sqlx=warn`).
    pub filter: String,
    /// `text` or `json`.
    pub format: String,
    /// Where every role serves `/metrics` for Prometheus; empty: nowhere.
    pub metrics_listen: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { filter: "info,sqlx=warn,async_nats=warn".into(), format: "text".into(), metrics_listen: String::new() }
    }
}

/// Waits and lives.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Life of an access token, seconds.
    pub access_token_seconds: u64,
    /// Life of a refresh token, seconds.
    pub refresh_token_seconds: u64,
    /// Patience for work in flight when stopping, seconds.
    pub drain_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { access_token_seconds: 24 * 3600, refresh_token_seconds: 7 * 24 * 3600, drain_seconds: 10 }
    }
}

impl Config {
    /// The file (when given), then the environment on top, then the checks.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut table = match file {
            Some(path) => read_table(path)?,
            None => Table::new(),
        };
        environment::Environment::of_process().overlay(&mut table)?;
        Self::of_table(table)
    }

    /// A file alone, without the environment.
    pub fn stored(file: &Path) -> Result<Self, ConfigError> {
        Self::of_table(read_table(file)?)
    }

    fn of_table(table: Table) -> Result<Self, ConfigError> {
        Value::Table(table).try_into().map_err(|source| ConfigError::Shape { source })
    }

    /// Without the stand-ins of an earlier start, whose addresses are dead.
    pub fn forget_stand_ins(&mut self) {
        if self.midtrans.server_key == STANDIN_SERVER_KEY {
            self.midtrans.server_key.clear();
        }
        self.midtrans.standin_url.clear();
        if self.smtp.url.ends_with(SINK_MARK) {
            self.smtp.url.clear();
        }
    }
}

fn read_table(path: &Path) -> Result<Table, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: name.clone(), source })?;
    text.parse().map_err(|source| ConfigError::Toml { path: name, source })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
