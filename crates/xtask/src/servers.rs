//! One server pair for a whole test run, started through the test kit's own program.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use crate::{
    cargo::{self, Metadata},
    shell::{Failure, because, quietly, say, variable},
};

/// Ends the servers when dropped, and they end by themselves when this process is killed.
pub struct Servers {
    /// `MINISPOD_TEST_PG` and `MINISPOD_TEST_NATS`, for the tests' environment.
    pub variables: Vec<(String, String)>,
    child: Option<Child>,
}

impl Servers {
    /// Uses the servers that the environment names, else starts a pair.
    pub fn start() -> Result<Self, Failure> {
        if variable("MINISPOD_TEST_PG").is_some() && variable("MINISPOD_TEST_NATS").is_some() {
            say("using the servers of MINISPOD_TEST_PG and MINISPOD_TEST_NATS");
            return Ok(Self { variables: Vec::new(), child: None });
        }
        say("starting one Postgres and one NATS for this run");
        quietly(&mut cargo::command(&["build", "--workspace", "--bin", "test_servers"]))?;
        let program = Metadata::read()?.debug_program("test_servers");
        let spawned = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let Some(stdout) = child.stdout.take() else { return because("the test servers have no output") };
        let mut servers = Self { variables: Vec::new(), child: Some(child) };
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|error| format!("cannot hear the test servers: {error}"))?;
            if line == "ready" {
                return Ok(servers);
            }
            if let Some((name, value)) = line.split_once('=') {
                servers.variables.push((name.to_owned(), value.to_owned()));
            }
        }
        because("the test servers ended while starting")
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Closing its standard input tells it to stop its servers and end.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}
