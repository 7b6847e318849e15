//! A Postgres cluster of one's own: made on first start, kept, started and stopped.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Progress,
    failure::ServerError,
    ownership::{ServerUser, command_as, mark_owner, private_directory, write_private},
    places::{Places, PostgresPrograms},
    process,
};

const INITDB_DEADLINE: Duration = Duration::from_mins(2);
const READY_DEADLINE: Duration = Duration::from_mins(1);
const QUERY_DEADLINE: Duration = Duration::from_secs(30);
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// How clients prove who they are.
#[derive(Clone)]
pub enum Login {
    /// Anybody on this machine may connect: throw-away test data only.
    Trust,
    /// SCRAM with this password.
    Password(String),
}

/// What kind of server is wanted.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Holds `data/`, `postgres.log` and `port`.
    pub directory: PathBuf,
    /// Fixed when the cluster is made.
    pub login: Login,
    /// The superuser's name, fixed when the cluster is made.
    pub user: String,
    /// False only for throw-away data: a crash of the machine then loses everything.
    pub durable: bool,
    /// This port if it is free; else the port of the last start; else any.
    pub port: Option<u16>,
    /// Limit of open connections.
    pub max_connections: u32,
}

impl PostgresOptions {
    /// A durable server with a password.
    pub fn durable(directory: impl Into<PathBuf>, user: &str, password: &str) -> Self {
        Self {
            directory: directory.into(),
            login: Login::Password(password.to_owned()),
            user: user.to_owned(),
            durable: true,
            port: None,
            max_connections: 200,
        }
    }

    /// A fast server for data that is thrown away: no fsync, no password.
    pub fn throw_away(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            login: Login::Trust,
            user: "postgres".to_owned(),
            durable: false,
            port: None,
            max_connections: 400,
        }
    }
}

/// A running Postgres.
#[derive(Debug, Clone)]
pub struct Postgres {
    directory: PathBuf,
    bin: PathBuf,
    pid: i32,
    port: u16,
    user: String,
    password: Option<String>,
}

impl Postgres {
    /// Makes the cluster if there is none, starts it, and waits until it answers. A server already running there is
    /// taken over as it is.
    pub async fn start(
        options: &PostgresOptions,
        places: &Places,
        progress: Progress<'_>,
    ) -> Result<Self, ServerError> {
        let programs = places.postgres()?;
        fs::create_dir_all(&options.directory).map_err(ServerError::files("create", &options.directory))?;
        let directory = fs::canonicalize(&options.directory).map_err(ServerError::files("find", &options.directory))?;
        let options = &PostgresOptions { directory, ..options.clone() };
        let user = ServerUser::needed()?;
        let data = private_directory(&options.directory, user)?;
        if let Some((pid, port)) = running_in(&data) {
            progress(&format!("PostgreSQL {} already runs on port {port}", programs.major));
            return Ok(Self::over(options, &programs, pid, port));
        }
        if !data.join("PG_VERSION").is_file() {
            progress("making a PostgreSQL cluster");
            initialise(options, &programs, &data, user).await?;
        }
        mark_owner(&data, &options.directory, user)?;
        // Only a stale file can be left here; Postgres would refuse to start if its process id were in use again.
        let _ = fs::remove_file(data.join("postmaster.pid"));
        let remembered = options.directory.join("port");
        let port = process::port_near(options.port.or_else(|| process::read_number(&remembered)))?;
        let log = options.directory.join("postgres.log");
        let pid = process::start_apart(server_command(options, &programs, &data, user, port), &log)?;
        let server = Self::over(options, &programs, pid, port);
        server.wait_until_ready(&log).await?;
        fs::write(&remembered, port.to_string()).map_err(ServerError::files("write", &remembered))?;
        progress(&format!("PostgreSQL {} answers on port {port}", programs.major));
        Ok(server)
    }

    /// The process id and port of the server that runs in `directory`, if one does.
    pub fn running(directory: &Path) -> Option<(i32, u16)> {
        running_in(&fs::canonicalize(directory.join("data")).ok()?)
    }

    /// Stops the server that runs in `directory`, whoever started it. True if there was one.
    pub async fn stop_in(directory: &Path) -> Result<bool, ServerError> {
        let Some((pid, _)) = Self::running(directory) else { return Ok(false) };
        stop(pid, Signal::INT, &directory.join("postgres.log")).await.map(|()| true)
    }

    fn over(options: &PostgresOptions, programs: &PostgresPrograms, pid: i32, port: u16) -> Self {
        let password = match &options.login {
            Login::Trust => None,
            Login::Password(password) => Some(password.clone()),
        };
        let (directory, bin, user) = (options.directory.clone(), programs.bin.clone(), options.user.clone());
        Self { directory, bin, pid, port, user, password }
    }

