//! `cargo xtask bench`: measure in release mode; the program itself is `crates/bench`.

use crate::{
    cargo,
    shell::{Failure, aloud},
    tools,
};

/// The one suite that needs a Kubernetes control plane, and neither Postgres nor NATS.
const COMPUTE: &str = "compute";

/// Gets what the suites need, builds in release mode, and hands over `arguments`.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let suites = arguments.iter().filter(|argument| !argument.starts_with('-'));
    let (compute, others): (Vec<_>, Vec<_>) = suites.partition(|suite| *suite == COMPUTE);
    if !compute.is_empty() {
        tools::control_plane()?;
    }
    if compute.is_empty() || !others.is_empty() {
        tools::fetch(tools::Wanted::default())?;
    }
    let mut command = cargo::command(&["run", "--release", "--package", "minispod-bench", "--"]);
    aloud(command.args(arguments))
}
