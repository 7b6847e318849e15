//! The deploy tier: manifests parse and render, keep their promises, and name only metrics that the code emits.

mod compose;
mod manifests;
mod metric_names;
mod scrapes;
mod secrets;
mod variables;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use serde_yaml_ng::Value;

use crate::{
    checks,
    report::Outcome,
    shell::{Failure, on_path, quietly, root},
    tools,
};

/// All checks of `deploy/`.
pub fn check() -> Result<Outcome, Failure> {
    let deploy = root().join("deploy");
    let mut outcome = Outcome::default();
    outcome.record(unreadable(&deploy));
    outcome.record(copy_complaints(&deploy));
    outcome.record(metric_names::complaints(&deploy)?);
    let text = read(&deploy.join("compose.yaml"))?;
    let compose = documents(&text)?.remove(0);
    outcome.record(compose::complaints(&compose));
    outcome.record(variables::complaints(&deploy, &compose)?);
    outcome.record(scrapes::complaints(&deploy)?);
    outcome.record(secrets::complaints(&secrets::table(&deploy)?));
    for folder in ["base", "overlays/production"] {
        match rendered(&deploy.join("k8s").join(folder))? {
            Some(text) => {
                let documents = documents(&text)?;
                outcome.record(manifests::complaints(folder, &documents));
                outcome.record(variables::complaints_of_settings(folder, &documents)?);
                outcome.record(scrapes::complaints_of_manifests(folder, &documents));
                outcome.record(secrets::complaints_of_mounts(folder, &documents));
            }
            None => outcome.add(checks::skipped(&format!("deploy/k8s/{folder}"), "neither kubectl nor Go is on PATH")),
        }
    }
    outcome.add(docker_compose(&deploy));
    outcome.add(promtool(&deploy));
    Ok(outcome)
}

/// Files of `deploy/` that are neither valid YAML nor valid JSON although their names say so.
fn unreadable(deploy: &Path) -> Vec<String> {
    let judge = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let problem = match path.extension()?.to_str()? {
            "yaml" | "yml" => documents(&text).err().map(|failure| format!("{failure:?}")),
            "json" => serde_json::from_str::<serde_json::Value>(&text).err().map(|error| error.to_string()),
            _ => None,
        };
        problem.map(|problem| format!("{}: {problem}", path.display()))
    };
    files_below(deploy).iter().filter_map(judge).collect()
}

/// Kustomize may only read below its folder, so the accounts lie there as a copy.
fn copy_complaints(deploy: &Path) -> Vec<String> {
    let (original, copy) = accounts_and_copy(deploy);
    let same = fs::read(&original).is_ok_and(|text| fs::read(&copy).is_ok_and(|other| text == other));
    if same {
        return vec![];
    }
    vec![format!("{} differs from nats/accounts.conf; copy it again with: cargo xtask schemas", copy.display())]
}

/// Copies the accounts again.
pub fn write_copies() -> Result<(), Failure> {
    let (original, copy) = accounts_and_copy(&root().join("deploy"));
    fs::copy(&original, &copy).map_err(|error| format!("cannot write {}: {error}", copy.display()))?;
    Ok(())
}

fn accounts_and_copy(deploy: &Path) -> (PathBuf, PathBuf) {
    (root().join("nats/accounts.conf"), deploy.join("k8s/base/nats/accounts.conf"))
}

/// What kustomize makes of a folder; none where nothing here can render it.
fn rendered(folder: &Path) -> Result<Option<String>, Failure> {
    let mut command = if on_path("kubectl").is_some() {
        let mut kubectl = Command::new("kubectl");
        kubectl.arg("kustomize");
        kubectl
    } else if on_path("go").is_some() {
        let mut go = Command::new("go");
        go.args(["run", &tools::pins()?.kustomize.package, "build"]);
        go
    } else {
        return Ok(None);
    };
    quietly(command.arg(folder).current_dir(std::env::temp_dir())).map(Some)
}

fn docker_compose(deploy: &Path) -> Outcome {
    let has_plugin = quietly(Command::new("docker").args(["compose", "version"])).is_ok();
    if !has_plugin {
        return checks::skipped("docker compose config", "the compose plugin of Docker is not here");
    }
    let mut command = Command::new("docker");
    command.args(["compose", "--env-file"]).arg(deploy.join("env.example")).arg("--file");
    command.arg(deploy.join("compose.yaml")).args(["config", "--quiet", "--no-interpolate"]);
    checks::one("docker compose config", command)
}

fn promtool(deploy: &Path) -> Outcome {
    if on_path("promtool").is_none() {
        return checks::skipped("promtool check config", "promtool is not on PATH");
    }
    let mut command = Command::new("promtool");
    command.args(["check", "config"]).arg(deploy.join("prometheus/prometheus.yml"));
    checks::one("promtool check config", command)
}

/// The documents of a YAML text.
fn documents(text: &str) -> Result<Vec<Value>, Failure> {
    let read = serde_yaml_ng::Deserializer::from_str(text).map(Value::deserialize).map(|parsed| {
        let mut document = parsed?;
        document.apply_merge()?;
        Ok(document)
    });
    let all: Result<Vec<Value>, serde_yaml_ng::Error> = read.collect();
    all.map_err(|error| format!("not valid YAML: {error}").into())
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()).into())
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
