//! `POST /admin/pods/:id/reset`: wipes the data and starts anew; settings and credentials stay.

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
    let asked = ask(&state, &caller, &call, &id, Wish::Reset, context).await?;
    let owned = existing(&state, &id).await?;
    let mut data = views::pods::reset(&asked.before, &asked.after, asked.at);
    data["adminInfo"] = json!({ "owner": owned.owner_view(), "service": owned.service_view() });
    Ok(Answer::ok("Pod reset started successfully", data)
        .at_version(asked.version)
        .replayed(asked.replayed)
        .shown(asked.shown))
}
