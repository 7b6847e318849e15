//! One role of the binary as a child process that a story may kill, freeze and start again.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The built binary: beside the test's own build, `target/<profile>/minispod`.
pub fn binary() -> PathBuf {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let target = option_env!("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in the workspace").join("target"),
        PathBuf::from,
    );
    let path = target.join(profile).join("minispod");
    assert!(path.exists(), "build the binary first: cargo build -p minispod");
    path
}

/// Runs a subcommand to its end and gives back whether it succeeded and everything it printed.
pub fn run(args: &[&str], directory: &Path) -> (bool, String) {
    let output = Command::new(binary()).args(args).current_dir(directory).output().expect("the binary can be started");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// A running role.
pub struct Role {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Role {
    /// Starts `minispod <name> --config <config>`, where the name may be `run` and several; its output goes to a log
    /// beside the configuration.
    pub fn start(name: &str, label: &str, config: &Path, environment: &[(&str, &str)]) -> Self {
        let log = config.with_file_name(format!("{label}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log can be written");
        let errors = file.try_clone().expect("a log can be shared");
        let child = Command::new(binary())
            .args(name.split(' '))
            .arg("--config")
            .arg(config)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .expect("the binary can be started");
        Self { child, name: name.to_owned(), log }
    }

    /// Its process id: those of a role that was started again differ.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it in the middle of whatever it does (SIGSTOP).
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Asks it to end in good order (SIGTERM) and waits.
    pub fn end(&mut self) -> bool {
        self.signal("-TERM");
        self.child.wait().is_ok_and(|status| status.success())
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// The last lines of its log, for a failing story.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("--- {} ---\n{}", self.name, lines[lines.len().saturating_sub(25)..].join("\n"))
    }

    /// How many lines of its log contain `text`; a role that was started again goes on in the same log.
    pub fn count_lines(&self, text: &str) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains(text)).count()
    }

    fn signal(&self, signal: &str) {
        // A process that has ended has nothing to say about it.
        let _ = Command::new("kill").args([signal, &self.child.id().to_string()]).stderr(Stdio::null()).status();
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.thaw();
        self.kill();
    }
}
