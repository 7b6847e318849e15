//! `DELETE /admin/domains/:host`: takes a host from the service that answers to it, as when its name has another owner now.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::CustomDomainsCommand;
use minispod_projections::custom_domains::CustomDomainStatus;

use super::{existing, of_path};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    routes::subscriptions::domains::{SHOWN_BY, found_by, tell},
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, host: web::Path<String>) -> Result {
    caller.may(Action::ManageSubscriptions)?;
    let host = of_path(&host)?;
    let context = call.command(caller.actor(), &caller.user.id, b"");
    let instance_id = match holder(&state, &host).await {
        // The receipt answers, for the service that had the host then.
        Err(_) if call.is_repeat(&state, &context).await? => state.ids.next_id(),
        other => other?,
    };
    let done = tell(&state, &instance_id, CustomDomainsCommand::Remove { host: host.clone() }, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let row = found_by(&state, &done, &host).await?;
    tracing::info!(administrator = caller.user.id, host, "a host was taken from its service");
    let data = views::custom_domains::for_administrators(&row);
    Ok(Answer::ok("Domain removed successfully", data).replayed(done.replayed).shown(shown))
}

/// The instance that answers to the host.
async fn holder(state: &AppState, host: &str) -> std::result::Result<String, ApiError> {
    let rows = existing(state, host).await?;
    let row = rows.into_iter().find(|row| row.status == CustomDomainStatus::Verified);
    Ok(row.ok_or_else(|| ApiError::conflict("No service answers to this host"))?.instance_id)
}
