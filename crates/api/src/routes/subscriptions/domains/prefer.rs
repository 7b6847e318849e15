//! `PUT /subscriptions/:id/domains/:host/primary`: the service's public address has this host: one that was brought, or the platform's own.

use actix_web::web;
use minispod_domain::CustomDomainsCommand;

use super::{SHOWN_BY, left_by, of_path, target, tell};
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
    path: web::Path<(String, String)>,
    body: RequestBody,
) -> Result {
    let body = body.form().await?;
    let (view, host) = of_path(&state, &caller, &path).await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let target = target(&state, &view);
    let preferred = (host != target).then(|| host.clone());
    let command = CustomDomainsCommand::Prefer { host: preferred.clone() };
    let done = tell(&state, &view.row.instance_id, command, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let data = match preferred {
        Some(host) => views::custom_domains::full(&left_by(&state, &done, &host).await?, &target),
        None => views::custom_domains::own(&target),
    };
    Ok(Answer::ok("The service's public address is changing", data).replayed(done.replayed).shown(shown))
}
