//! What a usable configuration is: nothing missing, nothing out of bounds, nothing unsafe in production.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
};

use minispod_kernel::Language;
use minispod_provisioner::{RestingPage, names, options::BOUNDS, quantity::Quantity};

use super::{ClusterKind, Config, ConfigError, Mode, STANDIN_SERVER_KEY, TlsMode};

/// Shortest secret that is accepted, in characters.
const SECRET_MIN: usize = 32;
/// Shortest password of a NATS user in production, in characters.
const PASSWORD_MIN: usize = 16;
/// Where clouds answer with credentials of the machine; no customer's program may ever reach it.
const CLOUD_METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
/// Mail between servers: an open door for spam.
const SMTP_PORT: u16 = 25;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const DAY: u64 = 24 * 3600;

/// Every number and its bounds.
fn bounds(config: &Config) -> [(&'static str, u64, RangeInclusive<u64>); 14] {
    [
        ("http.body_limit", config.http.body_limit as u64, KIB..=64 * MIB),
        ("http.rate_limit", config.http.rate_limit.into(), 0..=1_000_000),
        ("http.rate_window_ms", config.http.rate_window_ms, 1_000..=DAY * 1_000),
        ("http.sign_ins_per_minute", config.http.sign_ins_per_minute.into(), 0..=1_000_000),
        ("http.reads_per_minute", config.http.reads_per_minute.into(), 0..=1_000_000),
        ("http.writes_per_minute", config.http.writes_per_minute.into(), 0..=1_000_000),
        ("http.payments_per_minute", config.http.payments_per_minute.into(), 0..=10_000),
        ("http.failed_sign_ins_per_minute", config.http.failed_sign_ins_per_minute.into(), 0..=10_000),
        ("database.max_connections", config.database.max_connections.into(), 2..=1_000),
        ("database.state_every", config.database.state_every.into(), 1..=10_000),
        ("billing.approval_above", config.billing.approval_above, 0..=1_000_000_000),
        ("limits.access_token_seconds", config.limits.access_token_seconds, 60..=30 * DAY),
        ("limits.refresh_token_seconds", config.limits.refresh_token_seconds, 60..=365 * DAY),
        // Below the half minute that containers are given to end.
        ("limits.drain_seconds", config.limits.drain_seconds, 0..=25),
    ]
}

/// What is wrong, one line each.
#[derive(Default)]
struct Problems(String);

impl Problems {
    fn add(&mut self, text: &str) {
        let _ = writeln!(self.0, "  - {text}");
    }

    fn when(&mut self, wrong: bool, text: &str) {
        if wrong {
            self.add(text);
        }
    }
}

impl Config {
    /// Everything that any role needs is there and safe; every problem is named.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_for(&["api", "relay", "projector", "provisioner", "billing", "mailer"])
    }

    /// What these roles need is there and safe. A role is not asked for another's secrets, so it need not be given them.
    pub fn check_for(&self, roles: &[&str]) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        let wanted = |names: &[&str]| roles.iter().any(|role| names.contains(role));
        if let Err(reason) = self.invoice.tax_schedule() {
            problems.add(&format!("invoice.tax: {reason}"));
        }
        problems.when(self.database.url.is_empty(), "database.url (DATABASE_URL) is missing");
        problems.when(self.nats.url.is_empty(), "nats.url (NATS_URL) is missing");
        // The relay moves what is sealed and opens nothing.
        problems.when(
            roles != ["relay"] && self.secrets.master_key_bytes().is_none(),
            "secrets.master_key (MINISPOD_MASTER_KEY) must be 32 bytes in base64",
        );
        problems.when(
            wanted(&["api"]) && self.secrets.jwt_secret.len() < SECRET_MIN,
            "secrets.jwt_secret (JWT_SECRET) must have at least 32 characters",
        );
        problems.when(
            wanted(&["api", "billing"]) && self.midtrans.server_key.is_empty(),
            "midtrans.server_key (MIDTRANS_SERVER_KEY) is missing: notifications could be forged",
        );
        problems.when(
            !self.midtrans.standin_url.is_empty() && self.midtrans.server_key != STANDIN_SERVER_KEY,
            "midtrans.standin_url is set beside a real server key, which the stand-in must not see",
        );
        problems.when(
            self.google.enabled && self.google.client_id.trim().is_empty(),
            "google.client_id (GOOGLE_CLIENT_ID) is missing: any application's tokens would be taken",
        );
        problems.when(self.language().is_none(), "smtp.language must be id or en");
        for (key, value, allowed) in bounds(self) {
            if !allowed.contains(&value) {
                problems.add(&format!("{key} is {value}; it must be {} to {}", allowed.start(), allowed.end()));
            }
        }
        self.check_cluster(&mut problems);
        if self.mode == Mode::Production {
            self.check_production(roles, &mut problems);
        }
        if problems.0.is_empty() { Ok(()) } else { Err(ConfigError::Problems(problems.0)) }
    }

    /// The language of mails and documents.
    pub fn language(&self) -> Option<Language> {
        self.smtp.language.parse().ok()
    }

    fn check_cluster(&self, problems: &mut Problems) {
        let cluster = &self.cluster;
        problems.when(
            cluster.tls_mode == TlsMode::Issuer && cluster.tls_issuer.is_empty(),
            "cluster.tls_issuer (K8S_TLS_ISSUER) is missing; without certificates say tls_mode = \"none\" (K8S_TLS_MODE)",
        );
        problems.when(
            !cluster.private_ranges.iter().any(|range| range.contains(CLOUD_METADATA)),
            "cluster.private_ranges must hold 169.254.0.0/16: there a cloud gives its credentials to whoever asks",
        );
        problems.when(
            cluster.private_ranges.iter().any(|range| range.to_string().ends_with("/0")),
            "cluster.private_ranges shuts the whole Internet out; narrow cluster.egress_ports instead",
        );
        problems.when(
            cluster.egress_ports.iter().any(|port| [0, SMTP_PORT].contains(port)),
            "cluster.egress_ports may not hold 0 or 25 (mail between servers)",
        );
        if let Some(Err(fault)) =
            (!cluster.resting_page.is_empty()).then(|| cluster.resting_page.parse::<RestingPage>())
        {
            problems.add(&format!("cluster.resting_page (MINISPOD_RESTING_PAGE): {fault}"));
        }
        for (name, amount) in &cluster.quota {
            if Quantity::parse(amount).is_err() {
                problems.add(&format!("cluster.quota: {name} = {amount:?} is not a quantity such as 20 or 64Gi"));
            }
        }
        for (name, amount) in &cluster.bounds {
            match BOUNDS.iter().find(|bound| bound.name == name) {
                None => {
                    let names = BOUNDS.map(|bound| bound.name).join(", ");
                    problems.add(&format!("cluster.bounds: {name} is none of {names}"));
                }
                Some(bound) if !bound.admits(amount) => {
                    let least = bound.least;
                    problems.add(&format!("cluster.bounds: {name} = {amount:?} is not a quantity of at least {least}"));
                }
                Some(_) => {}
            }
        }
        let class = &cluster.priority_class;
        let is_name = class.len() <= 253 && class.split('.').all(names::is_dns_label);
        problems.when(
            !class.is_empty() && (!is_name || class.starts_with("system-")),
            "cluster.priority_class (MINISPOD_PRIORITY_CLASS) must name a PriorityClass, and none of the cluster's own (system-)",
        );
    }

    fn check_production(&self, roles: &[&str], problems: &mut Problems) {
        let wanted = |names: &[&str]| roles.iter().any(|role| names.contains(role));
        let is_standin = self.midtrans.server_key == STANDIN_SERVER_KEY || !self.midtrans.standin_url.is_empty();
        problems.when(is_standin, "the Midtrans stand-in is not allowed in production");
        problems.when(
            wanted(&["api", "billing"]) && !is_standin && self.midtrans.is_sandbox() && !self.midtrans.allow_sandbox,
            "midtrans points at the sandbox, where nobody pays: set midtrans.is_production (MIDTRANS_IS_PRODUCTION) and a \
             production key, or say with midtrans.allow_sandbox (MIDTRANS_ALLOW_SANDBOX) that it is meant",
        );
        problems.when(
            self.cluster.kind == ClusterKind::Simulated,
            "the simulated cluster is not allowed in production (cluster.kind = \"kubernetes\")",
        );
        problems.when(
            wanted(&["mailer"]) && self.smtp.url.is_empty(),
            "smtp.url (SMTP_URL, or SMTP_HOST and friends) is missing",
        );
        problems.when(
            wanted(&["api", "billing", "mailer"]) && self.frontend_url.is_empty(),
            "frontend_url (FRONTEND_URL) is missing",
        );
        for role in roles {
            if self.nats.passwords.of(role).len() < PASSWORD_MIN {
                problems.add(&format!("nats.passwords.{role} needs at least {PASSWORD_MIN} characters"));
            }
        }
    }
}
