//! The README's two commands and what follows: up, demo, verify, status, down; nothing is left running.

use std::{fs, time::Duration};

use minispod_e2e::{Traces, process::run};
use minispod_testkit::{eventually, free_port, require};
use serde_json::Value;

/// A system that `minispod up` runs; stopped with the story whatever happens.
pub struct Up {
    pub directory: std::path::PathBuf,
    pub port: u16,
}

impl Up {
    pub fn start(name: &str) -> Self {
        let port = free_port();
        let directory = std::env::temp_dir().join(format!("minispod-{name}-{}-{port}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory can be made");
        let up = Self { directory, port };
        up.must(&["up", "--detach", "--port", &port.to_string()]);
        up
    }

    /// A subcommand, run in the directory whose `.minispod` is the state.
    #[track_caller]
    pub fn must(&self, args: &[&str]) -> String {
        let (ok, text) = run(args, &self.directory);
        let log = fs::read_to_string(self.directory.join(".minispod/up.log")).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(30).collect();
        assert!(ok, "minispod {} failed:\n{text}\nup.log, newest first:\n{}", args.join(" "), end.join("\n"));
        text
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = run(&["down"], &self.directory);
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_starts_everything_and_the_journey_runs() {
    if !require("pg") || !require("nats") {
        return;
    }
    let up = Up::start("journey");
    let mut traces = Traces::of(&up.directory);
    let running = traces.left().join("\n");
    for part in ["minispod", "nats-server", "checkpointer", "walwriter"] {
        assert!(running.contains(part), "{part} runs and is not found:\n{running}");
    }
    let demo = up.must(&["demo"]);
    for line in ["STAND-IN", "SIMULATED", "wallet Rp100.000", "Renew by hand", "cancelled, nothing runs"] {
        assert!(demo.contains(line), "the journey does not say {line:?}:\n{demo}");
    }
    let failed = up.must(&["demo", "--fail-provisioning"]);
    assert!(failed.contains("CANCELLED, wallet Rp100.000"), "{failed}");
    let verified = up.must(&["log", "verify"]);
    assert!(verified.contains("the same"), "{verified}");
    up.must(&["status"]);
    let credentials: Value =
        serde_json::from_str(&up.must(&["admin", "credentials", "--json"])).expect("credentials are JSON");
    let door = minispod_e2e::Door::new(&format!("http://127.0.0.1:{}", up.port));
    let login = door
        .post("/auth/login", serde_json::json!({"email": credentials["email"], "password": credentials["password"]}))
        .await;
    assert_eq!(login.data()["user"]["role"], "ADMINISTRATOR");
    traces.look_again();
    up.must(&["down"]);
    assert!(
        eventually(Duration::from_secs(10), || async { traces.left().is_empty() }).await,
        "still running: {:?}",
        traces.left()
    );
    // The data is kept: a second start knows the same log.
    up.must(&["up", "--detach", "--port", &up.port.to_string()]);
    let again = up.must(&["log", "verify"]);
    assert!(again.contains("the same"), "{again}");
    up.must(&["demo"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_refuses_streams_that_differ_from_their_files() {
    if !require("pg") || !require("nats") {
        return;
    }
    let mut world =
        minispod_e2e::World::start(minispod_e2e::WorldOptions { roles: vec!["mailer"], ..Default::default() }).await;
    let jetstream = async_nats::jetstream::new(world.nats.connect("admin").await);
    let mut stream = jetstream.get_stream("MINISPOD_EVT").await.expect("the stream is there");
    let mut config = stream.info().await.expect("it says how it is").config.clone();
    config.max_messages = 7;
    jetstream.update_stream(&config).await.expect("an operator may change it by hand");
    world.start_role("relay", "relay");
    assert!(
        eventually(Duration::from_secs(20), || {
            let ended = world.role("relay").has_ended();
            async move { ended }
        })
        .await,
        "the relay runs on a stream of another shape"
    );
    assert!(world.last_words().contains("max_msgs"), "the difference is not named: {}", world.last_words());
    world.must(&["nats", "apply"]);
    world.start_role("relay", "relay");
    let sql = world.sql().await;
    world.must(&["seed"]);
    world.settle(&sql, Duration::from_secs(30)).await;
}
