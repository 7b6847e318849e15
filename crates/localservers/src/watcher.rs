//! A watcher that outlives us: ends a server and removes its directory when our process ends, however it ends.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread,
};

use crate::failure::ServerError;

/// Reads its standard input to the end, which comes when our process ends, then kills, waits and removes.
const SCRIPT: &str = r#"
read -r word
[ "$word" = dismissed ] && exit 0
kill -QUIT "$1" 2>/dev/null
tries=0
while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL "$1" 2>/dev/null
case "$2" in /?*) rm -rf -- "$2" ;; esac
"#;

/// Ends one throw-away server together with this process; see [`Watcher::over`].
#[derive(Debug)]
pub struct Watcher {
    // The pipe closes when we drop it or our process ends, even by SIGKILL.
    open_while_we_live: Option<ChildStdin>,
}

impl Watcher {
    /// Ends process `pid` and removes `directory` as soon as this value is dropped or this process is gone.
    pub fn over(pid: i32, directory: &Path) -> Result<Self, ServerError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "minispod-watcher", &pid.to_string()]).arg(directory);
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let spawned = command.spawn();
        let mut child: Child = spawned.map_err(|source| ServerError::Spawn { program: "/bin/sh".into(), source })?;
        let stdin = child.stdin.take();
        thread::spawn(move || child.wait());
        Ok(Self { open_while_we_live: stdin })
    }
    /// Ends the watch and leaves server and directory alone.
    pub fn dismiss(mut self) {
        if let Some(mut stdin) = self.open_while_we_live.take() {
            // If the watcher is gone already there is nothing to dismiss.
            let _ = stdin.write_all(b"dismissed\n");
        }
    }
}
