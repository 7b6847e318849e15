//! Operators' commands on a running installation: doctor names what is wrong, streams keep what an installation decided,
//! metrics have a door of their own.

use std::{fs, time::Duration};

use minispod_e2e::{Role, World, WorldOptions, process};
use minispod_testkit::{free_port, require, wait_for_http};

const READY: Duration = Duration::from_mins(1);

async fn get(url: &str) -> (u16, String) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client can be made");
    let answer = client.get(url).send().await.expect("it answers");
    (answer.status().as_u16(), answer.text().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_names_drift_by_field_and_a_key_that_the_gateway_does_not_accept() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions { roles: vec!["relay"], ..Default::default() }).await;
    let well = world.must(&["doctor"]);
    for needle in ["2 as their files say", "4 as their files say", "STAND-IN", "accepts the key"] {
        assert!(well.contains(needle), "{needle} is not in\n{well}");
    }
    let overlay = world.directory().join("overlay.json");
    fs::write(&overlay, r#"{"MINISPOD_DLQ": {"max_msgs": 5000}}"#).expect("it can be written");
    let file = overlay.display().to_string();
    let applied = world.must(&["nats", "apply", "--overlay", &file]);
    assert!(applied.contains("MINISPOD_DLQ     updated") && applied.contains("nats.overlay"), "{applied}");
    let (ok, drifted) = world.run(&["doctor", "--role", "relay"]);
    assert!(!ok && drifted.contains("MINISPOD_DLQ: max_msgs is 5000"), "the drift is not named:\n{drifted}");
    fs::write(&overlay, r#"{"MINISPOD_EVT": {"num_replica": 3}}"#).expect("it can be written");
    let (ok, refused) = world.run(&["nats", "apply", "--overlay", &file]);
    assert!(!ok && refused.contains("num_replica "), "a misspelt field passes:\n{refused}");

    let config = fs::read_to_string(world.directory().join("minispod.toml")).expect("the configuration is there");
    let other = config.replace("standin_url", "base_url").replace("SB-Mid-server-TEST", "SB-Mid-server-OTHER");
    let path = world.directory().join("other.toml");
    fs::write(&path, other).expect("it can be written");
    let words = ["doctor", "--role", "billing", "--config", &path.display().to_string()];
    let (ok, text) = process::run(&words, world.directory());
    assert!(!ok && text.contains("does not accept midtrans.server_key"), "a wrong key passes:\n{text}");
    assert!(!text.contains("SB-Mid-server-OTHER"), "the key is printed:\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apis_metrics_are_at_the_metrics_door_and_with_a_token_at_its_own() {
    if !require("pg") || !require("nats") {
        return;
    }
    let world = World::start(WorldOptions { roles: vec!["relay"], ..Default::default() }).await;
    let (port, door) = (free_port(), free_port());
    let environment = [
        ("MINISPOD_LISTEN", format!("127.0.0.1:{port}")),
        ("MINISPOD_METRICS_LISTEN", format!("127.0.0.1:{door}")),
        ("MINISPOD_METRICS_TOKEN", "a-token".to_owned()),
    ];
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let _api = Role::start("api", "api", &world.directory().join("minispod.toml"), &environment);
    wait_for_http(&format!("http://127.0.0.1:{port}/health"), READY).await;
    wait_for_http(&format!("http://127.0.0.1:{door}/health"), READY).await;
    assert_eq!(get(&format!("http://127.0.0.1:{port}/metrics")).await.0, 401);
    let (status, text) = get(&format!("http://127.0.0.1:{door}/metrics")).await;
    assert_eq!(status, 200);
    assert!(text.contains("minispod_http_requests_total"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_variable_stops_a_role_before_it_starts() {
    let directory = std::env::temp_dir();
    let output = std::process::Command::new(process::binary())
        .arg("api")
        .env("MINISPOD_TRUSTED_PROXY", "10.0.0.0/8")
        .current_dir(&directory)
        .output()
        .expect("the binary can be started");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("MINISPOD_TRUSTED_PROXIES"), "{text}");
}
