//! Servers that one test owns alone, to stop, kill, freeze or put back to an older state.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use async_nats::Client;
use minispod_localservers::{Nats, NatsOptions, Places, Postgres, PostgresOptions, Watcher, silent};

use crate::{
    NatsUser, TEST_PASSWORD,
    nats::{connect, inbox_prefix},
    shared::{account_name, accounts_config, throw_away_nats, throw_away_postgres},
};

/// A Postgres of one's own, ended and removed with the test.
pub struct OwnPg {
    server: Postgres,
    watcher: Watcher,
}

impl OwnPg {
    /// An empty server. It survives `crash` of itself, though not of the machine.
    pub async fn start() -> Self {
        let (server, watcher) = throw_away_postgres().await;
        Self { server, watcher }
    }

    /// The superuser's address of `database`; `postgres` always exists.
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// The server itself.
    pub fn server(&self) -> &Postgres {
        &self.server
    }

    /// Stops it in good order.
    pub async fn stop(&self) {
        self.server.stop().await.expect("Postgres stops");
    }

    /// Ends it as a crash would.
    pub async fn kill(&self) {
        self.server.crash().await.expect("Postgres ends");
    }

    /// Starts it again on the same data and, when still free, the same port.
    pub async fn restart(&mut self) {
        // The old watcher must not remove the directory that the new server uses.
        let directory = self.server.directory().to_path_buf();
        let options = PostgresOptions::throw_away(&directory);
        self.server = Postgres::start(&options, &Places::from_env(), &silent).await.expect("Postgres starts again");
        let watcher = Watcher::over(self.server.pid(), &directory).expect("a watcher can be started");
        std::mem::replace(&mut self.watcher, watcher).dismiss();
    }
}

/// A NATS server of one's own with one account, ended and removed with the test.
pub struct OwnNats {
    server: Nats,
    watcher: Watcher,
}

impl OwnNats {
    /// A server with the committed users and permissions, passwords [`TEST_PASSWORD`].
    pub async fn start() -> Self {
        let (server, watcher) = throw_away_nats(accounts_config(1)).await;
        Self { server, watcher }
    }

    /// The server's address, without a user.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// A user by role, as in [`crate::TestNats::user`].
    pub fn user(&self, role: &str) -> NatsUser {
        let user = format!("{}-{role}", account_name(0));
        NatsUser { user, password: TEST_PASSWORD.to_owned(), inbox_prefix: inbox_prefix(role) }
    }

    /// A connection as that role.
    pub async fn connect(&self, role: &str) -> Client {
        connect(&self.server.url(), &self.user(role)).await
    }

    /// The server itself.
    pub fn server(&self) -> &Nats {
        &self.server
    }

    /// Stops it in good order.
    pub async fn stop(&self) {
        self.server.stop().await.expect("NATS stops");
    }

    /// Kills it without warning.
    pub async fn kill(&self) {
        self.server.crash().await.expect("NATS ends");
    }

    /// Starts it again on the same store and, when still free, the same port.
    pub async fn restart(&mut self) {
        let directory = self.server.directory().to_path_buf();
        let options = NatsOptions::new(&directory, accounts_config(1));
        self.server = Nats::start(&options, &Places::from_env(), &silent).await.expect("NATS starts again");
        let watcher = Watcher::over(self.server.pid(), &directory).expect("a watcher can be started");
        std::mem::replace(&mut self.watcher, watcher).dismiss();
    }

    /// Copies the stopped server's store aside; the copy goes with the server.
    pub fn copy_store(&self) -> PathBuf {
        assert!(!self.server.is_alive(), "stop the server before copying its store");
        let is_free = |number: &u32| !self.server.directory().join(format!("copy-{number}")).exists();
        let number = (0..1000).find(is_free).unwrap_or_default();
        let copy = self.server.directory().join(format!("copy-{number}"));
        copy_tree(&self.server.store(), &copy).expect("the store can be copied");
        copy
    }

    /// Puts an older copy in the place of the stopped server's store.
    pub fn put_back_store(&self, copy: &Path) {
        assert!(!self.server.is_alive(), "stop the server before replacing its store");
        self.lose_store();
        copy_tree(copy, &self.server.store()).expect("the store can be put back");
    }

    /// Removes the stopped server's store: every stream is gone.
    pub fn lose_store(&self) {
        assert!(!self.server.is_alive(), "stop the server before removing its store");
        fs::remove_dir_all(self.server.store()).expect("the store can be removed");
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
