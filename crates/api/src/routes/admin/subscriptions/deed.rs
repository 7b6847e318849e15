//! What an administrator does to a subscription, alone or to many at once.

use std::time::Duration;

use minispod_domain::{AnyCommand, SubscriptionCommand};
use minispod_events::{CancelReason, Event, ExpiryCause, Fact, SubscriptionEvent};
use minispod_kernel::{InsSeq, RefusalKind, Sensitive};
use minispod_projections::{
    subscriptions::{self, SubscriptionStatus},
    users,
};
use minispod_runtime::{Cause, Dispatched};
use minispod_store::{CommandContext, Refused};
use serde_json::Value;

use crate::{
    answer::{Answer, Result as Answered},
    call::Call,
    caller::Caller,
    error::{ApiError, RETRY_AFTER},
    placed::Placed,
    refusals::{read_failed, refused},
    routes::subscriptions::SHOWN_BY,
    state::AppState,
    views,
};

/// How long an unfinished step is carried on by the next request; what is older the billing role has long done.
const FRESH: Duration = Duration::from_mins(5);

/// One of the things that can be done, each for its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Let it stand like this.
    Stand(SubscriptionStatus, String),
    /// So many more days.
    Extend(u16, String),
    /// End it.
    Cancel(String),
}

/// What a deed has left.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// The place in the log that a reader waits for.
    pub ins_seq: InsSeq,
    replayed: bool,
}

impl Deed {
    /// The command; `None`: nobody can bring it about, it stands so or it does not.
    fn command(&self) -> Option<SubscriptionCommand> {
        let open = |text: &String| Sensitive::Open(text.clone());
        Some(match self {
            Self::Extend(days, reason) => SubscriptionCommand::Extend { days: *days, reason: open(reason) },
            Self::Cancel(reason) | Self::Stand(SubscriptionStatus::Cancelled, reason) => {
                SubscriptionCommand::Cancel { reason: CancelReason::Administrator { text: open(reason) } }
            }
            Self::Stand(SubscriptionStatus::Active, reason) => {
                SubscriptionCommand::StartResume { reason: open(reason) }
            }
            Self::Stand(SubscriptionStatus::Suspended, reason) => SubscriptionCommand::Suspend { reason: open(reason) },
            Self::Stand(SubscriptionStatus::Expired, reason) => {
                SubscriptionCommand::Expire { cause: ExpiryCause::Administrator { text: open(reason) } }
            }
            Self::Stand(SubscriptionStatus::PendingDeployment, _) => return None,
        })
    }

    /// Does it to `id`, and everything that follows within the request.
    pub async fn carry_out(
        &self,
        state: &AppState,
        caller: &Caller,
        call: &Call,
        id: &str,
        context: CommandContext,
    ) -> Result<Done, ApiError> {
        let before = Placed::existing(state, id).await?;
        let Some(command) = self.command() else { return stand_still(state, &before).await };
        let cause = call.cause(caller.actor());
        finish_last_step(state, &cause, id).await?;
        let done = state.dispatcher.dispatch_as(id, AnyCommand::Subscription(command), context).await?;
        let replayed = done.replayed;
        let driven = state.dispatcher.drive(done, &cause).await?;
        if let Some((_, no)) = driven.refusals.first() {
            // That it was tried is in the log, and is shown like any other write.
            state.read_models.show(SHOWN_BY, driven.ins_seq).await;
            return Err(not_resumed(no));
        }
        let waits = driven.events.iter().any(|(_, event)| is_resumption(event));
        let shall_run = waits || matches!(self, Self::Stand(SubscriptionStatus::Active, _));
        if shall_run && !replayed && Placed::load(state, id).await?.status() != SubscriptionStatus::Active {
            // The plan has not answered yet; it will, or the wait ends by itself.
            return Err(ApiError::busy(RETRY_AFTER));
        }
        Ok(Done { ins_seq: driven.ins_seq, replayed })
    }
}

