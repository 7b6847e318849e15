//! `GET /admin/pods`: instances, newest first; every filter narrows the page, its total and its statistics.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_projections::subscriptions::{self, DriftState, InstanceFilter, InstanceStatus};
use serde_json::json;

use super::{Tally, live, with_owners};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    fleet::{fleet, fleet_failed},
    input::Query,
    refusals::read_failed,
    routes::admin::workers::is_node_name,
    state::AppState,
    views,
};

/// The client sends no page and has no pager, so the first page is all it shows.
const DEFAULT_LIMIT: u32 = 50;
/// Longest name or id asked for.
const NAME_MAX: usize = 64;

/// Longest name of a node.
const NODE_MAX: usize = 253;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadInstances)?;
    let mut query = Query::of(&request);
    let page = query.page(DEFAULT_LIMIT);
    let words: Vec<&str> = InstanceStatus::ALL.iter().map(|status| status.as_str()).collect();
    let filter = InstanceFilter {
        status: query.word("status", InstanceStatus::parse, &words),
        offering: query.text("serviceName", NAME_MAX),
        user_id: query.text("userId", NAME_MAX),
        drift: query.word("drift", drifting, &[DriftState::Found, DriftState::Stands].map(DriftState::as_str)),
        ids: None,
    };
    let node = query.text("workerNode", NODE_MAX);
    if node.as_deref().is_some_and(|node| !is_node_name(node)) {
        query.fault("workerNode", "workerNode must be the name of a node");
    }
    query.finish()?;
    let filter = match node {
        Some(node) => InstanceFilter { ids: Some(on_node(&state, &node).await?), ..filter },
        None => filter,
    };
    let page = subscriptions::instances(state.pool(), &filter, page).await.map_err(read_failed)?;
    let tally = Tally::of(&state, &filter).await?;
    let pagination = views::pagination(&page);
    let owned = with_owners(&state, page.rows).await?;
    let seen = live::seen(&state, &owned).await?;
    let mut statistics = tally.summary();
    statistics["total"] = tally.total().into();
    let local = !state.config.is_production();
    let data = json!({
        "pods": owned.iter().zip(&seen).map(|(pod, live)| views::pods::listed(pod, live, local)).collect::<Vec<_>>(),
        "statistics": statistics,
        "pagination": pagination,
    });
    Ok(Answer::ok("Pods retrieved successfully", data))
}

/// Who asks for drift asks for what differs.
fn drifting(word: &str) -> Option<DriftState> {
    DriftState::parse(word).filter(|state| *state != DriftState::None)
}

/// The instances that have a pod on `node` right now: only the cluster knows where pods are.
async fn on_node(state: &AppState, node: &str) -> std::result::Result<Vec<String>, ApiError> {
    fleet(state)?.instances_on(node).await.map_err(fleet_failed)
}