    /// The address of `database` for the superuser; it holds the password, so never print it.
    pub fn url(&self, database: &str) -> String {
        let user = &self.user;
        let password = self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{user}{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The state directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the server programs are (`pg_dump`, `psql` …).
    pub fn programs(&self) -> &Path {
        &self.bin
    }

    /// Whether the server's process lives.
    pub fn is_alive(&self) -> bool {
        process::is_alive(self.pid)
    }

    /// Creates `database` unless it exists. The name must be a plain lower-case word.
    pub async fn ensure_database(&self, database: &str) -> Result<(), ServerError> {
        let exists = format!("SELECT 1 FROM pg_database WHERE datname = '{database}'");
        if self.query(&exists).await?.trim().is_empty() {
            self.query(&format!("CREATE DATABASE \"{database}\"")).await?;
        }
        Ok(())
    }

    /// Stops at once without losing a commit (fast shutdown), by force if it takes too long.
    pub async fn stop(&self) -> Result<(), ServerError> {
        stop(self.pid, Signal::INT, &self.directory.join("postgres.log")).await
    }

    /// Ends every server process without warning, as a crash would; the next start recovers.
    pub async fn crash(&self) -> Result<(), ServerError> {
        stop(self.pid, Signal::QUIT, &self.directory.join("postgres.log")).await
    }

    async fn query(&self, sql: &str) -> Result<String, ServerError> {
        let mut command = Command::new(self.bin.join("psql"));
        let port = self.port.to_string();
        command.args(["-X", "-A", "-t", "-h", "127.0.0.1", "-p", &port, "-U", &self.user, "-d", "postgres", "-c", sql]);
        command.env("PGPASSWORD", self.password.as_deref().unwrap_or_default()).current_dir("/");
        command.env("PGCONNECT_TIMEOUT", "5");
        run_to_end("psql", command, QUERY_DEADLINE, &self.directory).await
    }

    async fn wait_until_ready(&self, log: &Path) -> Result<(), ServerError> {
        let started = Instant::now();
        loop {
            // The server itself writes "ready" into its pid file, so no client library is needed here.
            let state = fs::canonicalize(self.directory.join("data")).ok().and_then(|data| pid_file(&data));
            if state.is_some_and(|found| found.pid == self.pid && found.is_ready) {
                return Ok(());
            }
            if !self.is_alive() {
                return Err(ServerError::Ended { program: "postgres", log: log.into(), tail: process::tail(log) });
            }
            if started.elapsed() > READY_DEADLINE {
                let _ = self.stop().await;
                let (action, deadline) = ("answer", READY_DEADLINE);
                return Err(ServerError::TooSlow { program: "postgres", action, deadline, log: log.into() });
            }
            tokio::time::sleep(process::POLL).await;
        }
    }
}

async fn initialise(
    options: &PostgresOptions,
    programs: &PostgresPrograms,
    data: &Path,
    user: Option<ServerUser>,
) -> Result<(), ServerError> {
    let mut command = command_as(user, &programs.bin.join("initdb"));
    command.arg("-D").arg(data).args(["-U", &options.user, "-E", "UTF8", "--locale=C.UTF-8"]);
    if !options.durable {
        command.arg("--no-sync");
    }
    match &options.login {
        Login::Trust => {
            command.args(["--auth=trust"]);
        }
        Login::Password(password) => {
            // initdb reads the password from a file only. It lies where the server user can reach it, and briefly.
            let file = env::temp_dir().join(format!("minispod-initdb-{}", std::process::id()));
            write_private(&file, password, user)?;
            command.arg("--auth=scram-sha-256").arg(format!("--pwfile={}", file.display()));
            let made = run_to_end("initdb", command, INITDB_DEADLINE, &options.directory).await;
            let _ = fs::remove_file(&file);
            return made.map(|_| ());
        }
    }
    run_to_end("initdb", command, INITDB_DEADLINE, &options.directory).await.map(|_| ())
}

fn server_command(
    options: &PostgresOptions,
    programs: &PostgresPrograms,
    data: &Path,
    user: Option<ServerUser>,
    port: u16,
) -> Command {
    let mut command = command_as(user, &programs.bin.join("postgres"));
    command.arg("-D").arg(data);
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        format!("max_connections={}", options.max_connections),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "log_line_prefix=%m [%p] ".to_owned(),
    ];
    if !options.durable {
        // Commits still reach the kernel, so they outlive a crash of the server, which tests cause on purpose.
        settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
    }
    for setting in settings {
        command.args(["-c", &setting]);
    }
    command
}

struct PidFile {
    pid: i32,
    port: u16,
    is_ready: bool,
}

/// `postmaster.pid`: process id, data directory, start time, port, socket directory, address, shared memory, state.
fn pid_file(data: &Path) -> Option<PidFile> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let (pid, port) = (lines.first()?.parse().ok()?, lines.get(3)?.parse().ok()?);
    Some(PidFile { pid, port, is_ready: lines.get(7).is_some_and(|state| *state == "ready") })
}

fn running_in(data: &Path) -> Option<(i32, u16)> {
    let found = pid_file(data)?;
    process::is_ours(found.pid, &data.to_string_lossy()).then_some((found.pid, found.port))
}

async fn stop(pid: i32, signal: Signal, log: &Path) -> Result<(), ServerError> {
    if process::stop(pid, signal, STOP_PATIENCE).await {
        return Ok(());
    }
    Err(ServerError::TooSlow { program: "postgres", action: "stop", deadline: STOP_PATIENCE, log: log.into() })
}

async fn run_to_end(
    program: &'static str,
    command: Command,
    deadline: Duration,
    directory: &Path,
) -> Result<String, ServerError> {
    let path = command.get_program().into();
    let mut command = tokio::process::Command::from(command);
    let running = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(deadline, running).await.map_err(|_| too_slow(program, deadline, directory))?;
    let output = output.map_err(|source| ServerError::Spawn { program: path, source })?;
    finished(program, &output)
}

fn too_slow(program: &'static str, deadline: Duration, directory: &Path) -> ServerError {
    ServerError::TooSlow { program, action: "finish", deadline, log: directory.into() }
}

fn finished(program: &'static str, output: &std::process::Output) -> Result<String, ServerError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    Err(ServerError::Command { program, output: lines[lines.len().saturating_sub(5)..].join("; ") })
}
