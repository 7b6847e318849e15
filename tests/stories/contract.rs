//! The api by its own description: Schemathesis calls every operation with what fits its description and what does not.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use minispod_e2e::{Door, World, WorldOptions};
use minispod_testkit::{program_path, require};
use serde_json::{Value, json};

/// What is generated from: the same in every run.
const SEED: &str = "20261126";
/// Generated calls of one operation, beside those that look at the edges of each parameter.
const EXAMPLES: &str = "8";
/// After which a run is taken for stuck; all go at the same time and take about two minutes on two idle cores.
const LIMIT: Duration = Duration::from_mins(9);
/// Longest wait until everybody is shown.
const SETTLED: Duration = Duration::from_mins(2);
/// Forms have rules that a description cannot say, so what fits one may still be refused.
const NOT_CHECKED: &str = "positive_data_acceptance";

/// One caller's run.
struct Run {
    who: &'static str,
    token: String,
    /// Which operations.
    chosen: Vec<&'static str>,
}

impl Run {
    /// Calls everything that is chosen; gives what is wrong.
    fn carry_out(&self, document: &str, directory: &Path) -> Result<String, String> {
        let directory = directory.join(self.who.replace(' ', "-"));
        fs::create_dir_all(&directory).expect("a directory can be made");
        // It would be found in the folders above.
        fs::write(directory.join("schemathesis.toml"), "").expect("it can be written");
        let program = program_path("schemathesis").expect("it was found before");
        let output = Command::new(program)
            .args(["run", document, "--seed", SEED, "--max-examples", EXAMPLES, "--exclude-checks", NOT_CHECKED])
            .args([
                "--phases",
                "examples,coverage,fuzzing,stateful",
                "--max-failures",
                "40",
                "--no-color",
                "--warnings",
                "off",
            ])
            .args(["--generation-database", "none", "--request-timeout", "30", "--output-sanitize", "true"])
            .args(["--header", &format!("Authorization: Bearer {}", self.token)])
            .args(&self.chosen)
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()
            .expect("it can be started");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(said) } else { Err(format!("as {}:\n{said}", self.who)) }
    }

    /// How many operations it called, by its own last words.
    fn called(said: &str) -> Option<usize> {
        said.lines().find_map(|line| line.trim().strip_prefix("Tested:")?.trim().parse().ok())
    }
}

/// A token that no call of a run can end.
async fn api_token(door: &Door, scopes: &[&str]) -> String {
    let made = door.post("/auth/api-tokens", json!({"name": "contract", "scopes": scopes, "expiresInDays": 1})).await;
    made.data()["token"].as_str().expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_breaks_the_description_and_none_breaks_the_api() {
    if !require("pg") || !require("nats") || !require("schemathesis") {
        return;
    }
    let world = World::start(WorldOptions::with_live_views()).await;
    let (customer, _) = world.door().register("Ani Contract").await;
    let admin = world.administrator("siti@example.com").await;
    // Whoever is not in the read models yet is asked to come back.
    world.settle(&world.sql().await, SETTLED).await;
    world.fund(&customer, 2_000_000).await;
    world.subscribe(&customer, &world.plan("n8n").await.0).await;
    let runs = [
        Run { who: "customer", token: api_token(&customer, &["read", "write"]).await, chosen: vec![] },
        Run { who: "administrator", token: api_token(&admin, &["read", "write", "admin"]).await, chosen: vec![] },
        // What decides over an account is done signed in. These two would end the run, and take nothing that could vary.
        Run {
            who: "signed in",
            token: world.session("ani.contract@example.com").await,
            chosen: vec![
                "--include-path-regex=^/api/v1/auth/",
                "--exclude-path=/api/v1/auth/logout",
                "--exclude-path=/api/v1/auth/account",
            ],
        },
    ];
    let document = format!("{}/api/v1/openapi.json", world.door().base());
    let described = operations(&world.door().get("/openapi.json").await.body);
    let whole: Vec<_> = runs.iter().map(|run| run.chosen.is_empty()).collect();
    let directory = world.directory().to_owned();
    let all = runs.into_iter().map(|run| {
        let (document, directory) = (document.clone(), directory.clone());
        tokio::task::spawn_blocking(move || run.carry_out(&document, &directory))
    });
    let all = tokio::time::timeout(LIMIT, futures::future::join_all(all)).await.expect("it ends in time");
    let mut wrong = Vec::new();
    for (run, whole) in all.into_iter().map(|run| run.expect("it was carried out")).zip(whole) {
        match run {
            // One may be missing: the description itself.
            Ok(said) if whole => {
                assert!(
                    Run::called(&said).is_some_and(|called| called + 1 >= described),
                    "not every operation:\n{said}"
                );
            }
            Ok(said) => assert!(Run::called(&said).is_some_and(|called| called > 10), "not every operation:\n{said}"),
            Err(said) => wrong.push(said),
        }
    }
    assert!(wrong.is_empty(), "seed {SEED}\n{}", wrong.join("\n"));
}

/// How many operations a document describes.
fn operations(document: &Value) -> usize {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(_, methods)| methods.as_object().into_iter().flatten()).count()
}
