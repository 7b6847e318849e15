//! One installation for one story: Postgres, NATS, stand-ins, configuration, roles.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use minispod_standins::{midtrans, smtp};
use minispod_testkit::kubernetes::STORAGE_CLASS;
use minispod_testkit::{OwnNats, OwnPg, TEST_PASSWORD, eventually, free_port, wait_for_http};
use minispod_testkit::{SystemClock, SystemIds};

use crate::{Door, Role, process};

/// The stand-in gateway's key; notifications of the samples are signed with it.
pub const SERVER_KEY: &str = "SB-Mid-server-TEST";
/// The secret of the access tokens.
pub const JWT_SECRET: &str = "a-secret-for-stories-of-at-least-32-characters";
const READY: Duration = Duration::from_mins(1);
/// Every role, each a process of its own.
const ROLES: [&str; 6] = ["relay", "projector", "billing", "provisioner", "mailer", "api"];
/// Every role; the api shares its process, and with it the simulated cluster, with the provisioner.
const ROLES_WITH_LIVE_VIEWS: [&str; 5] = ["relay", "projector", "billing", "mailer", "run provisioner api"];
/// Mails that the sink keeps: more than any story sends.
const MAILS_MAX: usize = 100_000;
const MAIL_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// What a story wants other than the usual.
#[derive(Debug, Clone, Default)]
pub struct WorldOptions {
    /// A real cluster's kubeconfig; else simulated.
    pub kubeconfig: Option<PathBuf>,
    /// Who is asked for the records that prove hosts; none: the machine's name servers.
    pub name_servers: Vec<SocketAddr>,
    /// The Service of the page for visitors of what rests.
    pub resting_page: Option<String>,
    /// Roles to start; empty: all. Several in one word, `run provisioner api`, are one process.
    pub roles: Vec<&'static str>,
    /// Events of one aggregate between two saved states of it; the usual when `None`.
    pub state_every: Option<u32>,
}

/// A running installation. Everything ends with it.
pub struct World {
    pub pg: OwnPg,
    pub nats: OwnNats,
    pub midtrans: midtrans::MidtransStandIn,
    pub mail: smtp::SmtpSink,
    pub roles: BTreeMap<String, Role>,
    directory: PathBuf,
    config: PathBuf,
    options: WorldOptions,
    port: u16,
}

impl WorldOptions {
    /// Every role, and an api that can look into the simulated cluster.
    pub fn with_live_views() -> Self {
        Self { roles: ROLES_WITH_LIVE_VIEWS.to_vec(), ..Self::default() }
    }
}

