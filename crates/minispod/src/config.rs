//! One typed configuration from file and environment; unknown keys and unsafe production values are refused.

use std::{fmt::Write as _, net::SocketAddr, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use minispod_auth::google::GOOGLE_KEYS_URL;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

mod environment;

/// The commented default file that `minispod config` prints.
pub const DEFAULT_FILE: &str = include_str!("config/default.toml");
/// Shortest secret that production accepts, in characters.
const SECRET_MIN: usize = 32;
/// Shortest password of a NATS user in production, in characters.
const PASSWORD_MIN: usize = 16;
/// The gateway's constant key of the stand-in; never accepted in production.
pub const STANDIN_SERVER_KEY: &str = "SB-Mid-server-TEST";
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
    /// Requests a minute and address; 0 switches it off.
    pub rate_per_minute: u32,
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
            rate_per_minute: 1200,
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
}

impl Default for Database {
    fn default() -> Self {
        Self { url: String::new(), max_connections: 16 }
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
    /// Checked against notifications when set.
    pub merchant_id: String,
    /// Empty: the official addresses for `is_production`; else both APIs under this one, a proxy for example.
    pub base_url: String,
    /// Address of the stand-in when one is used instead; its presence names it as a stand-in.
    pub standin_url: String,
}

impl std::fmt::Debug for Midtrans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Midtrans(production {})", self.is_production)
    }
}

/// Signing in with Google.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Google {
    pub enabled: bool,
    /// Our application at Google; tokens for others are refused.
    pub client_id: String,
    /// Where the keys are published.
    pub keys_url: String,
}

impl Default for Google {
    fn default() -> Self {
        Self { enabled: false, client_id: String::new(), keys_url: GOOGLE_KEYS_URL.into() }
    }
}

/// Where instances run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// `kubernetes` or `simulated`.
    pub kind: ClusterKind,
    /// Empty: in-cluster configuration.
    pub kubeconfig: String,
    pub namespace_prefix: String,
    /// Instances answer at `<subdomain>.<offering>.<domain>`.
    pub domain: String,
    pub ingress_class: String,
    /// cert-manager issuer; empty: no TLS annotation.
    pub tls_issuer: String,
    /// Storage class of the plans that `seed` publishes.
    pub storage_class: String,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            kind: ClusterKind::Simulated,
            kubeconfig: String::new(),
            namespace_prefix: "customer-".into(),
            domain: "localhost".into(),
            ingress_class: "nginx".into(),
            tls_issuer: "letsencrypt-prod".into(),
            storage_class: "local-path".into(),
        }
    }
}

/// Real or simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterKind {
    Kubernetes,
    Simulated,
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
}

impl Default for Invoice {
    fn default() -> Self {
        Self {
            seller_name: "Minispod".into(),
            seller_address: "Indonesia".into(),
            seller_tax_id: String::new(),
            support_email: "support@minispod.localhost".into(),
            website: String::new(),
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
    /// Where roles other than the api serve `/metrics`; empty: nowhere.
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
        environment::overlay(&mut table)?;
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

    /// Everything that any role needs is there and safe; every problem is named.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_for(&["api", "relay", "projector", "provisioner", "billing", "mailer"])
    }

    /// What these roles need is there and safe. A role is not asked for another's secrets, so it need not be given them.
    pub fn check_for(&self, roles: &[&str]) -> Result<(), ConfigError> {
        let mut problems = String::new();
        let mut problem = |text: &str| {
            let _ = writeln!(problems, "  - {text}");
        };
        let wanted = |names: &[&str]| roles.iter().any(|role| names.contains(role));
        if self.database.url.is_empty() {
            problem("database.url (DATABASE_URL) is missing");
        }
        if self.nats.url.is_empty() {
            problem("nats.url (NATS_URL) is missing");
        }
        if self.secrets.master_key_bytes().is_none() {
            problem("secrets.master_key (MINISPOD_MASTER_KEY) must be 32 bytes in base64");
        }
        if wanted(&["api"]) && self.secrets.jwt_secret.len() < SECRET_MIN {
            problem("secrets.jwt_secret (JWT_SECRET) must have at least 32 characters");
        }
        if wanted(&["api", "billing"]) && self.midtrans.server_key.is_empty() {
            problem("midtrans.server_key (MIDTRANS_SERVER_KEY) is missing: notifications could be forged");
        }
        if !self.midtrans.standin_url.is_empty() && self.midtrans.server_key != STANDIN_SERVER_KEY {
            problem("midtrans.standin_url is set beside a real server key, which the stand-in must not see");
        }
        if self.google.enabled && self.google.client_id.trim().is_empty() {
            problem("google.client_id (GOOGLE_CLIENT_ID) is missing: any application's tokens would be taken");
        }
        if self.language().is_none() {
            problem("smtp.language must be id or en");
        }
        if self.mode == Mode::Production {
            self.check_production(roles, &mut problem);
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Problems(problems)) }
    }

    /// The language of mails and documents.
    pub fn language(&self) -> Option<minispod_kernel::Language> {
        self.smtp.language.parse().ok()
    }

