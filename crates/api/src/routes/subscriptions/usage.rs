//! `GET /subscriptions/:id/usage`: what the service used, by hour, day, week or month.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use minispod_store::{Grain, telemetry::POINTS_MAX};
use serde_json::{Value, json};

use super::owned;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::Query,
    refusals::read_failed,
    state::AppState,
    views,
};

/// Words, steps, their length, and how many are shown when nothing is asked for.
const GRAINS: [(&str, Grain, Duration, u32); 4] = [
    ("hour", Grain::Hour, Duration::from_hours(1), 48),
    ("day", Grain::Day, Duration::from_hours(24), 30),
    ("week", Grain::Week, Duration::from_hours(7 * 24), 26),
    ("month", Grain::Month, Duration::from_hours(31 * 24), 12),
];

/// More points than an answer has.
const BEYOND: u32 = POINTS_MAX as u32 + 1;

/// The newest samples of one's service, as they stand beside everything else about it.
pub const RECENT: i64 = 10;
/// The same for administrators.
pub const RECENT_FOR_ADMINISTRATORS: i64 = 20;

/// The newest `most` samples.
pub async fn recent(
    state: &AppState,
    subscription_id: &str,
    instance_id: &str,
    most: i64,
) -> std::result::Result<Value, ApiError> {
    let points = state.store.telemetry().newest_usage(instance_id, most).await.map_err(read_failed)?;
    Ok(views::usage::metrics(subscription_id, instance_id, &points))
}

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>, request: HttpRequest) -> Result {
    let mut query = Query::of(&request);
    let words = GRAINS.map(|(word, ..)| word);
    let find = |word: &str| GRAINS.into_iter().find(|(name, ..)| *name == word);
    let (word, grain, step, shown) = query.word("granularity", find, &words).unwrap_or(GRAINS[1]);
    let (from, until) = (query.from("startDate"), query.until("endDate"));
    let until = until.unwrap_or_else(|| state.clock.now());
    let from = from.unwrap_or_else(|| until.minus(step * shown));
    if until <= from {
        query.fault("endDate", "endDate must be after startDate");
    } else if from <= until.minus(step * BEYOND) {
        query.fault("granularity", format!("startDate and endDate span more than {POINTS_MAX} of {word}"));
    }
    query.finish()?;
    let view = owned(&state, &id, &caller).await?;
    let (row, instance) = (&view.row, &view.row.instance_id);
    let points = state.store.telemetry().usage(instance, from, until, grain).await.map_err(read_failed)?;
    let data = json!({
        "subscription": {
            "id": row.id,
            "status": row.status.as_str(),
            "service": view.plan.as_ref().map(views::plans::full),
        },
        "metrics": views::usage::metrics(&row.id, instance, &points),
        "summary": views::usage::summary(&points),
        "period": { "startDate": from.to_contract(), "endDate": until.to_contract(), "granularity": word },
        "simulated": view.instance.as_ref().is_some_and(|instance| instance.simulated),
    });
    Ok(Answer::ok("Usage retrieved successfully", data))
}
