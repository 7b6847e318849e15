//! The timers' loop: what is due by the Clock is sent as a command whose key is the timer's own.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};
use metrics::{counter, gauge, histogram};
use minispod_domain::{AnyCommand, CommandRequest};
use minispod_kernel::{Actor, Timestamp};
use minispod_store::{CommandError, StoreError, Timer};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    dispatcher::{Cause, Dispatcher},
    shutdown::pause,
};

/// Name of the role in events that timers cause.
pub const ROLE: &str = "timers";
/// Pause between looks.
pub const POLL: Duration = Duration::from_millis(250);
/// Timers read at once.
const BATCH: i64 = 200;
/// Aggregates whose timers are fired beside each other.
const CONCURRENCY: usize = 8;

/// What one look has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fired {
    pub fired: usize,
    /// Still there, to be tried again.
    pub failed: usize,
}

/// Fires due timers until told to stop. Any number of copies may run: a timer's key makes a second firing a replay.
pub async fn run(dispatcher: Dispatcher, stop: CancellationToken) {
    let mut failures = 0;
    loop {
        // A batch that has begun is finished.
        let wait = match fire_due(&dispatcher).await {
            Ok(Fired { fired, failed: 0 }) => {
                failures = 0;
                if fired > 0 { Duration::ZERO } else { POLL }
            }
            Ok(Fired { .. }) => {
                failures += 1;
                Backoff::LOOPS.after(failures, dispatcher.store().ids().as_ref())
            }
            Err(error) => {
                tracing::warn!(%error, "timers cannot be read");
                failures += 1;
                Backoff::LOOPS.after(failures, dispatcher.store().ids().as_ref())
            }
        };
        if pause(wait, &stop).await {
            return;
        }
    }
}

/// One look: fires what is due, the timers of one aggregate in order, aggregates beside each other.
pub async fn fire_due(dispatcher: &Dispatcher) -> Result<Fired, StoreError> {
    let store = dispatcher.store();
    let now = store.clock().now();
    let (due, late_millis) = store.timers().overdue(now).await?;
    gauge!("minispod_timers_overdue").set(due as f64);
    gauge!("minispod_timers_late_seconds").set(late_millis as f64 / 1_000.0);
    if due == 0 {
        return Ok(Fired::default());
    }
    let mut lanes: BTreeMap<(String, String), Vec<Timer>> = BTreeMap::new();
    for timer in store.timers().due(now, BATCH).await? {
        lanes.entry((timer.aggregate_type.clone(), timer.aggregate_id.clone())).or_default().push(timer);
    }
    let lanes = lanes.into_values().map(|timers| fire_lane(dispatcher, timers, now));
    let results: Vec<Fired> = stream::iter(lanes).buffer_unordered(CONCURRENCY).collect().await;
    Ok(results
        .into_iter()
        .fold(Fired::default(), |sum, lane| Fired { fired: sum.fired + lane.fired, failed: sum.failed + lane.failed }))
}

/// One aggregate's timers in order; a failure keeps the later ones waiting.
async fn fire_lane(dispatcher: &Dispatcher, timers: Vec<Timer>, now: Timestamp) -> Fired {
    let mut result = Fired::default();
    let count = timers.len();
    for timer in timers {
        if let Err(error) = fire(dispatcher, &timer).await {
            counter!("minispod_timer_failures_total").increment(1);
            tracing::warn!(timer = timer.id, %error, "a timer could not be fired; it stays due");
            result.failed = count - result.fired;
            return result;
        }
        histogram!("minispod_timer_lateness_seconds")
            .record((now.unix_millis() - timer.due.unix_millis()).max(0) as f64 / 1_000.0);
        result.fired += 1;
    }
    result
}

#[derive(Debug, thiserror::Error)]
enum TimerError {
    #[error("its command cannot be read")]
    Unreadable(#[source] serde_json::Error),
    #[error("its command was not carried out")]
    Command(#[source] CommandError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn fire(dispatcher: &Dispatcher, timer: &Timer) -> Result<(), TimerError> {
    let request = CommandRequest {
        key: timer.command_key(),
        aggregate_id: timer.aggregate_id.clone(),
        command: command_of(timer).map_err(TimerError::Unreadable)?,
        on_refusal: None,
    };
    let cause = Cause {
        actor: Actor::system(ROLE),
        correlation_id: timer.correlation_id.clone(),
        causation_id: Some(timer.causation_id.clone()),
        traceparent: None,
    };
    let outcome = match dispatcher.dispatch(request, &cause).await {
        Ok(_) => "done",
        // The aggregate has moved on and needs no reminder.
        Err(CommandError::Refused(refused)) => {
            tracing::info!(timer = timer.id, code = refused.code, "a timer's command was refused");
            "refused"
        }
        Err(error) => return Err(TimerError::Command(error)),
    };
    dispatcher.store().timers().done(timer).await?;
    counter!("minispod_timers_fired_total", "aggregate" => timer.aggregate_type.clone(), "outcome" => outcome)
        .increment(1);
    Ok(())
}

/// Consequences write either the whole command or only the aggregate's own part of it.
fn command_of(timer: &Timer) -> Result<AnyCommand, serde_json::Error> {
    let whole = timer.command.get("aggregate").is_some();
    let value: Value = if whole {
        timer.command.clone()
    } else {
        json!({ "aggregate": timer.aggregate_type, "command": timer.command })
    };
    serde_json::from_value(value)
}
