//! `cargo xtask up`: get the tools, build, and become `minispod up`.

use std::{os::unix::process::CommandExt, process::Command};

use crate::{
    cargo::{self, Metadata},
    shell::{Failure, aloud, because, say},
    tools,
};

/// Never returns when it succeeds: this process becomes the server.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    if !arguments.iter().any(|word| word == "--help" || word == "-h") {
        tools::fetch(tools::Wanted::default())?;
    }
    say("building minispod (the first time takes a few minutes)");
    aloud(&mut cargo::command(&["build", "--package", "minispod"]))?;
    let program = Metadata::read()?.debug_program("minispod");
    let error = Command::new(&program).arg("up").args(arguments).exec();
    because(format!("cannot run {}: {error}", program.display()))
}