/// Does it to one subscription, waits until that is shown, and answers with how it stands then.
pub async fn answer(
    deed: &Deed,
    message: &'static str,
    state: &AppState,
    caller: &Caller,
    call: &Call,
    id: &str,
    body: &[u8],
) -> Answered {
    let context = call.command(caller.actor(), &caller.user.id, body);
    let done = deed.carry_out(state, caller, call, id, context).await?;
    let shown = call.shown(state, SHOWN_BY, done.ins_seq).await;
    let (view, version) = look(state, id).await?;
    Ok(Answer::ok(message, view).at_version(version).replayed(done.replayed).shown(shown))
}

/// A subscription with its owner, its plan and its instance, and its version.
pub async fn look(state: &AppState, id: &str) -> Result<(Value, i64), ApiError> {
    // What is there was found before: a read model without it is behind.
    let view = subscriptions::find(state.pool(), id, None).await.map_err(read_failed)?;
    let view = view.ok_or_else(|| ApiError::busy(RETRY_AFTER))?;
    let owner = users::find(state.pool(), &view.row.user_id).await.map_err(read_failed)?;
    let owner = owner.ok_or_else(|| ApiError::busy(RETRY_AFTER))?;
    // The log is read last, so that it is never the older one.
    let placed = Placed::load(state, id).await?;
    Ok((views::subscriptions::administered(&placed.over(view), &owner), placed.version()))
}

/// Deployment is what subscribing begins, not what somebody decrees.
async fn stand_still(state: &AppState, before: &Placed) -> Result<Done, ApiError> {
    if before.status() != SubscriptionStatus::PendingDeployment {
        return Err(ApiError::conflict("A subscription that was deployed does not become pending again"));
    }
    Ok(Done { ins_seq: state.store.log().newest_ins_seq().await?, replayed: false })
}

/// Carries on what the last request began and did not live to finish, under the same derived keys: the slot that a
/// suspension gives back must be back before a resumption asks for one.
async fn finish_last_step(state: &AppState, cause: &Cause, id: &str) -> Result<(), ApiError> {
    let mut begun = None;
    for recorded in state.store.log().history("subscription", id).await? {
        let (event_id, version, ins_seq) = (recorded.metadata.event_id.clone(), recorded.sequence, recorded.ins_seq);
        let event = Fact::read(recorded).map_err(ApiError::internal)?.event;
        let Event::Subscription(step) = &event else { continue };
        match step {
            SubscriptionEvent::SubscriptionSuspended { .. }
            | SubscriptionEvent::SubscriptionExpired { .. }
            | SubscriptionEvent::SubscriptionResumeStarted { .. } => {
                let events = vec![(event_id, event)];
                begun = Some(Dispatched { aggregate_id: id.to_owned(), version, ins_seq, events, replayed: true });
            }
            SubscriptionEvent::SubscriptionResumed { .. }
            | SubscriptionEvent::SubscriptionResumeFailed { .. }
            | SubscriptionEvent::SubscriptionCancelled { .. } => begun = None,
            _ => {}
        }
    }
    let since = state.clock.now();
    let fresh = |step: &Dispatched| step.events.iter().all(|(_, event)| event.occurred_at().plus(FRESH) > since);
    if let Some(step) = begun.filter(fresh) {
        state.dispatcher.drive(step, cause).await?;
    }
    Ok(())
}

const fn is_resumption(event: &Event) -> bool {
    matches!(event, Event::Subscription(SubscriptionEvent::SubscriptionResumeStarted { .. }))
}

/// The plan's no to a resumption. The subscription is there: that its plan is not is no reason for a 404.
fn not_resumed(no: &Refused) -> ApiError {
    match no.kind {
        RefusalKind::NotFound => ApiError::conflict("The plan of this subscription does not exist any more"),
        _ => refused(no),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;

    #[test]
    fn every_standing_has_its_command_but_the_one_that_only_subscribing_begins() {
        for status in SubscriptionStatus::ALL {
            let command = Deed::Stand(*status, "because".to_owned()).command();
            assert_eq!(command.is_none(), *status == SubscriptionStatus::PendingDeployment, "{status:?}");
        }
    }

    #[test]
    fn a_plan_that_is_gone_is_a_conflict() {
        let no = |kind| Refused { code: "x".into(), kind, message: "every slot is taken".into() };
        assert_eq!(not_resumed(&no(RefusalKind::NotFound)).status_code(), 409);
        assert_eq!(not_resumed(&no(RefusalKind::Conflict)).message(), "Every slot is taken");
    }
}
