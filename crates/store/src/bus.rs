//! The command bus: one command in, its events in the log, the new version out.

use std::sync::Arc;

use minispod_kernel::Aggregate;

use crate::{CommandContext, CommandError, Outcome, lanes::Lanes};

/// Executes commands; a cheap clone.
#[derive(Clone)]
pub struct CommandBus {
    lanes: Arc<Lanes>,
}

impl CommandBus {
    pub(crate) fn new(lanes: Arc<Lanes>) -> Self {
        Self { lanes }
    }

    /// Load, decide, commit. Answers only after the commit; dropping the future does not stop the command.
    pub async fn execute<A: Aggregate>(
        &self,
        aggregate_id: &str,
        command: A::Command,
        context: CommandContext,
    ) -> Result<Outcome<A::Event>, CommandError> {
        self.lanes.execute::<A>(aggregate_id, command, context).await
    }
}
