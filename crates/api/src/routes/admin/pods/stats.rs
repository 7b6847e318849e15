//! `GET /admin/pods/stats`: the instances in numbers; deleted ones are left out.

use actix_web::web;
use minispod_auth::Action;
use minispod_projections::subscriptions::InstanceFilter;
use serde_json::json;

use super::Tally;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    caller.may(Action::ReadInstances)?;
    let tally = Tally::of(&state, &InstanceFilter::default()).await?;
    let data = json!({
        "total": tally.total(),
        "byStatus": tally.0,
        "summary": tally.summary(),
        "timestamp": state.clock.now().to_contract(),
    });
    Ok(Answer::ok("Pod statistics retrieved successfully", data))
}
