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
const SHOWN_BY: &[&str] = &["custom_domains"];

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

async fn tell(
    state: &AppState,
    view: &SubscriptionView,
    command: CustomDomainsCommand,
    context: CommandContext,
) -> Result<Dispatched, ApiError> {
    let command = AnyCommand::CustomDomains(command);
    Ok(state.dispatcher.dispatch_as(&view.row.instance_id, command, context).await?)
}

/// The service's hosts as the log has them: the answer to a request must not lag behind it.
async fn from_log(state: &AppState, view: &SubscriptionView) -> Result<Vec<CustomDomainRow>, ApiError> {
    let instance_id = &view.row.instance_id;
    let mut events = Vec::new();
    for recorded in state.store.log().history("custom_domains", instance_id).await? {
        if let Event::CustomDomains(event) = Fact::read(recorded).map_err(ApiError::internal)?.event {
            events.push(event);
        }
    }
    Ok(CustomDomainRow::fold(instance_id, &events))
}

/// The same of one host.
async fn one_from_log(state: &AppState, view: &SubscriptionView, host: &str) -> Result<CustomDomainRow, ApiError> {
    let found = from_log(state, view).await?.into_iter().find(|row| row.host == host);
    found.ok_or_else(|| ApiError::not_found("Domain"))
}

/// The platform's own host of the service: what a brought one's address record leads to.
fn target(state: &AppState, view: &SubscriptionView) -> String {
    format!("{}.{}.{}", view.row.subdomain, view.row.offering, state.config.cluster_domain)
}
