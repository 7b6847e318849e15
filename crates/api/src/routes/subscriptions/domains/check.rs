//! `POST /subscriptions/:id/domains/:host/verify`: looks for the proof now; what comes of it shows in the list.

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
    let command = CustomDomainsCommand::Check { host: host.clone() };
    let done = tell(&state, &view.row.instance_id, command, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let row = left_by(&state, &done, &host).await?;
    let data = views::custom_domains::full(&row, &target(&state, &view));
    Ok(Answer::ok("The domain's record is being looked for", data).replayed(done.replayed).shown(shown))
}
