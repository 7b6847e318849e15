//! Which environment variable sets which key; the previous backend's names are kept where the meaning is the same.

use std::{collections::BTreeMap, env};

use toml::{Table, Value};

use super::ConfigError;

enum Kind {
    Text,
    /// `production` or `development`; anything else must not pass for either.
    Mode,
    Integer,
    Boolean,
    List,
    /// Comma separated port numbers.
    Integers,
    /// `name=value`, comma separated.
    Pairs,
    /// `24h`, `7d`, `15m`, `3600` → seconds.
    Seconds,
}

const VARIABLES: &[(&str, &str, Kind)] = &[
    // Of two names for one key the later one wins.
    ("NODE_ENV", "mode", Kind::Mode),
    ("MINISPOD_MODE", "mode", Kind::Mode),
    ("FRONTEND_URL", "frontend_url", Kind::Text),
    ("MINISPOD_LISTEN", "http.listen", Kind::Text),
    ("CORS_ORIGIN", "http.cors_origins", Kind::List),
    ("MINISPOD_TRUSTED_PROXIES", "http.trusted_proxies", Kind::List),
    ("MINISPOD_METRICS_TOKEN", "http.metrics_token", Kind::Text),
    ("DATABASE_URL", "database.url", Kind::Text),
    ("DATABASE_MAX_CONNECTIONS", "database.max_connections", Kind::Integer),
    ("NATS_URL", "nats.url", Kind::Text),
    ("MINISPOD_NATS_OVERLAY", "nats.overlay", Kind::Text),
    ("MINISPOD_NATS_ADMIN_PASSWORD", "nats.passwords.admin", Kind::Text),
    ("MINISPOD_NATS_RELAY_PASSWORD", "nats.passwords.relay", Kind::Text),
    ("MINISPOD_NATS_API_PASSWORD", "nats.passwords.api", Kind::Text),
    ("MINISPOD_NATS_PROJECTOR_PASSWORD", "nats.passwords.projector", Kind::Text),
    ("MINISPOD_NATS_BILLING_PASSWORD", "nats.passwords.billing", Kind::Text),
    ("MINISPOD_NATS_PROVISIONER_PASSWORD", "nats.passwords.provisioner", Kind::Text),
    ("MINISPOD_NATS_MAILER_PASSWORD", "nats.passwords.mailer", Kind::Text),
    ("MINISPOD_NATS_ANALYST_PASSWORD", "nats.passwords.analyst", Kind::Text),
    ("MINISPOD_MASTER_KEY", "secrets.master_key", Kind::Text),
    ("JWT_SECRET", "secrets.jwt_secret", Kind::Text),
    ("JWT_EXPIRES_IN", "limits.access_token_seconds", Kind::Seconds),
    ("JWT_REFRESH_EXPIRES_IN", "limits.refresh_token_seconds", Kind::Seconds),
    ("SMTP_URL", "smtp.url", Kind::Text),
    ("EMAIL_FROM_NAME", "smtp.from_name", Kind::Text),
    ("EMAIL_FROM_ADDRESS", "smtp.from_address", Kind::Text),
    ("MINISPOD_MAIL_LANGUAGE", "smtp.language", Kind::Text),
    ("MIDTRANS_SERVER_KEY", "midtrans.server_key", Kind::Text),
    ("MIDTRANS_MERCHANT_ID", "midtrans.merchant_id", Kind::Text),
    ("MIDTRANS_IS_PRODUCTION", "midtrans.is_production", Kind::Boolean),
    ("MIDTRANS_ALLOW_SANDBOX", "midtrans.allow_sandbox", Kind::Boolean),
    ("MIDTRANS_BASE_URL", "midtrans.base_url", Kind::Text),
    ("GOOGLE_SIGN_IN", "google.enabled", Kind::Boolean),
    ("GOOGLE_CLIENT_ID", "google.client_id", Kind::Text),
    ("GOOGLE_KEYS_URL", "google.keys_url", Kind::Text),
    ("MINISPOD_CLUSTER", "cluster.kind", Kind::Text),
    ("KUBECONFIG_PATH", "cluster.kubeconfig", Kind::Text),
    ("K8S_NAMESPACE_PREFIX", "cluster.namespace_prefix", Kind::Text),
    ("K8S_CLUSTER_DOMAIN", "cluster.domain", Kind::Text),
    ("K8S_INGRESS_CLASS", "cluster.ingress_class", Kind::Text),
    ("K8S_INGRESS_NAMESPACE", "cluster.ingress_namespace", Kind::Text),
    ("K8S_INGRESS_POD_LABELS", "cluster.ingress_pod_labels", Kind::Pairs),
    ("K8S_TLS_ISSUER", "cluster.tls_issuer", Kind::Text),
    ("K8S_TLS_MODE", "cluster.tls_mode", Kind::Text),
    ("MINISPOD_CATALOG_FOLDER", "cluster.catalog_folder", Kind::Text),
    ("MINISPOD_SELL_PERCENT", "cluster.sell_percent", Kind::Integer),
    ("MINISPOD_NAME_SERVERS", "cluster.name_servers", Kind::List),
    ("MINISPOD_RESTING_PAGE", "cluster.resting_page", Kind::Text),
    ("K8S_STORAGE_CLASS", "cluster.storage_class", Kind::Text),
    ("K8S_PRIVATE_RANGES", "cluster.private_ranges", Kind::List),
    ("K8S_EGRESS_PORTS", "cluster.egress_ports", Kind::Integers),
    ("K8S_CUSTOMER_QUOTA", "cluster.quota", Kind::Pairs),
    ("K8S_CUSTOMER_BOUNDS", "cluster.bounds", Kind::Pairs),
    ("MINISPOD_PRIORITY_CLASS", "cluster.priority_class", Kind::Text),
    ("MINISPOD_USER_NAMESPACES", "cluster.user_namespaces", Kind::Boolean),
    ("RATE_LIMIT_MAX_REQUESTS", "http.rate_limit", Kind::Integer),
    ("RATE_LIMIT_MAX", "http.rate_limit", Kind::Integer),
    ("RATE_LIMIT_WINDOW_MS", "http.rate_window_ms", Kind::Integer),
    ("MINISPOD_SIGN_INS_PER_MINUTE", "http.sign_ins_per_minute", Kind::Integer),
    ("MINISPOD_READS_PER_MINUTE", "http.reads_per_minute", Kind::Integer),
    ("MINISPOD_WRITES_PER_MINUTE", "http.writes_per_minute", Kind::Integer),
    ("MINISPOD_PAYMENTS_PER_MINUTE", "http.payments_per_minute", Kind::Integer),
    ("MINISPOD_FAILED_SIGN_INS_PER_MINUTE", "http.failed_sign_ins_per_minute", Kind::Integer),
    ("MINISPOD_APPROVAL_ABOVE", "billing.approval_above", Kind::Integer),
    ("MINISPOD_PROOFS_DIRECTORY", "billing.proofs_directory", Kind::Text),
    ("MINISPOD_LOG", "telemetry.filter", Kind::Text),
    ("MINISPOD_LOG_FORMAT", "telemetry.format", Kind::Text),
    ("MINISPOD_METRICS_LISTEN", "telemetry.metrics_listen", Kind::Text),
];

