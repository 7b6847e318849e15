//! `DELETE /admin/pods/:id`: the workload goes and the volume stays; starting it deploys it again over the same data.

use actix_web::web;
use minispod_auth::Action;
use serde_json::json;

use super::{Wish, ask, existing};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::RequestBody,
    state::AppState,
    views,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageInstances)?;
    let body = body.form().await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let asked = ask(&state, &caller, &call, &id, Wish::Delete, context).await?;
    let owned = existing(&state, &id).await?;
    let data = json!({
        "id": asked.after.id,
        "podName": views::pods::name(&asked.after),
        "message": "The workload is being deleted; its volume is kept",
        "deletedAt": asked.at.to_contract(),
        "owner": owned.owner_view(),
        "service": owned.service_view(),
    });
    Ok(Answer::ok("Pod deleted successfully", data)
        .at_version(asked.version)
        .replayed(asked.replayed)
        .shown(asked.shown))
}
