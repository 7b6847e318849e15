//! A machine joins with the operators' script, gives a sign of life, and is known; its token and its key leak nowhere.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use minispod_e2e::{World, WorldOptions};
use minispod_testkit::require;
use serde_json::json;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nodes/minispod-node.sh")
}

/// Runs the script with a home of its own.
fn node(home: &Path, arguments: &[&str]) -> Output {
    Command::new("sh")
        .arg(script())
        .args(arguments)
        .env("MINISPOD_NODE_HOME", home)
        .output()
        .expect("there is a shell and curl")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_joins_with_the_operators_script_and_gives_signs_of_life() {
    if !require("pg") || !require("nats") {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let world = World::start(WorldOptions::default()).await;
    let admin = world.administrator("siti.nodes@example.com").await;
    let made = admin.post("/admin/workers/join-tokens", json!({ "label": "rack 2" })).await;
    assert_eq!(made.status, 201, "{:#}", made.body);
    let token = made.data()["token"].as_str().expect("a token").to_owned();
    let home = world.directory().join("node");
    let early = node(&home, &["beat"]);
    assert!(!early.status.success(), "who has not joined gives no sign of life");
    let kept = home.join("token");
    std::fs::create_dir_all(&home).expect("a folder");
    std::fs::write(&kept, &token).expect("written");
    let url = world.door().base().to_owned();
    let url = url.trim_end_matches("/api/v1");
    let file = kept.display().to_string();
    let join = ["join", "--url", url, "--token-file", &file, "--name", "worker-1", "--address", "203.0.113.7"];
    let joined = node(&home, &join);
    assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
    assert_eq!(String::from_utf8_lossy(&joined.stdout), "joined as worker-1\n");
    let again = node(&home, &join);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("401"), "a token works once");
    let beat = node(&home, &["beat"]);
    assert!(beat.status.success(), "{}", String::from_utf8_lossy(&beat.stderr));
    let workers = admin.get("/workers").await;
    let all = workers.data()["workers"].as_array().expect("a list").clone();
    let worker = all.iter().find(|one| one["name"] == "worker-1").expect("it is known");
    assert_eq!((&worker["status"], &worker["joined"]), (&json!("ACTIVE"), &json!(true)));
    assert!(worker["allocatedMemory"].is_number() && worker["cpuCores"].as_u64().is_some_and(|cores| cores > 0));
    let key = std::fs::read_to_string(home.join("key")).expect("its own key");
    let said = [joined, again, beat].map(|one| format!("{one:?}")).concat();
    assert!(!said.contains(&key) && !said.contains(&token), "the script shows no secret");
    let log = world.must(&["log", "verify"]);
    assert!(!log.contains(&key));
    let gone = admin.send(reqwest::Method::DELETE, "/workers/worker-1", None).await;
    assert_eq!(gone.status, 200, "{:#}", gone.body);
    assert!(!node(&home, &["beat"]).status.success(), "its key is worth nothing any more");
}
