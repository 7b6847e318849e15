//! The server pair that all tests of a run share, and the NATS accounts made ready on it.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use minispod_localservers::{Nats, NatsOptions, Places, Postgres, PostgresOptions, Watcher, silent};
use tokio::sync::OnceCell;

use crate::{TEST_PASSWORD, require::variable};

/// How many accounts the shared NATS server has, so how many tests can hold one at the same time.
pub(crate) const ACCOUNTS: usize = 200;

/// The committed accounts and permissions; test accounts differ from them only in names and passwords.
const COMMITTED_ACCOUNTS: &str = include_str!("../../../nats/accounts.conf");

/// A throw-away server pair; ends when dropped or when its process ends.
pub struct Shared {
    /// The database server.
    pub postgres: Postgres,
    /// The message server with its pre-made accounts.
    pub nats: Nats,
    _watchers: [Watcher; 2],
}

impl Shared {
    /// Starts both; `cargo xtask test` does this once for the whole run.
    pub async fn start() -> Self {
        let (postgres, postgres_watcher) = throw_away_postgres().await;
        let (nats, nats_watcher) = throw_away_nats(accounts_config(ACCOUNTS)).await;
        Self { postgres, nats, _watchers: [postgres_watcher, nats_watcher] }
    }

    /// The value for `MINISPOD_TEST_PG`.
    pub fn postgres_url(&self) -> String {
        self.postgres.url("postgres")
    }
}

/// The superuser's address of the shared database server, database `postgres`.
pub(crate) async fn postgres_url() -> String {
    static OWN: OnceCell<(Postgres, Watcher)> = OnceCell::const_new();
    match variable("MINISPOD_TEST_PG") {
        Some(url) => url,
        None => OWN.get_or_init(throw_away_postgres).await.0.url("postgres"),
    }
}

/// The address of the shared message server.
pub(crate) async fn nats_url() -> String {
    static OWN: OnceCell<(Nats, Watcher)> = OnceCell::const_new();
    match variable("MINISPOD_TEST_NATS") {
        Some(url) => url,
        None => OWN.get_or_init(|| throw_away_nats(accounts_config(ACCOUNTS))).await.0.url(),
    }
}

pub(crate) async fn throw_away_postgres() -> (Postgres, Watcher) {
    let directory = fresh_directory("pg");
    let options = PostgresOptions::throw_away(&directory);
    let server = Postgres::start(&options, &Places::from_env(), &silent).await.expect("the test database starts");
    let watcher = Watcher::over(server.pid(), &directory).expect("a watcher can be started");
    (server, watcher)
}

pub(crate) async fn throw_away_nats(config: String) -> (Nats, Watcher) {
    let directory = fresh_directory("nats");
    let options = NatsOptions::new(&directory, config);
    let server = Nats::start(&options, &Places::from_env(), &silent).await.expect("the test message server starts");
    let watcher = Watcher::over(server.pid(), &directory).expect("a watcher can be started");
    (server, watcher)
}

/// An empty directory below the system's temporary one, where the `postgres` user can reach it.
pub(crate) fn fresh_directory(kind: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let directory = env::temp_dir().join(format!("minispod-test-{kind}-{}-{number}", process::id()));
    // A process id comes round again, and an older run may have been killed together with its watcher.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("the temporary directory can be written");
    directory
}

/// The name of test account `number`, and the prefix of its users' names.
pub(crate) fn account_name(number: usize) -> String {
    format!("t{number:03}")
}

/// A server configuration with `count` accounts `t000`, `t001` …, each with the users and permissions of
/// `nats/accounts.conf`, named `t000-admin`, `t000-relay` …, all with [`TEST_PASSWORD`]; and a system user `sys`.
pub fn accounts_config(count: usize) -> String {
    let body = body_of_account(COMMITTED_ACCOUNTS);
    let mut config = format!(
        "max_payload: 1MB\nsystem_account: SYS\naccounts {{\nSYS {{ users: [{{ user: \"sys\", password: \"{TEST_PASSWORD}\" }}] }}\n"
    );
    for account in (0..count).map(account_name) {
        let _ = writeln!(config, "{account} {{");
        for line in body.lines() {
            let _ = writeln!(config, "{}", renamed(line, &account));
        }
        config.push_str("}\n");
    }
    config.push_str("}\n");
    config
}

/// What stands between the braces of the `MINISPOD` account.
fn body_of_account(config: &str) -> &str {
    let start = config.find("MINISPOD {").expect("nats/accounts.conf has the account MINISPOD") + "MINISPOD {".len();
    let mut depth = 1;
    for (at, character) in config[start..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &config[start..start + at];
        }
    }
    panic!("the account MINISPOD in nats/accounts.conf is not closed")
}

fn renamed(line: &str, account: &str) -> String {
    let trimmed = line.trim_start();
    if let Some(name) = trimmed.strip_prefix("user: \"") {
        format!("user: \"{account}-{name}")
    } else if trimmed.starts_with("password:") {
        format!("password: \"{TEST_PASSWORD}\"")
    } else if trimmed.starts_with('#') {
        String::new()
    } else {
        trimmed.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_account_has_the_committed_users_under_its_own_names() {
        let config = accounts_config(2);
        assert!(config.contains("user: \"t000-admin\"") && config.contains("user: \"t001-relay\""));
        assert!(!config.contains('$') || !config.contains("_PASSWORD"), "no variable is left");
        assert_eq!(config.matches('{').count(), config.matches('}').count());
    }
}