/// Read by others than the configuration: the compose file, tests and the runner of the tests.
const OTHERS: &[&str] = &["MINISPOD_VERSION", "MINISPOD_REQUIRE", "MINISPOD_LONG", "MINISPOD_CHAOS_SEED"];
/// Begins the names of ours; a misspelt one must not be passed over in silence.
const PREFIX: &str = "MINISPOD_";
const TEST_PREFIX: &str = "MINISPOD_TEST_";
/// Stands for "no certificates" where an issuer is named, because an empty variable counts as unset.
const NO_ISSUER: &str = "none";

/// The variables of the process; empty ones count as unset, what is no text is none of ours.
pub(super) struct Environment(BTreeMap<String, String>);

impl Environment {
    pub(super) fn of_process() -> Self {
        let texts =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(texts.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The same of variables that somebody wrote.
    #[cfg(test)]
    pub(super) fn of(variables: BTreeMap<String, String>) -> Self {
        Self(variables)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// Lays the set variables over the file's values.
    pub(super) fn overlay(&self, table: &mut Table) -> Result<(), ConfigError> {
        self.refuse_unknown()?;
        for (name, path, kind) in VARIABLES {
            if let Some(text) = self.get(name) {
                let value = parse(name, kind, text)?;
                set(table, path, value);
            }
        }
        if let Some(port) = self.get("PORT") {
            let port: u16 =
                port.parse().map_err(|_| ConfigError::Environment { name: "PORT", expected: "a port number" })?;
            set(table, "http.listen", Value::String(format!("0.0.0.0:{port}")));
        }
        if self.is_true("KUBERNETES_ENABLED") && self.get("MINISPOD_CLUSTER").is_none() {
            set(table, "cluster.kind", Value::String("kubernetes".into()));
        }
        if self.get("K8S_TLS_ISSUER") == Some(NO_ISSUER) && self.get("K8S_TLS_MODE").is_none() {
            set(table, "cluster.tls_mode", Value::String("none".into()));
        }
        if let (Some(host), None) = (self.get("SMTP_HOST"), self.get("SMTP_URL")) {
            set(table, "smtp.url", Value::String(self.smtp_url(host)));
        }
        Ok(())
    }

    fn refuse_unknown(&self) -> Result<(), ConfigError> {
        let known = || VARIABLES.iter().map(|(name, ..)| *name).filter(|name| name.starts_with(PREFIX));
        let is_known = |name: &str| known().chain(OTHERS.iter().copied()).any(|known| known == name);
        let mut ours = self.0.keys().filter(|name| name.starts_with(PREFIX) && !name.starts_with(TEST_PREFIX));
        let Some(name) = ours.find(|name| !is_known(name)) else { return Ok(()) };
        let nearest = known().min_by_key(|known| distance(known, name)).unwrap_or_default();
        Err(ConfigError::UnknownVariable { name: name.clone(), nearest })
    }

    /// `SMTP_HOST`, `SMTP_PORT`, `SMTP_SECURE`, `SMTP_USER`, `SMTP_PASS` as one URL.
    fn smtp_url(&self, host: &str) -> String {
        let secure = self.is_true("SMTP_SECURE");
        let port = self.get("SMTP_PORT").unwrap_or(if secure { "465" } else { "587" });
        let scheme = if secure { "smtps" } else { "smtp" };
        let tls = if secure || port == "1025" || port == "25" { "" } else { "?tls=required" };
        match (self.get("SMTP_USER"), self.get("SMTP_PASS")) {
            (Some(user), Some(password)) => {
                format!("{scheme}://{}:{}@{host}:{port}{tls}", percent(user), percent(password))
            }
            _ => format!("{scheme}://{host}:{port}{tls}"),
        }
    }
}

/// How many letters must be added, dropped or changed to make one word the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (place, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[right.len()]
}

/// Percent-encodes everything but unreserved characters.
pub(super) fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

fn parse(name: &'static str, kind: &Kind, text: &str) -> Result<Value, ConfigError> {
    let wrong = |expected| ConfigError::Environment { name, expected };
    Ok(match kind {
        Kind::Text => Value::String(text.to_owned()),
        Kind::Mode if ["production", "development"].contains(&text) => Value::String(text.to_owned()),
        Kind::Mode => return Err(wrong("production or development")),
        Kind::Integer => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
        Kind::Boolean => Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
        Kind::List => Value::Array(items(text).map(|item| Value::String(item.to_owned())).collect()),
        Kind::Integers => {
            let numbers: Result<Vec<i64>, _> = items(text).map(str::parse).collect();
            let numbers = numbers.map_err(|_| wrong("whole numbers with commas between"))?;
            Value::Array(numbers.into_iter().map(Value::Integer).collect())
        }
        Kind::Pairs => {
            let pairs =
                items(text).map(|item| item.split_once('=').ok_or_else(|| wrong("name=value, with commas between")));
            let pairs = pairs.map(|pair| pair.map(|(name, value)| (name.trim().to_owned(), value.trim().into())));
            Value::Table(pairs.collect::<Result<Table, _>>()?)
        }
        Kind::Seconds => Value::Integer(seconds(text).ok_or_else(|| wrong("a duration such as 24h, 7d or 3600"))?),
    })
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

pub(super) fn seconds(text: &str) -> Option<i64> {
    let (digits, factor) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) => (
            digits,
            match text.as_bytes().last() {
                Some(b'm') => 60,
                Some(b'h') => 3600,
                Some(b'd') => 86_400,
                _ => 1,
            },
        ),
        None => (text, 1),
    };
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<i64>().ok().filter(|count| is_plain && *count > 0)?.checked_mul(factor)
}

fn set(table: &mut Table, path: &str, value: Value) {
    let mut place = table;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            place.insert(part.to_owned(), value);
            return;
        }
        let entry = place.entry(part.to_owned()).or_insert_with(|| Value::Table(Table::new()));
        if !entry.is_table() {
            *entry = Value::Table(Table::new());
        }
        let Value::Table(inner) = entry else { return };
        place = inner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(seconds("24h"), Some(86_400));
        assert_eq!(seconds("7d"), Some(604_800));
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-1h"), None);
    }

    #[test]
    fn a_variable_lands_at_its_path() {
        let mut table = Table::new();
        set(&mut table, "nats.passwords.relay", Value::String("x".into()));
        assert_eq!(table["nats"]["passwords"]["relay"].as_str(), Some("x"));
    }

    fn laid(variables: &[(&str, &str)]) -> Result<super::super::Config, ConfigError> {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut table = Table::new();
        Environment(owned.collect()).overlay(&mut table)?;
        super::super::Config::of_table(table)
    }

    #[test]
    fn a_misspelt_name_of_ours_is_refused_with_the_nearest_one() {
        let error = laid(&[("MINISPOD_TRUSTED_PROXY", "10.0.0.0/8")]).expect_err("nothing reads it").to_string();
        assert!(error.contains("MINISPOD_TRUSTED_PROXY,") && error.contains("MINISPOD_TRUSTED_PROXIES"), "{error}");
        laid(&[("MINISPOD_TEST_PG", "x"), ("MINISPOD_REQUIRE", "pg"), ("SOMEBODY_ELSES", "x")]).expect("none of ours");
    }

    #[test]
    fn the_previous_backends_names_mean_what_they_meant() {
        let config = laid(&[
            ("NODE_ENV", "production"),
            ("RATE_LIMIT_WINDOW_MS", "900000"),
            ("RATE_LIMIT_MAX", "100"),
            ("KUBERNETES_ENABLED", "true"),
        ]);
        let config = config.expect("all known");
        assert_eq!(config.mode, super::super::Mode::Production);
        assert_eq!((config.http.rate_limit, config.http.rate_window_ms), (100, 900_000));
        assert_eq!(config.cluster.kind, super::super::ClusterKind::Kubernetes);
        let ours = laid(&[("NODE_ENV", "production"), ("MINISPOD_MODE", "development")]).expect("both known");
        assert_eq!(ours.mode, super::super::Mode::Development);
        let neither = laid(&[("NODE_ENV", "staging")]).expect_err("neither of the two").to_string();
        assert_eq!(neither, "NODE_ENV must be production or development");
    }

    #[test]
    fn the_clusters_settings_come_by_environment_too() {
        let config = laid(&[
            ("K8S_TLS_ISSUER", "none"),
            ("K8S_STORAGE_CLASS", "fast"),
            ("K8S_INGRESS_POD_LABELS", "app=gate, tier=edge"),
            ("K8S_EGRESS_PORTS", "443, 8443"),
            ("K8S_CUSTOMER_QUOTA", "pods=20, limits.cpu=200"),
            ("K8S_CUSTOMER_BOUNDS", "memory=8Gi"),
            ("MINISPOD_PRIORITY_CLASS", "minispod-instances"),
            ("MINISPOD_USER_NAMESPACES", "true"),
        ]);
        let cluster = config.expect("all known").cluster;
        let options = cluster.plan_options();
        assert_eq!(options.tls, minispod_provisioner::Tls::Off);
        assert_eq!(cluster.storage_class, "fast");
        assert_eq!(options.ingress.pod_labels.len(), 2);
        assert_eq!(options.egress_ports, [443, 8443]);
        assert_eq!((&*options.quota["pods"], &*options.quota["services.loadbalancers"]), ("20", "0"));
        assert_eq!(
            (&*options.bounds["cpu"], &*options.bounds["memory"]),
            ("200", "8Gi"),
            "the quota's, but for the named"
        );
        assert_eq!(options.priority_class.as_deref(), Some("minispod-instances"));
        assert!(options.user_namespaces);
        laid(&[("MINISPOD_USER_NAMESPACES", "perhaps")]).expect_err("neither true nor false");
        laid(&[("K8S_EGRESS_PORTS", "https")]).expect_err("no number");
        laid(&[("K8S_CUSTOMER_QUOTA", "pods")]).expect_err("no amount");
    }

    #[test]
    fn every_variable_names_a_key_that_exists() {
        let defaults = toml::Table::try_from(super::super::Config::default()).expect("serialises");
        for (name, path, _) in VARIABLES {
            let found =
                path.split('.').try_fold(Value::Table(defaults.clone()), |place, part| place.get(part).cloned());
            assert!(found.is_some(), "{name} points at {path}, which does not exist");
        }
    }
}