    fn check_production(&self, roles: &[&str], problem: &mut impl FnMut(&str)) {
        let wanted = |names: &[&str]| roles.iter().any(|role| names.contains(role));
        if self.midtrans.server_key == STANDIN_SERVER_KEY || !self.midtrans.standin_url.is_empty() {
            problem("the Midtrans stand-in is not allowed in production");
        }
        if self.cluster.kind == ClusterKind::Simulated {
            problem("the simulated cluster is not allowed in production (cluster.kind = \"kubernetes\")");
        }
        if wanted(&["mailer"]) && self.smtp.url.is_empty() {
            problem("smtp.url (SMTP_URL, or SMTP_HOST and friends) is missing");
        }
        if wanted(&["api", "billing", "mailer"]) && self.frontend_url.is_empty() {
            problem("frontend_url (FRONTEND_URL) is missing");
        }
        for role in roles {
            if self.nats.passwords.of(role).len() < PASSWORD_MIN {
                problem(&format!("nats.passwords.{role} needs at least {PASSWORD_MIN} characters"));
            }
        }
    }
}

fn read_table(path: &Path) -> Result<Table, ConfigError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: name.clone(), source })?;
    text.parse().map_err(|source| ConfigError::Toml { path: name, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        let table: Table = text.parse().expect("TOML");
        Value::Table(table).try_into().map_err(|source| ConfigError::Shape { source })
    }

    #[test]
    fn the_printed_default_file_is_the_default_configuration() {
        let printed = parse(DEFAULT_FILE).expect("the default file parses");
        assert_eq!(
            toml::to_string(&printed).expect("serialises"),
            toml::to_string(&Config::default()).expect("serialises"),
        );
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = parse("[http]\nlissten = \"127.0.0.1:1\"").expect_err("a misspelt key");
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(source.contains("lissten"), "{source}");
    }

    #[test]
    fn production_names_every_missing_or_unsafe_value() {
        let config = parse("mode = \"production\"\n[midtrans]\nserver_key = \"SB-Mid-server-TEST\"").expect("parses");
        let text = config.check().expect_err("unsafe").to_string();
        for needle in [
            "DATABASE_URL",
            "NATS_URL",
            "MASTER_KEY",
            "JWT_SECRET",
            "stand-in",
            "simulated",
            "SMTP_URL",
            "nats.passwords.relay",
        ] {
            assert!(text.contains(needle), "{needle} is not named in {text}");
        }
    }

    #[test]
    fn a_role_is_not_asked_for_anothers_secrets() {
        let config = parse(
            "mode = \"production\"\nfrontend_url = \"https://x\"\n[cluster]\nkind = \"kubernetes\"\n[smtp]\nurl = \"smtp://h\"\n\
             [database]\nurl = \"postgres://h/d\"\n[nats]\nurl = \"nats://h\"\n[nats.passwords]\nmailer = \"kkkkkkkkkkkkkkkk\"\n\
             [secrets]\nmaster_key = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"",
        )
        .expect("parses");
        config.check_for(&["mailer"]).expect("the mailer has all it needs");
        let text = config.check_for(&["api"]).expect_err("the api has not").to_string();
        for needle in ["JWT_SECRET", "MIDTRANS_SERVER_KEY", "nats.passwords.api"] {
            assert!(text.contains(needle), "{needle} is not named in {text}");
        }
    }

    #[test]
    fn trusted_proxies_are_addresses_or_networks() {
        let config = parse("[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"fd00::/8\", \"192.0.2.1\"]").expect("parses");
        let inside = ["10.1.2.3", "fd12::1", "192.0.2.1"].map(|text| text.parse().expect("an address"));
        for (network, address) in config.http.trusted_proxies.iter().zip(inside) {
            assert!(network.contains(address), "{network} holds {address}");
        }
        assert!(parse("[http]\ntrusted_proxies = [\"10.0.0.0/33\"]").is_err());
        assert!(parse("[http]\ntrusted_proxies = [\"proxy.example\"]").is_err());
    }

    #[test]
    fn w34_google_sign_in_needs_a_client_id() {
        for text in ["[google]\nenabled = true", "[google]\nenabled = true\nclient_id = \" \""] {
            let problems = parse(text).expect("parses").check().expect_err("refused").to_string();
            assert!(problems.contains("GOOGLE_CLIENT_ID"), "{problems}");
        }
        let text = "[google]\nenabled = true\nclient_id = \"minispod\"";
        let problems = parse(text).expect("parses").check().expect_err("others are missing").to_string();
        assert!(!problems.contains("GOOGLE_CLIENT_ID"), "{problems}");
    }

    #[test]
    fn a_real_key_is_never_sent_to_a_stand_in() {
        let config = parse("[midtrans]\nserver_key = \"Mid-server-real\"\nstandin_url = \"http://h\"").expect("parses");
        assert!(config.check().expect_err("refused").to_string().contains("standin_url"));
    }

    #[test]
    fn stand_ins_of_an_earlier_start_are_forgotten_and_real_parts_are_not() {
        let mut config = parse(
            "[midtrans]\nserver_key = \"SB-Mid-server-TEST\"\nstandin_url = \"http://127.0.0.1:1\"\n\
             [smtp]\nurl = \"smtp://127.0.0.1:2#sink\"",
        )
        .expect("parses");
        config.forget_stand_ins();
        assert_eq!((&*config.midtrans.server_key, &*config.midtrans.standin_url, &*config.smtp.url), ("", "", ""));
        config.midtrans.server_key = "Mid-server-real".into();
        config.smtp.url = "smtp://mail.example.com".into();
        let kept = toml::to_string(&config).expect("serialises");
        config.forget_stand_ins();
        assert_eq!(toml::to_string(&config).expect("serialises"), kept);
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let config = parse("[secrets]\njwt_secret = \"hush\"\n[midtrans]\nserver_key = \"hush\"\n[smtp]\nurl = \"smtp://a:hush@h\"\n[database]\nurl = \"postgres://u:hush@h/d\"\n[nats.passwords]\nrelay = \"hush\"")
            .expect("parses");
        assert!(!format!("{config:?}").contains("hush"));
    }
}
