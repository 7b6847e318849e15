//! Timers as the events say, and whether the table holds the same.

use std::{collections::HashMap, time::Duration};

use minispod_kernel::{Consequence, Recorded, Timestamp};
use serde_json::Value;
use sqlx::{PgConnection, types::time::OffsetDateTime};

use super::{Findings, PAGE, Problem};
use crate::StoreError;

/// How far the clock of the role that fires may be ahead of ours.
const CLOCK_MARGIN: Duration = Duration::from_secs(5);

/// The last word on each timer that was not cancelled, by id.
#[derive(Default)]
pub(super) struct Timers(HashMap<String, Set>);

/// What an event set.
#[derive(PartialEq)]
struct Set {
    due: Timestamp,
    aggregate_type: String,
    aggregate_id: String,
    command: Value,
    correlation_id: String,
    causation_id: String,
}

/// A row of the table: its id and the rest.
type Row = (String, OffsetDateTime, String, String, Value, String, String);

impl Timers {
    pub(super) fn play(&mut self, event: &Recorded, consequence: &Consequence) {
        match consequence {
            Consequence::SetTimer { id, due, aggregate_type, aggregate_id, command } => {
                let set = Set {
                    due: *due,
                    aggregate_type: (*aggregate_type).to_owned(),
                    aggregate_id: aggregate_id.clone(),
                    command: command.clone(),
                    correlation_id: event.metadata.correlation_id.clone(),
                    causation_id: event.metadata.event_id.clone(),
                };
                self.0.insert(id.clone(), set);
            }
            Consequence::CancelTimer { id } => {
                self.0.remove(id);
            }
            Consequence::Require { .. }
            | Consequence::Hold { .. }
            | Consequence::Once { .. }
            | Consequence::Release { .. } => {}
        }
    }

    /// Whoever fires a timer removes its row, so one whose instant has passed may be gone.
    pub(super) async fn compare(
        mut self,
        db: &mut PgConnection,
        findings: &mut Findings,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let rows: Vec<Row> = sqlx::query_as(
                "SELECT id, due, aggregate_type, aggregate_id, command, correlation_id, causation_id
                 FROM ops.timers WHERE id > $1 ORDER BY id LIMIT $2",
            )
            .bind(&after)
            .bind(PAGE)
            .fetch_all(&mut *db)
            .await
            .map_err(StoreError::database("read the timers"))?;
            let count = rows.len() as i64;
            for (id, due, aggregate_type, aggregate_id, command, correlation_id, causation_id) in rows {
                after.clone_from(&id);
                findings.timers += 1;
                let due = Timestamp::new(due);
                let row = Set { due, aggregate_type, aggregate_id, command, correlation_id, causation_id };
                match self.0.remove(&id) {
                    None => findings.tell(Problem::TimerUnfounded { id }),
                    Some(set) if set != row => findings.tell(Problem::TimerDiffers { id }),
                    Some(_) => {}
                }
            }
            if count < PAGE {
                break;
            }
        }
        let mut missing: Vec<String> =
            self.0.into_iter().filter(|(_, set)| set.due > now.plus(CLOCK_MARGIN)).map(|(id, _)| id).collect();
        missing.sort_unstable();
        for id in missing {
            findings.tell(Problem::TimerMissing { id });
        }
        Ok(())
    }
}
