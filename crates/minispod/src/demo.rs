//! The whole customer journey through the public doors of a running system, each step with its time.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

mod client;
mod journey;

pub use client::DemoError;
use client::Door;

use crate::{cli::DemoArgs, state::StateDir};

/// How long any one step may take.
const STEP_LIMIT: Duration = Duration::from_secs(150);

/// What to walk and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Base address of the api, without a path.
    pub url: String,
    /// Make the cluster refuse the instance and watch the refund.
    pub fail_provisioning: bool,
}

/// As `minispod demo` was called: `--url`, else the system of the state directory.
pub async fn from_command_line(arguments: DemoArgs) -> Result<(), DemoError> {
    let url = if let Some(url) = arguments.url {
        url
    } else {
        let running = StateDir::new(&arguments.state).running();
        running.map(|running| running.url).ok_or_else(|| DemoError::Nothing(arguments.state.display().to_string()))?
    };
    run(Options { url, fail_provisioning: arguments.fail_provisioning }).await
}

/// Walks the journey and prints every step; an error names the step that failed.
pub async fn run(options: Options) -> Result<(), DemoError> {
    let started = Instant::now();
    let mut demo = Demo { door: Door::new(&options.url)?, steps: 0, email: String::new() };
    let status = demo.step("The system answers and says what is a stand-in", journey::status).await?;
    let stand_ins = journey::StandIns::from_status(&status)?;
    stand_ins.announce();
    journey::walk(&mut demo, &stand_ins, options.fail_provisioning).await?;
    println!("\n{} steps in {:.1} s", demo.steps, started.elapsed().as_secs_f32());
    Ok(())
}

/// One walk: the customer's door and a counter.
pub(crate) struct Demo {
    pub(crate) door: Door,
    pub(crate) email: String,
    steps: u32,
}

impl Demo {
    /// Runs one step under the limit and prints its name, its time and what it showed.
    pub(crate) async fn step<F>(&mut self, name: &str, action: F) -> Result<Value, DemoError>
    where
        F: AsyncFnOnce(&mut Door) -> Result<(String, Value), DemoError>,
    {
        self.steps += 1;
        let mut head = format!("{:>2}. {name} … ", self.steps);
        // A person sees what is being waited for; in a file, logs of the roles would come between.
        if std::io::stdout().is_terminal() {
            print!("{head}");
            let _ = std::io::stdout().flush();
            head.clear();
        }
        let started = Instant::now();
        let outcome = tokio::time::timeout(STEP_LIMIT, action(&mut self.door)).await;
        let (shown, value) = match outcome {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => {
                println!("{head}failed");
                return Err(DemoError::Step { step: name.to_owned(), source: Box::new(error) });
            }
            Err(_) => {
                println!("{head}no answer within {} s", STEP_LIMIT.as_secs());
                return Err(DemoError::TooSlow { step: name.to_owned() });
            }
        };
        println!("{head}{shown} ({} ms)", started.elapsed().as_millis());
        Ok(value)
    }
}

/// An object with nothing in it, for steps that only show something.
pub(crate) fn nothing() -> Value {
    json!({})
}
