//! Where the server programs are looked for, and which versions will do.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::failure::ServerError;

/// The oldest Postgres major version that will do.
pub const POSTGRES_MINIMUM: u32 = 15;
/// The oldest NATS server (major, minor) that will do: `first_sequence` and pinned consumers need it.
pub const NATS_MINIMUM: (u32, u32) = (2, 11);

/// The directories searched for programs, best first.
#[derive(Debug, Clone)]
pub struct Places {
    /// The entries of `PATH`.
    pub path: Vec<PathBuf>,
    /// The tool cache that `cargo xtask tools` fills.
    pub cache: PathBuf,
}

/// A usable Postgres installation.
#[derive(Debug, Clone)]
pub struct PostgresPrograms {
    /// Holds `postgres`, `initdb` and `psql`.
    pub bin: PathBuf,
    /// Major version.
    pub major: u32,
}

impl Places {
    /// From `PATH`, `XDG_CACHE_HOME` and `HOME`.
    #[expect(clippy::disallowed_methods, reason = "the search path is the environment's to say")]
    pub fn from_env() -> Self {
        let path = env::var_os("PATH").map(|value| env::split_paths(&value).collect()).unwrap_or_default();
        let home = env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let cache = env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
        Self { path, cache: cache.unwrap_or_else(|| home.join(".cache")).join("minispod") }
    }

    /// The first Postgres that is new enough: `PATH` with links followed, then the distribution's places, newest first.
    ///
    /// Links are followed because distributions link single programs into `PATH` while `initdb` needs its neighbours.
    pub fn postgres(&self) -> Result<PostgresPrograms, ServerError> {
        let on_path = self.path.iter().filter_map(|dir| real_directory_of(&dir.join("postgres")));
        let beside_initdb = self.path.iter().filter_map(|dir| real_directory_of(&dir.join("initdb")));
        on_path.chain(beside_initdb).chain(distribution_directories()).find_map(usable_postgres).ok_or(
            ServerError::Missing {
                program: "PostgreSQL",
                minimum: "15",
                command: if cfg!(target_os = "macos") {
                    "brew install postgresql@17"
                } else {
                    "apt-get install -y --no-install-recommends postgresql"
                },
            },
        )
    }

    /// The first `nats-server` that is new enough: `PATH`, then the tool cache.
    pub fn nats_server(&self) -> Result<PathBuf, ServerError> {
        let on_path = self.path.iter().map(|dir| dir.join("nats-server"));
        on_path.chain([self.cache.join("bin/nats-server")]).find(|program| is_new_enough_nats(program)).ok_or(
            ServerError::Missing {
                program: "nats-server",
                minimum: "2.11",
                command: if cfg!(target_os = "macos") { "brew install nats-server" } else { "cargo xtask tools" },
            },
        )
    }

    /// A program by name on `PATH` or in the tool cache, any version.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let mut candidates = self.path.iter().map(|dir| dir.join(name)).chain([self.cache.join("bin").join(name)]);
        candidates.find(|candidate| candidate.is_file())
    }
}

fn real_directory_of(program: &Path) -> Option<PathBuf> {
    fs::canonicalize(program).ok()?.parent().map(Path::to_path_buf)
}

fn distribution_directories() -> Vec<PathBuf> {
    let parents = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];
    let mut found: Vec<(u32, PathBuf)> = parents
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flat_map(|entries| entries.filter_map(Result::ok))
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix("postgresql@").unwrap_or(&name).parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let plain = ["/usr/pgsql-17/bin", "/usr/pgsql-16/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql/bin"];
    found.into_iter().map(|(_, path)| path).chain(plain.map(PathBuf::from)).collect()
}

fn usable_postgres(bin: PathBuf) -> Option<PostgresPrograms> {
    let complete = ["postgres", "initdb", "psql"].iter().all(|program| bin.join(program).is_file());
    let major = complete.then(|| version_of(&bin.join("postgres"))).flatten()?.0;
    (major >= POSTGRES_MINIMUM).then_some(PostgresPrograms { bin, major })
}

fn is_new_enough_nats(program: &Path) -> bool {
    program.is_file() && version_of(program).is_some_and(|found| found >= NATS_MINIMUM)
}

fn version_of(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// The first `N.N` or `vN.N` of a `--version` line; a lone `N` (as in `17devel`) counts as `N.0`.
fn parse_version(line: &str) -> Option<(u32, u32)> {
    let word = line
        .split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let mut parts = word.split('.');
    let major = leading_number(parts.next()?)?;
    Some((major, parts.next().and_then(leading_number).unwrap_or(0)))
}

fn leading_number(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_programs_print() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some((15, 18)));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some((18, 0)));
        assert_eq!(parse_version("nats-server: v2.15.1"), Some((2, 15)));
        assert_eq!(parse_version("no version here"), None);
    }

    #[test]
    fn a_missing_program_names_the_command_that_installs_it() {
        let nowhere = Places { path: vec![], cache: PathBuf::from("/nonexistent") };
        let error = nowhere.nats_server().expect_err("nothing is there");
        assert!(error.to_string().contains("install it with: "), "{error}");
    }
}
