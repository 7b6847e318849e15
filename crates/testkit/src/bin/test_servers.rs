//! Starts one server pair for a run of many test programs, says where, and ends it when standard input ends.

use std::io::{self, BufRead, Write};

use minispod_testkit::Shared;

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared = runtime.block_on(Shared::start());
    let mut out = io::stdout();
    writeln!(out, "MINISPOD_TEST_PG={}", shared.postgres_url())?;
    writeln!(out, "MINISPOD_TEST_NATS={}", shared.nats.url())?;
    writeln!(out, "ready")?;
    out.flush()?;
    // `cargo xtask test` holds the other end: when it ends, in whatever way, so do the servers.
    for line in io::stdin().lock().lines() {
        line?;
    }
    Ok(())
}
