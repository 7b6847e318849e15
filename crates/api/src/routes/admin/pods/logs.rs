//! `GET /admin/pods/:id/logs`: what an instance's program printed, asked of the cluster itself.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_domain::ports::fleet::{LogWish, Place};
use serde_json::json;

use super::existing;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    fleet::{fleet, fleet_failed},
    input::Query,
    state::AppState,
    views,
};

/// Lines when none are asked for, and the most.
const LINES: u32 = 100;
const LINES_MAX: u32 = 1_000;
/// What stands for the log of what is not there.
const NO_POD: &str = "No pod of this instance is there, so there is no log.";

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>, request: HttpRequest) -> Result {
    caller.may(Action::ReadInstances)?;
    let wish = read(&request)?;
    let owned = existing(&state, &id).await?;
    let fleet = fleet(&state)?;
    let row = &owned.instance.row;
    let seen = match &row.namespace {
        Some(namespace) => {
            let place = Place { namespace: namespace.clone(), instance_id: row.id.clone() };
            fleet.log_of(&place, &wish).await.map_err(fleet_failed)?
        }
        None => None,
    };
    let (pod, text) =
        seen.map_or_else(|| (views::pods::name(row).to_owned(), NO_POD.to_owned()), |seen| (seen.pod, seen.text));
    let data = json!({
        "logs": text,
        "podName": pod,
        "timestamp": state.clock.now().to_contract(),
        "owner": owned.owner_view(),
        "service": { "name": row.offering, "displayName": row.display_name },
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Pod logs retrieved successfully", data))
}

fn read(request: &HttpRequest) -> std::result::Result<LogWish, ApiError> {
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
    use actix_web::test::TestRequest;

    #[test]
    fn lines_are_bounded_and_every_bad_parameter_is_named() {
        let of = |query: &str| read(&TestRequest::with_uri(&format!("/?{query}")).to_http_request());
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
