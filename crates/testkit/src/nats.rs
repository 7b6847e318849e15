//! A NATS account for one test: production names inside it, nothing shared with other tests.

use std::{
    collections::HashMap,
    env,
    fs::{self, File},
    sync::Mutex,
    time::Duration,
};

use async_nats::{Client, ConnectOptions, jetstream};
use futures::TryStreamExt;

use crate::{TEST_PASSWORD, eventually, shared};

/// A user of a test's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsUser {
    /// Login name, such as `t017-relay`.
    pub user: String,
    /// Login password.
    pub password: String,
    /// Where this user may hear answers, such as `_INBOX_relay`.
    pub inbox_prefix: String,
}

/// An account of the shared server, held alone and empty at first.
#[derive(Debug)]
pub struct TestNats {
    /// The server's address, without a user.
    pub url: String,
    /// The account's name, such as `t017`.
    pub account: String,
    // Held for its lock, which the system releases even when the process is killed.
    _lease: File,
}

impl TestNats {
    /// Leases an account, waiting if all are held, and removes what an earlier test left in it.
    pub async fn account() -> Self {
        let url = shared::nats_url().await;
        let leased = lease(&url).await;
        let (account, lease) = leased.expect("one of the test accounts becomes free within a minute");
        let test = Self { url, account, _lease: lease };
        test.remove_streams().await;
        test
    }

    /// A user by role: `admin`, `relay`, `api`, `projector`, `billing`, `provisioner`, `mailer` or `analyst`.
    pub fn user(&self, role: &str) -> NatsUser {
        NatsUser {
            user: format!("{}-{role}", self.account),
            password: TEST_PASSWORD.to_owned(),
            inbox_prefix: inbox_prefix(role),
        }
    }

    /// A connection as that role.
    pub async fn connect(&self, role: &str) -> Client {
        let user = self.user(role);
        connect(&self.url, &user).await
    }

    async fn remove_streams(&self) {
        let context = jetstream::new(self.connect("admin").await);
        let names: Vec<String> = context.stream_names().try_collect().await.expect("streams can be listed");
        for name in names {
            context.delete_stream(&name).await.expect("a left-over stream can be removed");
        }
    }
}

pub(crate) fn inbox_prefix(role: &str) -> String {
    format!("_INBOX_{role}")
}

pub(crate) async fn connect(url: &str, user: &NatsUser) -> Client {
    let options = ConnectOptions::with_user_and_password(user.user.clone(), user.password.clone())
        .custom_inbox_prefix(user.inbox_prefix.clone())
        .connection_timeout(Duration::from_secs(10));
    options.connect(url).await.expect("the message server accepts the test user")
}

async fn lease(url: &str) -> Option<(String, File)> {
    let port = url.rsplit(':').next().unwrap_or("0");
    let directory = env::temp_dir().join("minispod-test-leases").join(port);
    fs::create_dir_all(&directory).expect("the temporary directory can be written");
    let found = Mutex::new(HashMap::new());
    let took = eventually(Duration::from_mins(1), || async {
        for account in (0..shared::ACCOUNTS).map(shared::account_name) {
            let file = File::options().create(true).write(true).truncate(false).open(directory.join(&account));
            let file = file.expect("a lease file can be opened");
            if file.try_lock().is_ok() {
                found.lock().expect("nobody panicked here").insert(account, file);
                return true;
            }
        }
        false
    })
    .await;
    let held = found.into_inner().expect("nobody panicked here").into_iter().next();
    took.then_some(held).flatten()
}
