//! `DELETE /admin/pods/orphaned/:deploymentName/:namespace`: deletes one workload that belongs to no instance.

use actix_web::web;
use minispod_auth::Action;
use serde_json::json;

use super::{Cleaned, confirmed, judging::Claims};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    fleet::{fleet, fleet_failed},
    input::{Fields, RequestBody, Unknown},
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    place: web::Path<(String, String)>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageInstances)?;
    let body = body.form().await?;
    let mut fields = Fields::of(&body.value)?;
    confirmed(&mut fields);
    fields.finish(Unknown::Ignored)?;
    let (name, namespace) = place.into_inner();
    let fleet = fleet(&state)?;
    let mut workloads = fleet.workloads().await.map_err(fleet_failed)?;
    workloads.retain(|one| one.name == name && one.namespace == namespace);
    let Some(orphan) = workloads.first() else {
        return Err(ApiError::not_found("Deployment"));
    };
    if !Claims::on(&state, &workloads, &[]).await?.workload(orphan).is_orphan() {
        return Err(ApiError::conflict("The deployment belongs to an instance, so it is not deleted here"));
    }
    let mut cleaned = Cleaned::default();
    cleaned.take(fleet, &caller, orphan).await.map_err(fleet_failed)?;
    let data = json!({
        "deploymentName": orphan.name,
        "namespace": orphan.namespace,
        "cleanupResults": cleaned.results(),
        "summary": cleaned.summary(),
        "message": "The deployment is deleted; volumes are kept",
        "simulated": fleet.is_simulated(),
    });
    Ok(Answer::ok("Orphaned pod deleted successfully", data))
}