impl World {
    /// Servers, schema, streams, catalogue, roles; returns when the api is ready.
    pub async fn start(options: WorldOptions) -> Self {
        let (pg, nats) = (OwnPg::start().await, OwnNats::start().await);
        let port = free_port();
        let directory = std::env::temp_dir().join(format!("minispod-story-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory can be made");
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds::new(Arc::new(SystemClock))));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut options_of_gateway = midtrans::MidtransOptions::new(SERVER_KEY, clock.clone(), ids.clone());
        options_of_gateway.notification_url = Some(format!("http://127.0.0.1:{port}/api/v1/billing/webhooks/midtrans"));
        let midtrans = midtrans::start(any, options_of_gateway).expect("the gateway's stand-in starts");
        let mut options_of_mail = smtp::SmtpOptions::new(clock, ids);
        (options_of_mail.keep, options_of_mail.keep_bytes) = (MAILS_MAX, MAIL_BYTES_MAX);
        let mail = smtp::start(any, any, options_of_mail).await.expect("the mail sink starts");
        let config = directory.join("minispod.toml");
        let mut world = Self {
            pg,
            nats,
            midtrans,
            mail,
            roles: BTreeMap::new(),
            directory,
            config,
            options: options.clone(),
            port,
        };
        world.write_config();
        for subcommand in [vec!["migrate"], vec!["nats", "apply"], vec!["seed"]] {
            world.must(&subcommand);
        }
        let wanted = if options.roles.is_empty() { ROLES.to_vec() } else { options.roles.clone() };
        for role in &wanted {
            world.start_role(role, role);
        }
        if wanted.iter().any(|role| role.ends_with("api")) {
            world.wait_ready().await;
        }
        world
    }

    fn write_config(&self) {
        let nats = self.nats.user("relay");
        let prefix = nats.user.strip_suffix("relay").unwrap_or_default();
        let passwords: String = ["admin", "relay", "api", "projector", "billing", "provisioner", "mailer", "analyst"]
            .map(|role| format!("{role} = \"{TEST_PASSWORD}\"\n"))
            .concat();
        let cluster = self.options.kubeconfig.as_ref().map_or_else(
            || "kind = \"simulated\"".to_owned(),
            |file| {
                format!(
                    "kind = \"kubernetes\"\nkubeconfig = \"{}\"\nstorage_class = \"{STORAGE_CLASS}\"",
                    file.display()
                )
            },
        );
        let resting_page = self.options.resting_page.as_deref().unwrap_or_default();
        let name_servers: Vec<_> = self.options.name_servers.iter().map(ToString::to_string).collect();
        let state_every = self.options.state_every.map(|every| format!("state_every = {every}\n")).unwrap_or_default();
        let text = format!(
            "frontend_url = \"http://localhost:3100\"\n\
             [http]\nlisten = \"127.0.0.1:{port}\"\nrate_per_minute = 0\npayments_per_minute = 0\n\
             [database]\nurl = \"{database}\"\n{state_every}\
             [nats]\nurl = \"{nats}\"\nuser_prefix = \"{prefix}\"\n\
             [nats.passwords]\n{passwords}\
             [secrets]\nmaster_key = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"\n\
             jwt_secret = \"{JWT_SECRET}\"\n\
             [smtp]\nurl = \"{smtp}\"\n\
             [midtrans]\nserver_key = \"{SERVER_KEY}\"\nmerchant_id = \"G900000001\"\n\
             standin_url = \"{gateway}\"\n\
             [billing]\nproofs_directory = \"{proofs}\"\n\
             [cluster]\nname_servers = {name_servers:?}\nresting_page = {resting_page:?}\n{cluster}\n\
             [telemetry]\nfilter = \"info,sqlx=warn,async_nats=warn\"\n",
            port = self.port,
            database = self.pg.url("postgres"),
            nats = self.nats.url(),
            smtp = self.mail.smtp_url,
            gateway = self.midtrans.url,
            proofs = self.directory.join("proofs").display(),
        );
        std::fs::write(&self.config, text).expect("the configuration can be written");
    }

    /// Points the configuration at another Postgres; roles started from now on use it. The old one ends.
    pub fn move_to(&mut self, pg: OwnPg) {
        self.pg = pg;
        self.write_config();
    }

    /// Runs a subcommand with this world's configuration.
    pub fn run(&self, args: &[&str]) -> (bool, String) {
        let config = self.config.display().to_string();
        let mut all = args.to_vec();
        all.extend(["--config", &config]);
        process::run(&all, &self.directory)
    }

    /// Runs a subcommand that must succeed.
    #[track_caller]
    pub fn must(&self, args: &[&str]) -> String {
        let (ok, text) = self.run(args);
        assert!(ok, "minispod {} failed:\n{text}\n{}", args.join(" "), self.last_words());
        text
    }

    /// Starts a role under a label of its own.
    pub fn start_role(&mut self, role: &str, label: &str) {
        let started = Role::start(role, label, &self.config, &[]);
        self.roles.insert(label.to_owned(), started);
    }

    /// A role by label.
    #[track_caller]
    pub fn role(&mut self, label: &str) -> &mut Role {
        self.roles.get_mut(label).expect("a role of this label was started")
    }

    /// Waits until the api says it is ready.
    pub async fn wait_ready(&self) {
        wait_for_http(&format!("http://127.0.0.1:{}/health", self.port), READY).await;
        wait_for_http(&format!("http://127.0.0.1:{}/health/ready", self.port), READY).await;
    }

    /// The REST door.
    pub fn door(&self) -> Door {
        Door::new(&format!("http://127.0.0.1:{}", self.port))
    }

    /// The database, for looking.
    pub async fn sql(&self) -> sqlx::PgPool {
        sqlx::PgPool::connect(&self.pg.url("postgres")).await.expect("the database answers")
    }

    /// Waits until everything that follows from what was said is done: every event numbered and consumed, every
    /// effect but the gateway polls carried out. One snapshot decides: an effect's report is committed before the
    /// effect counts as done. What is still on its way from outside (a notification) the story waits for itself.
    pub async fn settle(&self, sql: &sqlx::PgPool, limit: Duration) {
        const SETTLED: &str =
            "SELECT (SELECT coalesce(max(ins_seq), 0) FROM log.events) = (SELECT ins_seq FROM log.cursor)
            AND NOT EXISTS (SELECT FROM ops.effects WHERE state IN ('intended', 'parked') AND kind <> 'gateway-poll')
            AND NOT EXISTS (SELECT FROM ops.checkpoints WHERE position < (SELECT position FROM log.cursor))";
        let done = eventually(limit, || async {
            let (settled,): (bool,) = sqlx::query_as(SETTLED).fetch_one(sql).await.unwrap_or((false,));
            settled
        });
        assert!(
            done.await,
            "the system did not settle within {limit:?}\n{}\n{}",
            unsettled(sql).await,
            self.last_words()
        );
    }

    /// The message ids of all mails in the sink, without their brackets.
    pub async fn mailed(&self) -> BTreeSet<String> {
        const PAGE: usize = 1_000;
        let (mut ids, mut start) = (BTreeSet::new(), 0);
        loop {
            let url = format!("{}/api/v1/messages?start={start}&limit={PAGE}", self.mail.api_url);
            let answer = reqwest::get(url).await.expect("the mail sink answers");
            let page: serde_json::Value = answer.json().await.expect("the mail sink answers in JSON");
            let messages = page["messages"].as_array().cloned().unwrap_or_default();
            ids.extend(messages.iter().filter_map(|one| Some(one["MessageID"].as_str()?.to_owned())));
            if messages.len() < PAGE {
                return ids;
            }
            start += PAGE;
        }
    }

    /// Where this world's files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The last lines of every role's log.
    pub fn last_words(&self) -> String {
        self.roles.values().map(Role::last_words).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.last_words());
        }
        self.roles.clear();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What is still open, for a story that fails.
async fn unsettled(sql: &sqlx::PgPool) -> String {
    let effects: Vec<(String, String, String, i32, Option<String>)> = sqlx::query_as(
        "SELECT reactor, lane, kind || ' ' || state, attempts, last_error FROM ops.effects
         WHERE state IN ('intended', 'parked') AND kind <> 'gateway-poll' ORDER BY ord LIMIT 10",
    )
    .fetch_all(sql)
    .await
    .unwrap_or_default();
    let places: Vec<(String, i64)> = sqlx::query_as(
        "SELECT name, position FROM ops.checkpoints UNION ALL SELECT 'numbered', position FROM log.cursor",
    )
    .fetch_all(sql)
    .await
    .unwrap_or_default();
    format!("open effects: {effects:?}\nplaces: {places:?}")
}
