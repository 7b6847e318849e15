//! `POST /subscriptions/:id/domains`: asks for a host; the answer says which records prove it and lead to the service.

use actix_web::web;
use minispod_domain::{CustomDomainsCommand, custom_domains::host};
use minispod_projections::subscriptions::SubscriptionStatus;

use super::{SHOWN_BY, left_by, owned, target, tell};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    state::AppState,
    views,
};

/// Longest text that is looked at as a host.
pub const HOST_MAX: usize = 255;
/// Bytes of a challenge: it cannot be guessed, so nobody prepares a record for another's request.
const CHALLENGE_BYTES: usize = 16;
const BAD_HOST: &str =
    "host must be a whole name of the public DNS such as shop.example.com (international names in their xn-- form)";

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    let body = body.form().await?;
    let mut fields = Fields::of(&body.value)?;
    let host = fields.text("host", "host").and_then(|text| {
        let host = (text.len() <= HOST_MAX).then(|| host::normalised(text)).flatten();
        if host.is_none() {
            fields.fault("host", BAD_HOST);
        }
        host
    });
    fields.finish(Unknown::Refused)?;
    let host = host.unwrap_or_default();
    let view = owned(&state, &id, &caller).await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    if !call.is_repeat(&state, &context).await? {
        if !state.config.brings_hosts {
            return Err(ApiError::conflict("This installation has certificates for its own domain only"));
        }
        if !state.offerings.speaks_http(&view.row.offering) {
            return Err(ApiError::conflict(
                "This service is reached from inside only: it has no address to bring a domain to",
            ));
        }
        if view.row.status != SubscriptionStatus::Active {
            return Err(ApiError::conflict("Only the service of an active subscription takes domains"));
        }
    }
    let mut challenge = [0; CHALLENGE_BYTES];
    state.ids.random(&mut challenge);
    let command = CustomDomainsCommand::Request {
        subscription_id: view.row.id.clone(),
        user_id: view.row.user_id.clone(),
        host: host.clone(),
        challenge: hex::encode(challenge),
        platform: state.config.cluster_domain.clone(),
    };
    let done = tell(&state, &view.row.instance_id, command, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let row = left_by(&state, &done, &host).await?;
    let data = views::custom_domains::full(&row, &target(&state, &view));
    let message = "Domain added: set its records, and it is verified by itself";
    Ok(Answer::created(message, data).replayed(done.replayed).shown(shown))
}
