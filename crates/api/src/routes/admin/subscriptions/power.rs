//! Starting and stopping the instance of a subscription, whatever becomes of the subscription itself.

use minispod_auth::Action;
use minispod_domain::{AnyCommand, InstanceCommand};
use minispod_projections::subscriptions;
use minispod_store::CommandError;

use super::deed::look;
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::{ApiError, RETRY_AFTER},
    input::RequestBody,
    placed::Placed,
    refusals::read_failed,
    routes::subscriptions::SHOWN_BY,
    state::AppState,
};

/// Asks it of the instance, which knows whether it may run.
pub async fn ask(
    command: InstanceCommand,
    message: &'static str,
    (state, caller, call): (&AppState, &Caller, &Call),
    id: &str,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageSubscriptions)?;
    let body = body.form().await?;
    Placed::existing(state, id).await?;
    let view = subscriptions::find(state.pool(), id, None).await.map_err(read_failed)?;
    let instance_id = view.ok_or_else(|| ApiError::busy(RETRY_AFTER))?.row.instance_id;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let done = state.dispatcher.dispatch_as(&instance_id, AnyCommand::Instance(command), context).await;
    let done = done.map_err(refusal)?;
    let shown = call.shown(state, SHOWN_BY, done.ins_seq).await;
    let (view, _) = look(state, id).await?;
    Ok(Answer::ok(message, view).replayed(done.replayed).shown(shown))
}

/// The subscription is there: that it has no instance yet is no reason for a 404.
fn refusal(error: CommandError) -> ApiError {
    match error {
        CommandError::Refused(no) if no.code == "instance-not-found" => {
            ApiError::conflict("The service is not deployed yet")
        }
        other => other.into(),
    }
}
