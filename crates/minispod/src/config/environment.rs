//! Which environment variable sets which key; the previous backend's names are kept where the meaning is the same.

use toml::{Table, Value};

use super::ConfigError;

enum Kind {
    Text,
    Integer,
    Boolean,
    List,
    /// `24h`, `7d`, `15m`, `3600` → seconds.
    Seconds,
}

const VARIABLES: &[(&str, &str, Kind)] = &[
    ("MINISPOD_MODE", "mode", Kind::Text),
    ("FRONTEND_URL", "frontend_url", Kind::Text),
    ("MINISPOD_LISTEN", "http.listen", Kind::Text),
    ("CORS_ORIGIN", "http.cors_origins", Kind::List),
    ("MINISPOD_TRUSTED_PROXIES", "http.trusted_proxies", Kind::List),
    ("MINISPOD_METRICS_TOKEN", "http.metrics_token", Kind::Text),
    ("DATABASE_URL", "database.url", Kind::Text),
    ("DATABASE_MAX_CONNECTIONS", "database.max_connections", Kind::Integer),
    ("NATS_URL", "nats.url", Kind::Text),
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
    ("MIDTRANS_BASE_URL", "midtrans.base_url", Kind::Text),
    ("GOOGLE_SIGN_IN", "google.enabled", Kind::Boolean),
    ("GOOGLE_CLIENT_ID", "google.client_id", Kind::Text),
    ("GOOGLE_KEYS_URL", "google.keys_url", Kind::Text),
    ("MINISPOD_CLUSTER", "cluster.kind", Kind::Text),
    ("KUBECONFIG_PATH", "cluster.kubeconfig", Kind::Text),
    ("K8S_NAMESPACE_PREFIX", "cluster.namespace_prefix", Kind::Text),
    ("K8S_CLUSTER_DOMAIN", "cluster.domain", Kind::Text),
    ("K8S_INGRESS_CLASS", "cluster.ingress_class", Kind::Text),
    ("K8S_TLS_ISSUER", "cluster.tls_issuer", Kind::Text),
    ("K8S_STORAGE_CLASS", "cluster.storage_class", Kind::Text),
    ("RATE_LIMIT_MAX_REQUESTS", "http.rate_per_minute", Kind::Integer),
    ("MINISPOD_LOG", "telemetry.filter", Kind::Text),
    ("MINISPOD_LOG_FORMAT", "telemetry.format", Kind::Text),
    ("MINISPOD_METRICS_LISTEN", "telemetry.metrics_listen", Kind::Text),
];

/// Lays the set variables over the file's values. An empty variable counts as unset.
pub(super) fn overlay(table: &mut Table) -> Result<(), ConfigError> {
    for (name, path, kind) in VARIABLES {
        if let Some(text) = variable(name) {
            let value = parse(name, kind, &text)?;
            set(table, path, value);
        }
    }
    if let Some(port) = variable("PORT") {
        let port: u16 =
            port.parse().map_err(|_| ConfigError::Environment { name: "PORT", expected: "a port number" })?;
        set(table, "http.listen", Value::String(format!("0.0.0.0:{port}")));
    }
    if variable("KUBERNETES_ENABLED").as_deref() == Some("true") && variable("MINISPOD_CLUSTER").is_none() {
        set(table, "cluster.kind", Value::String("kubernetes".into()));
    }
    if let (Some(host), None) = (variable("SMTP_HOST"), variable("SMTP_URL")) {
        set(table, "smtp.url", Value::String(smtp_url(&host)));
    }
    Ok(())
}

/// `SMTP_HOST`, `SMTP_PORT`, `SMTP_SECURE`, `SMTP_USER`, `SMTP_PASS` as one URL.
fn smtp_url(host: &str) -> String {
    let secure = variable("SMTP_SECURE").as_deref() == Some("true");
    let port = variable("SMTP_PORT").unwrap_or_else(|| if secure { "465".into() } else { "587".into() });
    let scheme = if secure { "smtps" } else { "smtp" };
    let tls = if secure || port == "1025" || port == "25" { "" } else { "?tls=required" };
    match (variable("SMTP_USER"), variable("SMTP_PASS")) {
        (Some(user), Some(password)) => {
            format!("{scheme}://{}:{}@{host}:{port}{tls}", percent(&user), percent(&password))
        }
        _ => format!("{scheme}://{host}:{port}{tls}"),
    }
}

/// Percent-encodes everything but unreserved characters.
fn percent(text: &str) -> String {
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

#[expect(clippy::disallowed_methods, reason = "configuration is the one reader of the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn parse(name: &'static str, kind: &Kind, text: &str) -> Result<Value, ConfigError> {
    let wrong = |expected| ConfigError::Environment { name, expected };
    Ok(match kind {
        Kind::Text => Value::String(text.to_owned()),
        Kind::Integer => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
        Kind::Boolean => Value::Boolean(text.parse().map_err(|_| wrong("true or false"))?),
        Kind::List => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        ),
        Kind::Seconds => Value::Integer(seconds(text).ok_or_else(|| wrong("a duration such as 24h, 7d or 3600"))?),
    })
}

fn seconds(text: &str) -> Option<i64> {
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
    digits.parse::<i64>().ok().filter(|count| *count > 0)?.checked_mul(factor)
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
