//! Everybody's bank transfers: their proofs, and the administrators' decision.

pub mod approve;
pub mod list;
pub mod proof;
pub mod read;
pub mod refuse;

use actix_web::web::{ServiceConfig, get, post, resource};
use minispod_domain::{AnyCommand, ManualTopUpCommand};
use minispod_projections::manual_topups::ManualTopUpRow;
use minispod_store::CommandContext;
use serde_json::Value;

use super::People;
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    routes::manual_topups::{self as own, SHOWN_BY, read::existing},
    state::AppState,
    views,
};

/// Paths under `/admin/billing/manual-topups`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/billing/manual-topups").route(get().to(list::handle)))
        .service(resource("/admin/billing/manual-topups/{id}").route(get().to(read::handle)))
        .service(resource("/admin/billing/manual-topups/{id}/proof").route(get().to(proof::handle)))
        .service(resource("/admin/billing/manual-topups/{id}/approve").route(post().to(approve::handle)))
        .service(resource("/admin/billing/manual-topups/{id}/refuse").route(post().to(refuse::handle)));
}

/// One manual top-up as administrators see it.
fn show(row: &ManualTopUpRow, people: &People) -> Value {
    let mut view = own::show(row);
    view["user"] = people.show(&row.user_id, views::people::mini);
    view["proof"]["digest"] = row.digest.clone().into();
    view["endorsedBy"] = row.endorsed_by.clone().into();
    view["decidedBy"] = row.decided_by.clone().into();
    view
}

/// Carries a decision out, and what follows at once; answers with the request as it then stands.
async fn decide(
    state: &AppState,
    caller: &Caller,
    call: &Call,
    context: CommandContext,
    id: &str,
    command: ManualTopUpCommand,
) -> Result {
    let done = state.dispatcher.dispatch_as(id, AnyCommand::ManualTopUp(command), context).await?;
    let (version, replayed) = (done.version, done.replayed);
    let driven = state.dispatcher.drive(done, &call.cause(caller.actor())).await?;
    let shown = call.shown(state, SHOWN_BY, driven.ins_seq).await;
    let row = existing(state, id, None).await?;
    let people = People::of(state, std::iter::once(&row.user_id)).await?;
    Ok(Answer::ok("Manual top-up decided successfully", show(&row, &people))
        .at_version(version)
        .replayed(replayed)
        .shown(shown))
}
