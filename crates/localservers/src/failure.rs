//! What can go wrong with a local server, each with the command or the log that helps.

use std::{io, path::PathBuf, time::Duration};

/// A local server could not be found, started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program is not on this machine, or too old.
    #[error("{program} {minimum} or newer was not found; install it with: {command}")]
    Missing {
        /// What was looked for.
        program: &'static str,
        /// The oldest version that will do.
        minimum: &'static str,
        /// The exact command that installs it here.
        command: &'static str,
    },
    /// Postgres refuses to run as root and there is no other user to run it as.
    #[error("Postgres does not run as root and there is no user `postgres`; add one with: useradd --system postgres")]
    NoServerUser,
    /// The data was moved out of another state directory, which may be running on it.
    #[error(
        "the data in {} belongs to {}, not to {}; if that one was moved or copied here, remove the link `data` in {} \
         to begin with empty data, or write the new place into minispod-owner there",
        data.display(), owner.display(), state.display(), state.display()
    )]
    Foreign {
        /// Where the data really is.
        data: PathBuf,
        /// The state directory that made it.
        owner: PathBuf,
        /// The state directory that asks for it.
        state: PathBuf,
    },
    /// A file or directory of the state directory cannot be used.
    #[error("cannot {action} {path}")]
    Files {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program could not be started at all.
    #[error("cannot run {program}")]
    Spawn {
        /// The program's path.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program that should succeed and end did not.
    #[error("{program} failed: {output}")]
    Command {
        /// The program's name.
        program: &'static str,
        /// The end of what it printed.
        output: String,
    },
    /// The server ended while it was starting.
    #[error("{program} ended while starting; the end of {log}:\n{tail}")]
    Ended {
        /// The program's name.
        program: &'static str,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The server did not become ready, or did not stop, in time.
    #[error("{program} did not {action} within {} s; see {log}", deadline.as_secs())]
    TooSlow {
        /// The program's name.
        program: &'static str,
        /// "answer" or "stop".
        action: &'static str,
        /// The time it was given.
        deadline: Duration,
        /// Its log.
        log: PathBuf,
    },
    /// No loopback port could be bound.
    #[error("cannot bind a loopback port")]
    Port(#[source] io::Error),
}

impl ServerError {
    pub(crate) fn files(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files { action, path, source }
    }
}
