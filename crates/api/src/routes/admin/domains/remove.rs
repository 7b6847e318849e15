//! `DELETE /admin/domains/:host`: takes a host from the service that answers to it, as when its name has another owner now.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::{AnyCommand, CustomDomainsCommand};
use minispod_projections::custom_domains::CustomDomainStatus;

use super::of_path;
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    state::AppState,
    views,
};

/// The read model that shows what this route writes.
const SHOWN_BY: &[&str] = &["custom_domains"];

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, host: web::Path<String>) -> Result {
    caller.may(Action::ManageSubscriptions)?;
    let rows = of_path(&state, &host).await?;
    let row = rows.into_iter().find(|row| row.status == CustomDomainStatus::Verified);
    let row = row.ok_or_else(|| ApiError::conflict("No service answers to this host"))?;
    let command = AnyCommand::CustomDomains(CustomDomainsCommand::Remove { host: row.host.clone() });
    let context = call.command(caller.actor(), &caller.user.id, b"");
    let done = state.dispatcher.dispatch_as(&row.instance_id, command, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    tracing::info!(administrator = caller.user.id, host = row.host, "a host was taken from its service");
    let data = views::custom_domains::for_administrators(&row);
    Ok(Answer::ok("Domain removed successfully", data).replayed(done.replayed).shown(shown))
}
