//! `DELETE /subscriptions/:id/domains/:host`: the service answers to the host no more, and others may bring it.

use actix_web::web;
use minispod_domain::CustomDomainsCommand;
use serde_json::json;

use super::{SHOWN_BY, of_path, tell};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    path: web::Path<(String, String)>,
) -> Result {
    let (view, host) = of_path(&state, &caller, &path).await?;
    let context = call.command(caller.actor(), &caller.user.id, b"");
    let command = CustomDomainsCommand::Remove { host: host.clone() };
    let done = tell(&state, &view.row.instance_id, command, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    Ok(Answer::ok("Domain removed successfully", json!({ "host": host })).replayed(done.replayed).shown(shown))
}
