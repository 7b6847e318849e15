//! A NATS server with JetStream of one's own: started with a given configuration text, watched and stopped.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};

use crate::{Progress, failure::ServerError, places::Places, process};

const READY_DEADLINE: Duration = Duration::from_mins(1);
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// What kind of server is wanted.
#[derive(Clone)]
pub struct NatsOptions {
    /// Holds `nats.conf`, `store/`, `nats.log`, `port` and `nats.pid`.
    pub directory: PathBuf,
    /// The server's configuration: accounts, users, limits. Address, port, store and monitoring are set here instead.
    pub config: String,
    /// Variables that the configuration refers to as `$NAME`, such as passwords; they never reach the disk.
    pub environment: Vec<(String, String)>,
    /// This port if it is free; else the port of the last start; else any.
    pub port: Option<u16>,
}

impl NatsOptions {
    /// A server with this configuration and no variables.
    pub fn new(directory: impl Into<PathBuf>, config: impl Into<String>) -> Self {
        Self { directory: directory.into(), config: config.into(), environment: Vec::new(), port: None }
    }
}

/// A running NATS server.
#[derive(Debug, Clone)]
pub struct Nats {
    directory: PathBuf,
    pid: i32,
    port: u16,
    monitor_port: u16,
}

impl Nats {
    /// Starts the server and waits until it greets a client with JetStream enabled. A server already running there is
    /// taken over as it is.
    pub async fn start(options: &NatsOptions, places: &Places, progress: Progress<'_>) -> Result<Self, ServerError> {
        let program = places.nats_server()?;
        let directory = &options.directory;
        fs::create_dir_all(directory).map_err(ServerError::files("create", directory))?;
        let directory = fs::canonicalize(directory).map_err(ServerError::files("find", directory))?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))
            .map_err(ServerError::files("protect", &directory))?;
        if let Some((pid, port)) = Self::running(&directory) {
            progress(&format!("NATS already runs on port {port}"));
            let monitor_port = process::read_number(&directory.join("monitor-port")).unwrap_or_default();
            return Ok(Self { directory, pid, port, monitor_port });
        }
        let config = directory.join("nats.conf");
        fs::write(&config, &options.config).map_err(ServerError::files("write", &config))?;
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600))
            .map_err(ServerError::files("protect", &config))?;
        let port = process::port_near(options.port.or_else(|| process::read_number(&directory.join("port"))))?;
        let monitor_port = process::port_near(process::read_number(&directory.join("monitor-port")))?;
        let mut command = Command::new(&program);
        command.arg("-c").arg(&config).args(["-a", "127.0.0.1", "-p", &port.to_string()]);
        command.args(["-m", &monitor_port.to_string(), "-js", "-sd"]).arg(directory.join("store"));
        command.current_dir("/").envs(options.environment.iter().map(|(name, value)| (name, value)));
        let log = directory.join("nats.log");
        let pid = process::start_apart(command, &log)?;
        let server = Self { directory, pid, port, monitor_port };
        // First, so that a later process finds it even when this one ends while it waits.
        server.remember()?;
        server.wait_until_ready(&log).await?;
        progress(&format!("NATS with JetStream answers on port {port}"));
        Ok(server)
    }

    /// The process id and port of the server that runs in `directory`, if one does.
    pub fn running(directory: &Path) -> Option<(i32, u16)> {
        let directory = fs::canonicalize(directory).ok()?;
        let pid = process::read_number(&directory.join("nats.pid"))?;
        let port = process::read_number(&directory.join("port"))?;
        process::is_ours(pid, &directory.to_string_lossy()).then_some((pid, port))
    }

    /// Stops the server that runs in `directory`, whoever started it. True if there was one.
    pub async fn stop_in(directory: &Path) -> Result<bool, ServerError> {
        let Some((pid, _)) = Self::running(directory) else { return Ok(false) };
        stop(pid, &directory.join("nats.log")).await.map(|()| true)
    }

    /// `nats://127.0.0.1:<port>`, without a user.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The loopback port for clients.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The loopback port for `/varz`, `/jsz` and `/healthz`.
    pub fn monitor_port(&self) -> u16 {
        self.monitor_port
    }

    /// The server's process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The state directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where JetStream keeps its files; copy it only while the server is stopped.
    pub fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    /// Whether the server's process lives.
    pub fn is_alive(&self) -> bool {
        process::is_alive(self.pid)
    }

    /// Stops without losing an acknowledged message, by force if it takes too long.
    pub async fn stop(&self) -> Result<(), ServerError> {
        stop(self.pid, &self.directory.join("nats.log")).await
    }

    /// Kills the server without warning, as a crash would.
    pub async fn crash(&self) -> Result<(), ServerError> {
        process::send(self.pid, Signal::KILL);
        stop(self.pid, &self.directory.join("nats.log")).await
    }

    /// Freezes the server's process; it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        process::send(self.pid, Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        process::send(self.pid, Signal::CONT);
    }

    fn remember(&self) -> Result<(), ServerError> {
        let numbers = [
            ("nats.pid", self.pid.to_string()),
            ("port", self.port.to_string()),
            ("monitor-port", self.monitor_port.to_string()),
        ];
        for (name, number) in numbers {
            let path = self.directory.join(name);
            fs::write(&path, number).map_err(ServerError::files("write", &path))?;
        }
        Ok(())
    }

    async fn wait_until_ready(&self, log: &Path) -> Result<(), ServerError> {
        let started = Instant::now();
        while !greets_with_jetstream(self.port).await {
            if !self.is_alive() {
                return Err(ServerError::Ended { program: "nats-server", log: log.into(), tail: process::tail(log) });
            }
            if started.elapsed() > READY_DEADLINE {
                let _ = self.stop().await;
                let (action, deadline) = ("answer", READY_DEADLINE);
                return Err(ServerError::TooSlow { program: "nats-server", action, deadline, log: log.into() });
            }
            tokio::time::sleep(process::POLL).await;
        }
        Ok(())
    }
}

/// The server opens its client port only after JetStream has recovered its files.
async fn greets_with_jetstream(port: u16) -> bool {
    let greeting = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.ok()?;
        Some(line.starts_with("INFO ") && line.contains("\"jetstream\":true"))
    };
    tokio::time::timeout(Duration::from_secs(2), greeting).await.ok().flatten().unwrap_or(false)
}

async fn stop(pid: i32, log: &Path) -> Result<(), ServerError> {
    if process::stop(pid, Signal::TERM, STOP_PATIENCE).await {
        return Ok(());
    }
    Err(ServerError::TooSlow { program: "nats-server", action: "stop", deadline: STOP_PATIENCE, log: log.into() })
}
