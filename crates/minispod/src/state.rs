//! The state directory of one machine: servers' data, generated secrets, the running process, the administrator.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    config::{Config, ConfigError, SINK_MARK, STANDIN_SERVER_KEY},
    processes,
};

/// Where `up` keeps everything unless told otherwise.
pub const DEFAULT_DIRECTORY: &str = ".minispod";
/// Who runs here.
const RUNNING_FILE: &str = "running.json";
/// How it is set up.
const CONFIG_FILE: &str = "minispod.toml";
/// Mode of every file that we write here.
const PRIVATE: u32 = 0o600;
/// Mode of the directory.
const PRIVATE_DIRECTORY: u32 = 0o700;
/// Mode of the directory when we are root.
const PASSABLE_DIRECTORY: u32 = 0o711;

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("{path} cannot be {action}")]
    Io {
        path: String,
        action: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} does not hold what it should")]
    Json {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("{path} cannot be written as TOML")]
    Toml {
        path: String,
        #[source]
        source: toml::ser::Error,
    },
    #[error("there is no running system in {0}; start one with `minispod up --state {0}`")]
    Absent(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A state directory.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

/// The administrator that `up` made; kept so that people and scripts can sign in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Credentials {
    pub url: String,
    pub email: String,
    pub password: String,
}

/// What runs, or is starting.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Running {
    /// The `up` process.
    pub pid: u32,
    /// When that process began; another process of the same id is none of ours.
    pub process_start: String,
    /// Everything has started.
    pub ready: bool,
    /// How the demo that was asked for ended; `None` until then.
    pub demo: Option<DemoEnd>,
    pub url: String,
    pub nats_url: String,
    /// Named stand-ins and their control addresses.
    pub stand_ins: serde_json::Value,
    /// What is configured while they run; never kept, for their addresses end with them.
    pub stand_in_settings: StandInSettings,
    pub started_at: String,
}

/// How a demo ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DemoEnd {
    Passed,
    Failed(String),
}

/// Settings that hold only while stand-ins run; empty where the real part is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StandInSettings {
    /// Address of the gateway's stand-in.
    pub midtrans_url: String,
    /// Address of the mail sink.
    pub smtp_url: String,
}

impl StandInSettings {
    /// Points a configuration at the stand-ins.
    pub fn lay_over(&self, config: &mut Config) {
        if !self.midtrans_url.is_empty() {
            config.midtrans.server_key = STANDIN_SERVER_KEY.into();
            config.midtrans.standin_url.clone_from(&self.midtrans_url);
        }
        if !self.smtp_url.is_empty() {
            config.smtp.url = format!("{}{SINK_MARK}", self.smtp_url);
        }
    }
}

/// Held by the one process that may start and stop servers here; let go when that process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

impl StateDir {
    /// Names a directory; nothing is made.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self(fs::canonicalize(&path).or_else(|_| std::path::absolute(&path)).unwrap_or(path))
    }

    /// A place inside it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Its path, as messages show it.
    pub fn shown(&self) -> String {
        self.0.display().to_string()
    }

    /// Whether it was ever made.
    pub fn exists(&self) -> bool {
        self.0.is_dir()
    }

    /// Makes the directory, closed to others; its path has no link in it then.
    pub fn create(self) -> Result<Self, StateError> {
        fs::create_dir_all(&self.0).map_err(|source| io(&self.0, "made", source))?;
        let made = fs::canonicalize(&self.0).map_err(|source| io(&self.0, "found", source))?;
        // Postgres does not run as root; its own user must be able to pass through to its data, though not to look.
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let mode = if is_root { PASSABLE_DIRECTORY } else { PRIVATE_DIRECTORY };
        fs::set_permissions(&made, fs::Permissions::from_mode(mode))
            .map_err(|source| io(&made, "closed to others", source))?;
        Ok(Self(made))
    }

    /// A new file that only its owner can read, in place of any other.
    pub fn create_file(&self, name: &str) -> Result<fs::File, StateError> {
        self.remove(name);
        let path = self.join(name);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(PRIVATE);
        options.open(&path).map_err(|source| io(&path, "made", source))
    }

    /// The lock of this directory, if nobody holds it.
    pub fn try_lock(&self) -> Result<Option<Lock>, StateError> {
        let path = self.join("lock");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(PRIVATE);
        let file = options.open(&path).map_err(|source| io(&path, "opened", source))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(io(&path, "locked", source)),
        }
    }

    /// Where the configuration is kept, when `up` has set up a system here.
    pub fn config_file(&self) -> Option<PathBuf> {
        Some(self.join(CONFIG_FILE)).filter(|path| path.exists())
    }

    /// Configuration of the system that `up` set up here, with the stand-ins that it runs now. The environment has no
    /// say: it may speak of another system.
    pub fn load_config(&self) -> Result<Config, StateError> {
        let path = self.config_file().ok_or_else(|| StateError::Absent(self.shown()))?;
        let mut config = Config::stored(&path)?;
        if let Some(running) = self.running() {
            running.stand_in_settings.lay_over(&mut config);
        }
        Ok(config)
    }

    /// Keeps the configuration for the other subcommands.
    pub fn save_config(&self, config: &Config) -> Result<(), StateError> {
        let path = self.join(CONFIG_FILE);
        let text =
            toml::to_string(config).map_err(|source| StateError::Toml { path: path.display().to_string(), source })?;
        write_private(&path, &text)
    }

    /// Reads one of the small JSON files; `None` when it is not there.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|source| StateError::Json { path: path.display().to_string(), source }),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io(&path, "read", source)),
        }
    }

    /// Writes one of the small JSON files, readable by the owner only.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let path = self.join(name);
        let text = serde_json::to_string_pretty(value)
            .map_err(|source| StateError::Json { path: path.display().to_string(), source })?;
        write_private(&path, &text)
    }

    /// Removes a file; fine when it is gone.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.join(name));
    }

    /// The running system, when the very process that wrote of it lives. A record that cannot be read is a stale one.
    pub fn running(&self) -> Option<Running> {
        let running = self.read_json::<Running>(RUNNING_FILE).ok().flatten()?;
        (processes::start_of(running.pid)? == running.process_start).then_some(running)
    }

    /// Writes of this process that it runs.
    pub fn write_running(&self, running: &Running) -> Result<(), StateError> {
        self.write_json(RUNNING_FILE, running)
    }

    /// Nothing runs any more.
    pub fn forget_running(&self) {
        self.remove(RUNNING_FILE);
    }
}

