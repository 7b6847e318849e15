//! Starting twice, stopping while it starts, and starting after a crash: servers and data are never taken from under anybody.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use minispod_e2e::{
    Traces,
    process::{binary, run},
};
use minispod_testkit::{eventually, free_port, require};
use serde_json::Value;

use crate::journey::Up;

fn record(directory: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(directory.join(".minispod/running.json")).ok()?).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_is_refused_and_a_crash_blocks_nothing() {
    if !require("pg") || !require("nats") {
        return;
    }
    let up = Up::start("twice");
    let (ok, text) = run(&["up", "--detach", "--port", &free_port().to_string()], &up.directory);
    assert!(!ok && text.contains("already runs here"), "a second start is not refused:\n{text}");
    up.must(&["status"]);
    up.must(&["down"]);
    let started = up.must(&["up", "--detach", "--demo", "--port", &up.port.to_string()]);
    assert!(started.contains("cancelled, nothing runs"), "it returned before the demo had run:\n{started}");
    assert!(!started.contains("Password of"), "a password that was made earlier is printed again:\n{started}");
    // A crash of everything but the servers; the record then names a process that is none of ours.
    let mut running = record(&up.directory).expect("what runs is recorded");
    let pid = running["pid"].as_u64().expect("a process id").to_string();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().is_ok_and(|status| status.success()));
    running["pid"] = std::process::id().into();
    fs::write(up.directory.join(".minispod/running.json"), running.to_string()).expect("it can be written");
    let (ok, text) = run(&["status"], &up.directory);
    assert!(!ok, "a dead system looks alive:\n{text}");
    up.must(&["up", "--detach", "--port", &up.port.to_string()]);
    up.must(&["status"]);
    let traces = Traces::of(&up.directory);
    up.must(&["down"]);
    assert!(
        eventually(Duration::from_secs(10), || async { traces.left().is_empty() }).await,
        "still running: {:?}",
        traces.left()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn down_while_it_starts_stops_it() {
    if !require("pg") || !require("nats") {
        return;
    }
    let port = free_port();
    let directory = std::env::temp_dir().join(format!("minispod-early-{}-{port}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory can be made");
    let mut child = Command::new(binary())
        .args(["up", "--port", &port.to_string()])
        .current_dir(&directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary can be started");
    let is_recorded = eventually(Duration::from_secs(30), || async { record(&directory).is_some() }).await;
    let traces = Traces::of(&directory);
    let was_ready = record(&directory).is_some_and(|running| running["ready"] == true);
    let (ok, text) = run(&["down"], &directory);
    let ended = child.try_wait().expect("it can be asked");
    let _ = child.kill();
    let _ = child.wait();
    let left = traces.left();
    let _ = fs::remove_dir_all(&directory);
    assert!(is_recorded && !was_ready, "it was not caught while it started");
    assert!(ok && text.contains("stopped"), "{text}");
    assert!(ended.is_some(), "it still starts");
    assert_eq!(left, Vec::<String>::new(), "still running");
}
