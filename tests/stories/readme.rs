//! Every command block of the README that is marked as tested runs as it stands.

use std::{path::Path, process::Command};

use minispod_e2e::process::binary;
use minispod_testkit::require;

use crate::journey::Up;

/// The block under `<!-- tested: name -->`.
fn block(name: &str) -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in the workspace").join("README.md");
    let text = std::fs::read_to_string(path).expect("the README can be read");
    let (_, rest) = text.split_once(&format!("<!-- tested: {name} -->\n```sh\n")).expect("the README has this block");
    rest.split_once("\n```").expect("the block ends").0.to_owned()
}

/// Runs a block with the built binary on PATH and the README's port replaced by ours.
#[track_caller]
fn run(up: &Up, name: &str) -> String {
    let script =
        format!("set -euo pipefail\n{}", block(name).replace("localhost:3000", &format!("localhost:{}", up.port)));
    let binaries = binary().parent().expect("a binary has a folder").display().to_string();
    let nats = minispod_testkit::program_path("nats");
    let tools = nats.as_deref().and_then(Path::parent).map(|folder| folder.display().to_string()).unwrap_or_default();
    #[expect(clippy::disallowed_methods, reason = "the shell needs the caller's PATH")]
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&up.directory)
        .env("PATH", format!("{binaries}:{tools}:{path}"))
        .output()
        .expect("bash can be started");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the README's block {name:?} failed:\n{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_commands_run_as_they_stand() {
    if !require("pg") || !require("nats") {
        return;
    }
    let up = Up::start("readme");
    let journey = run(&up, "journey");
    assert!(journey.contains("\"balance\":\"100000\"") && journey.contains("PDF document"), "{journey}");
    let compared = run(&up, "whatif");
    assert!(compared.contains("n8n/basic") && compared.contains("total"), "{compared}");
    if require("nats-cli") {
        let seen = run(&up, "nats");
        assert!(seen.contains("wallet_credited") && seen.contains("projector"), "{seen}");
    }
}
