//! `POST /admin/pods/:id/restart`: a new pod over the same data; what was stopped stays stopped.

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
    let asked = ask(&state, &caller, &call, &id, Wish::Restart, context).await?;
    let owned = existing(&state, &id).await?;
    let row = &asked.after;
    let data = json!({
        "id": row.id,
        "podName": views::pods::name(row),
        "status": row.status.as_str(),
        "message": "The pod is being restarted",
        "restartedAt": asked.at.to_contract(),
        "owner": owned.owner_view(),
        "service": owned.service_view(),
        "restartDetails": views::pods::restart_details(&asked.before, row, asked.at),
    });
    Ok(Answer::ok("Pod restarted successfully", data)
        .at_version(asked.version)
        .replayed(asked.replayed)
        .shown(asked.shown))
}
