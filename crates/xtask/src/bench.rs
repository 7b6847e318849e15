//! `cargo xtask bench`: measure in release mode; the program itself is `crates/bench`.

use crate::{
    cargo,
    shell::{Failure, aloud},
    tools,
};

/// Gets the servers, builds in release mode, and hands over `arguments`.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    tools::fetch(tools::Wanted::default())?;
    let mut command = cargo::command(&["run", "--release", "--package", "minispod-bench", "--"]);
    aloud(command.args(arguments))
}
