//! The state directory of one machine: servers' data, generated secrets, the running process, the administrator.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::config::{Config, ConfigError};

/// Where `up` keeps everything unless told otherwise.
pub const DEFAULT_DIRECTORY: &str = ".minispod";

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

/// What runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Running {
    /// The `up` process.
    pub pid: u32,
    pub url: String,
    pub nats_url: String,
    /// Named stand-ins and their control addresses.
    pub stand_ins: serde_json::Value,
    pub started_at: String,
}

impl StateDir {
    /// Names a directory; nothing is made.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// A place inside it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes the directory, readable by its owner only (servers that must be entered get their own rights).
    pub fn create(&self) -> Result<(), StateError> {
        fs::create_dir_all(&self.0).map_err(|source| io(&self.0, "made", source))
    }

    /// Configuration of the system that `up` set up here.
    pub fn load_config(&self) -> Result<Config, StateError> {
        let path = self.join("minispod.toml");
        if !path.exists() {
            return Err(StateError::Absent(self.0.display().to_string()));
        }
        Ok(Config::load(Some(&path))?)
    }

    /// Keeps the configuration for the other subcommands.
    pub fn save_config(&self, config: &Config) -> Result<(), StateError> {
        let path = self.join("minispod.toml");
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

    /// The running system, when its process lives.
    pub fn running(&self) -> Result<Option<Running>, StateError> {
        Ok(self.read_json::<Running>("running.json")?.filter(|running| is_alive(running.pid)))
    }
}

/// Whether a process of this id exists.
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    match stat {
        // A zombie waits for its parent and runs nothing.
        Ok(text) => text.rsplit(')').next().is_none_or(|rest| !rest.trim_start().starts_with('Z')),
        Err(_) if Path::new("/proc/self").exists() => false,
        Err(_) => std::process::Command::new("kill")
            .args(["-0", &pid.to_string()])
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success()),
    }
}

fn write_private(path: &Path, text: &str) -> Result<(), StateError> {
    let draft = path.with_extension("draft");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&draft).map_err(|source| io(&draft, "written", source))?;
    file.write_all(text.as_bytes()).map_err(|source| io(&draft, "written", source))?;
    fs::rename(&draft, path).map_err(|source| io(path, "replaced", source))
}

fn io(path: &Path, action: &'static str, source: std::io::Error) -> StateError {
    StateError::Io { path: path.display().to_string(), action, source }
}

#[cfg(test)]
mod tests {
    use super::is_alive;

    #[test]
    fn this_process_lives_and_an_impossible_one_does_not() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(u32::MAX - 7));
    }
}