fn write_private(path: &Path, text: &str) -> Result<(), StateError> {
    let draft = path.with_extension("draft");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(PRIVATE);
    let mut file = options.open(&draft).map_err(|source| io(&draft, "written", source))?;
    file.write_all(text.as_bytes()).map_err(|source| io(&draft, "written", source))?;
    fs::rename(&draft, path).map_err(|source| io(path, "replaced", source))
}

fn io(path: &Path, action: &'static str, source: std::io::Error) -> StateError {
    StateError::Io { path: path.display().to_string(), action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> StateDir {
        let path = std::env::temp_dir().join(format!("minispod-state-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        StateDir::new(path).create().expect("a directory can be made")
    }

    #[test]
    fn only_one_process_at_a_time_holds_the_lock() {
        let state = temporary("lock");
        let lock = state.try_lock().expect("it can be asked for").expect("nobody has it");
        assert!(state.try_lock().expect("it can be asked for").is_none(), "a second `up` gets it too");
        drop(lock);
        assert!(state.try_lock().expect("it can be asked for").is_some(), "it is not let go");
        let _ = fs::remove_dir_all(state.join(""));
    }

    #[test]
    fn a_record_of_an_earlier_process_of_the_same_id_is_stale() {
        let state = temporary("stale");
        let pid = std::process::id();
        let process_start = processes::start_of(pid).expect("we run");
        let mut running = Running { pid, process_start, ..Running::default() };
        state.write_running(&running).expect("it can be written");
        assert_eq!(state.running().map(|found| found.pid), Some(pid));
        running.process_start = "earlier".into();
        state.write_running(&running).expect("it can be written");
        assert!(state.running().is_none(), "the id alone is believed");
        for text in ["", "{\"pid\": 1}", "not JSON"] {
            fs::write(state.join(RUNNING_FILE), text).expect("it can be written");
            assert!(state.running().is_none(), "{text:?} is believed");
        }
        let _ = fs::remove_dir_all(state.join(""));
    }

    #[test]
    fn stand_ins_are_configured_only_while_they_run() {
        let state = temporary("settings");
        state.save_config(&Config::default()).expect("it can be written");
        let pid = std::process::id();
        let stand_in_settings =
            StandInSettings { midtrans_url: "http://127.0.0.1:1".into(), smtp_url: "smtp://127.0.0.1:2".into() };
        let process_start = processes::start_of(pid).expect("we run");
        let mut running = Running { pid, process_start, stand_in_settings, ..Running::default() };
        state.write_running(&running).expect("it can be written");
        let config = state.load_config().expect("it reads");
        assert_eq!(config.midtrans.standin_url, "http://127.0.0.1:1");
        assert!(config.smtp.url.ends_with(SINK_MARK));
        running.process_start = "earlier".into();
        state.write_running(&running).expect("it can be written");
        let config = state.load_config().expect("it reads");
        assert_eq!((&*config.midtrans.standin_url, &*config.smtp.url), ("", ""));
        let _ = fs::remove_dir_all(state.join(""));
    }

    #[test]
    fn nobody_else_can_read_what_is_kept() {
        let state = temporary("modes");
        fs::set_permissions(state.join(""), fs::Permissions::from_mode(0o755)).expect("it can be opened");
        let state = state.create().expect("it can be made again");
        fs::write(state.join("up.log"), "of an older release").expect("it can be written");
        fs::set_permissions(state.join("up.log"), fs::Permissions::from_mode(0o644)).expect("it can be opened");
        state.create_file("up.log").expect("it can be made");
        state.save_config(&Config::default()).expect("it can be written");
        state.write_running(&Running::default()).expect("it can be written");
        for name in ["up.log", CONFIG_FILE, RUNNING_FILE] {
            let mode = fs::metadata(state.join(name)).expect("it is there").mode() & 0o777;
            assert_eq!(mode, PRIVATE, "{name} has mode {mode:o}");
        }
        let mode = fs::metadata(state.join("")).expect("it is there").mode() & 0o777;
        assert_eq!(mode & 0o066, 0, "others may look into the directory: {mode:o}");
        let _ = fs::remove_dir_all(state.join(""));
    }

    #[test]
    fn a_state_directory_is_absolute_however_it_is_named() {
        assert!(StateDir::new("some/where").join("x").is_absolute());
    }
}
