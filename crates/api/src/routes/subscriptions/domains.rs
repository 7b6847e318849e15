//! The hosts that a customer brings to a service: each is proved by a record in its DNS, then the service answers to it.

pub mod add;
pub mod check;
pub mod list;
pub mod prefer;
pub mod remove;

use actix_web::web::{ServiceConfig, delete, get, post, put, resource};
use minispod_domain::{AnyCommand, CustomDomainsCommand, custom_domains::host};
use minispod_events::{Event, Fact};
use minispod_projections::{custom_domains::CustomDomainRow, subscriptions::SubscriptionView};
use minispod_runtime::Dispatched;
use minispod_store::CommandContext;

use super::owned;
use crate::{caller::Caller, error::ApiError, state::AppState};

/// Paths under `/subscriptions/{id}/domains`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/subscriptions/{id}/domains").route(get().to(list::handle)).route(post().to(add::handle)))
        .service(resource("/subscriptions/{id}/domains/{host}").route(delete().to(remove::handle)))
        .service(resource("/subscriptions/{id}/domains/{host}/verify").route(post().to(check::handle)))
        .service(resource("/subscriptions/{id}/domains/{host}/primary").route(put().to(prefer::handle)));
}

/// The read models that show what these routes write.
pub(in crate::routes) const SHOWN_BY: &[&str] = &["custom_domains"];

/// The caller's own service, and the host of the path as it is kept.
async fn of_path(
    state: &AppState,
    caller: &Caller,
    (id, host): &(String, String),
) -> Result<(SubscriptionView, String), ApiError> {
    let view = owned(state, id, caller).await?;
    let host = host::normalised(host).ok_or_else(|| ApiError::not_found("Domain"))?;
    Ok((view, host))
}

pub(in crate::routes) async fn tell(
    state: &AppState,
    instance_id: &str,
    command: CustomDomainsCommand,
    context: CommandContext,
) -> Result<Dispatched, ApiError> {
    Ok(state.dispatcher.dispatch_as(instance_id, AnyCommand::CustomDomains(command), context).await?)
}

/// A host as the command left it: the answer must not lag behind the log, and the repeat of a request gets the same one,
/// whatever came after it.
async fn left_by(state: &AppState, done: &Dispatched, host: &str) -> Result<CustomDomainRow, ApiError> {
    at_version(state, &done.aggregate_id, done.version, host).await
}

/// A host as the command found it.
pub(in crate::routes) async fn found_by(
    state: &AppState,
    done: &Dispatched,
    host: &str,
) -> Result<CustomDomainRow, ApiError> {
    let written = i64::try_from(done.events.len()).unwrap_or(i64::MAX);
    at_version(state, &done.aggregate_id, done.version.saturating_sub(written), host).await
}

async fn at_version(
    state: &AppState,
    instance_id: &str,
    version: i64,
    host: &str,
) -> Result<CustomDomainRow, ApiError> {
    let mut events = Vec::new();
    for recorded in state.store.log().history("custom_domains", instance_id).await? {
        if recorded.sequence > version {
            break;
        }
        if let Event::CustomDomains(event) = Fact::read(recorded).map_err(ApiError::internal)?.event {
            events.push(event);
        }
    }
    let found = CustomDomainRow::fold(instance_id, &events).into_iter().find(|row| row.host == host);
    found.ok_or_else(|| ApiError::not_found("Domain"))
}

/// The platform's own host of the service: what a brought one's address record leads to.
fn target(state: &AppState, view: &SubscriptionView) -> String {
    format!("{}.{}.{}", view.row.subdomain, view.row.offering, state.config.cluster_domain)
}
