//! The live cluster for requests: whether this process has one, and its failures as answers.

use std::{error::Error, time::Duration};

use actix_web::{HttpRequest, http::StatusCode};
use minispod_domain::ports::fleet::{EventSeen, Fleet, FleetError, LINES_MAX, LogWish, Place};
use minispod_projections::subscriptions::InstanceRow;

use crate::{
    error::{ApiError, RETRY_AFTER},
    input::Query,
    state::AppState,
    views::pods,
};

/// The cluster, else 503.
pub fn fleet(state: &AppState) -> Result<&dyn Fleet, ApiError> {
    state.fleet.as_deref().ok_or_else(|| {
        ApiError::busy(RETRY_AFTER)
            .with_message("This process has no connection to the cluster, so it cannot look there")
    })
}

/// A cluster that did not answer is 503; one that says no is 409, in its own words.
pub fn fleet_failed(error: FleetError) -> ApiError {
    match error {
        FleetError::Unreachable { .. } => {
            ApiError::unavailable(error).with_message("The cluster does not answer, please try again")
        }
        FleetError::NotPermitted { .. } => {
            ApiError::unavailable(error).with_message("The cluster does not allow this process to do that")
        }
        FleetError::Refused { reason, .. } => {
            ApiError::new(StatusCode::CONFLICT, "CONFLICT_ERROR", format!("The cluster refuses it: {reason}"))
        }
    }
}

/// Longest wait for a look at the cluster that an answer can do without.
const SOON: Duration = Duration::from_secs(2);

/// What a look at the cluster saw, for an answer that can do without: `None` when it failed or took too long.
pub async fn soon<T>(view: &'static str, look: impl Future<Output = Result<T, FleetError>>) -> Option<T> {
    let why: Box<dyn Error + Send + Sync> = match tokio::time::timeout(SOON, look).await {
        Ok(Ok(seen)) => return Some(seen),
        Ok(Err(error)) => error.into(),
        Err(late) => late.into(),
    };
    tracing::debug!(view, error = why.as_ref() as &dyn Error, "an answer goes without a look at the cluster");
    metrics::counter!("minispod_api_live_views_failed_total", "view" => view).increment(1);
    None
}

/// Lines when none are asked for.
pub const LINES: u32 = 100;
/// What stands for the log of what is not there.
const NO_POD: &str = "No pod of this instance is there, so there is no log.";

/// Where an instance is; `None` before the cluster took its objects.
pub fn place_of(row: &InstanceRow) -> Option<Place> {
    let namespace = row.namespace.clone()?;
    Some(Place { namespace, instance_id: row.id.clone() })
}

/// The pod of an instance and what it printed last.
pub async fn log_of(fleet: &dyn Fleet, row: &InstanceRow, wish: &LogWish) -> Result<(String, String), ApiError> {
    let seen = match place_of(row) {
        Some(place) => fleet.log_of(&place, wish).await.map_err(fleet_failed)?,
        None => None,
    };
    Ok(seen.map_or_else(|| (pods::name(row).to_owned(), NO_POD.to_owned()), |seen| (seen.pod, seen.text)))
}

/// What happened to an instance; nothing before the cluster took its objects.
pub async fn events_of(fleet: &dyn Fleet, row: &InstanceRow) -> Result<Vec<EventSeen>, ApiError> {
    match place_of(row) {
        Some(place) => fleet.events_of(&place, pods::name(row)).await.map_err(fleet_failed),
        None => Ok(Vec::new()),
    }
}

/// Which lines a request asks for.
pub fn log_wish(request: &HttpRequest) -> Result<LogWish, ApiError> {
    let mut query = Query::of(request);
    let wish = LogWish {
        lines: query.number("lines", LINES_MAX).unwrap_or(LINES),
        since: query.from("since"),
        timestamps: query.flag("timestamps").unwrap_or(false),
    };
    query.finish()?;
    Ok(wish)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::{ResponseError, test::TestRequest};

    #[test]
    fn an_outage_is_503_with_a_cause_for_the_log_only_and_a_refusal_is_409() {
        let what = || "look at the nodes".to_owned();
        let away = fleet_failed(FleetError::Unreachable { what: what(), source: Some("connect 10.0.0.1".into()) });
        assert_eq!((away.status_code().as_u16(), away.retry_after_seconds()), (503, Some(2)));
        assert!(!away.message().contains("10.0.0.1"));
        assert!(away.cause_chain().is_some_and(|cause| cause.contains("10.0.0.1")));
        let denied = fleet_failed(FleetError::NotPermitted { what: what(), reason: "User \"x\" cannot".into() });
        assert_eq!(denied.status_code(), 503);
        assert!(!denied.message().contains("User"));
        assert_eq!(fleet_failed(FleetError::Refused { what: what(), reason: "no".into() }).status_code(), 409);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_can_do_without_the_cluster_does_not_wait_for_it() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _here = metrics::set_default_local_recorder(&recorder);
        assert_eq!(soon("pods", async { Ok(7) }).await, Some(7));
        let away = FleetError::Unreachable { what: "look".to_owned(), source: None };
        assert_eq!(soon::<u8>("pods", async { Err(away) }).await, None);
        let begun = tokio::time::Instant::now();
        assert_eq!(soon::<u8>("pods", std::future::pending()).await, None);
        assert_eq!(begun.elapsed().as_secs(), 2);
        let text = recorder.handle().render();
        assert!(text.contains("minispod_api_live_views_failed_total{view=\"pods\"} 2"), "{text}");
    }

    #[test]
    fn lines_are_bounded_and_every_bad_parameter_is_named() {
        let of = |query: &str| log_wish(&TestRequest::with_uri(&format!("/?{query}")).to_http_request());
        assert_eq!(of("").expect("reads"), LogWish { lines: 100, since: None, timestamps: false });
        let all = of("lines=1000&since=2026-11-26T10:00:00.500Z&timestamps=true").expect("reads");
        let since = all.since.map(minispod_kernel::Timestamp::to_contract);
        assert_eq!((all.lines, since.as_deref(), all.timestamps), (1000, Some("2026-11-26T10:00:00.500Z"), true));
        let bad = of("lines=1001&since=yesterday&timestamps=1").expect_err("three faults");
        let names: Vec<_> = bad.errors().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(names, ["lines", "since", "timestamps"]);
        assert!(of("lines=0").is_err());
    }
}
