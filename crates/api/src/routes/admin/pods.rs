//! Everybody's instances, for administrators: what the read models know of them, and what may be asked of them.

pub mod action;
pub mod debug;
pub mod delete;
pub mod events;
pub mod follow;
pub mod list;
pub mod live;
pub mod logs;
pub mod orphaned;
pub mod read;
pub mod reset;
pub mod restart;
pub mod stats;

use std::collections::BTreeMap;

use actix_web::web::{ServiceConfig, delete, get, post, resource};
use minispod_domain::{AnyCommand, InstanceCommand};
use minispod_events::{Event, Fact};
use minispod_kernel::Timestamp;
use minispod_projections::{
    catalogue,
    subscriptions::{self, InstanceFilter, InstanceRow, InstanceStatus, InstanceView, SubscriptionStatus},
    users,
};
use minispod_store::CommandContext;
use serde_json::{Value, json};

use crate::{
    call::Call, caller::Caller, error::ApiError, input::path::existing_id, placed::Placed, preference::Shown,
    refusals::read_failed, state::AppState, views::pods::Owned,
};

/// Paths under `/admin/pods`. Fixed segments stand before `{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/pods").route(get().to(list::handle)))
        .service(resource("/admin/pods/stats").route(get().to(stats::handle)))
        .service(resource("/admin/pods/debug").route(get().to(debug::handle)))
        .configure(orphaned::configure)
        .service(resource("/admin/pods/{id}").route(get().to(read::handle)).route(delete().to(delete::handle)))
        .service(resource("/admin/pods/{id}/logs").route(get().to(logs::handle)))
        .service(resource("/admin/pods/{id}/logs/stream").route(get().to(follow::handle)))
        .service(resource("/admin/pods/{id}/events").route(get().to(events::handle)))
        .service(resource("/admin/pods/{id}/restart").route(post().to(restart::handle)))
        .service(resource("/admin/pods/{id}/reset").route(post().to(reset::handle)))
        .service(resource("/admin/pods/{id}/action").route(post().to(action::handle)));
}

/// The read model that shows what these routes write.
const SHOWN_BY: &[&str] = &["subscriptions"];

fn not_found() -> ApiError {
    ApiError::not_found("Pod")
}

/// Each of `instances` with its owner and its plan: two questions however many there are.
async fn with_owners(state: &AppState, instances: Vec<InstanceView>) -> Result<Vec<Owned>, ApiError> {
    let owners: Vec<String> = instances.iter().map(|one| one.row.user_id.clone()).collect();
    let plans: Vec<String> =
        instances.iter().filter_map(|one| one.subscription.as_ref()).map(|one| one.plan_id.clone()).collect();
    let owners = users::find_many(state.pool(), &owners).await.map_err(read_failed)?;
    let plans = catalogue::find_many(state.pool(), &plans).await.map_err(read_failed)?;
    let owners: BTreeMap<_, _> = owners.into_iter().map(|owner| (owner.id.clone(), owner)).collect();
    let plans: BTreeMap<_, _> = plans.into_iter().map(|plan| (plan.id.clone(), plan)).collect();
    let owned = instances.into_iter().map(|instance| Owned {
        owner: owners.get(&instance.row.user_id).cloned(),
        plan: instance.subscription.as_ref().and_then(|one| plans.get(&one.plan_id)).cloned(),
        instance,
    });
    Ok(owned.collect())
}

/// The instance `id` as the read models show it, else 404.
async fn existing(state: &AppState, id: &str) -> Result<Owned, ApiError> {
    let id = existing_id(id, "Pod")?;
    let view = subscriptions::instance(state.pool(), id).await.map_err(read_failed)?.ok_or_else(not_found)?;
    with_owners(state, vec![view]).await?.pop().ok_or_else(not_found)
}

/// How many of the instances asked for stand in each state, and the words that clients know.
struct Tally(BTreeMap<String, i64>);

impl Tally {
    async fn of(state: &AppState, filter: &InstanceFilter) -> Result<Self, ApiError> {
        Ok(Self(subscriptions::instance_counts(state.pool(), filter).await.map_err(read_failed)?.into_iter().collect()))
    }

    fn total(&self) -> i64 {
        self.0.values().sum()
    }

    fn summary(&self) -> Value {
        let count = |status: InstanceStatus| self.0.get(status.as_str()).copied().unwrap_or(0);
        json!({
            "running": count(InstanceStatus::Running),
            "pending": count(InstanceStatus::Pending),
            "failed": count(InstanceStatus::Failed),
            "stopped": count(InstanceStatus::Stopped),
        })
    }
}

/// What may be asked of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Restart,
    Stop,
    Start,
    /// Its data goes, and it starts anew.
    Reset,
    /// The workload goes, the volume stays: starting it again brings the same data back.
    Delete,
}

impl Wish {
    /// Why the subscription forbids it. What is still being deployed ends by its own deadline, with the money back; what
    /// nobody pays for is not started.
    fn forbidden(self, subscription: SubscriptionStatus) -> Option<&'static str> {
        match self {
            Self::Stop | Self::Delete | Self::Reset if subscription == SubscriptionStatus::PendingDeployment => {
                Some("The service is still being deployed; cancel its subscription to end it")
            }
            Self::Start | Self::Restart | Self::Reset if subscription != SubscriptionStatus::Active => {
                Some("The subscription is not active, so its service is not started")
            }
            _ => None,
        }
    }

    fn command(self, status: InstanceStatus) -> InstanceCommand {
        match self {
            Self::Restart => InstanceCommand::Restart,
            Self::Stop => InstanceCommand::Stop,
            Self::Reset => InstanceCommand::Reset,
            Self::Start if status == InstanceStatus::Deleted => InstanceCommand::Redeploy,
            Self::Start => InstanceCommand::Start,
            Self::Delete => InstanceCommand::Delete { purge_volume: false },
        }
    }
}

/// An instance before and after a wish, as the log has it: an answer must not lag.
struct Asked {
    before: InstanceRow,
    after: InstanceRow,
    version: i64,
    replayed: bool,
    shown: Shown,
    at: Timestamp,
}

/// Carries out `wish` for the instance `id`.
async fn ask(
    state: &AppState,
    caller: &Caller,
    call: &Call,
    id: &str,
    wish: Wish,
    context: CommandContext,
) -> Result<Asked, ApiError> {
    let id = existing_id(id, "Pod")?;
    let (before, _) = from_log(state, id).await?;
    if !call.is_repeat(state, &context).await? {
        let standing = Placed::load(state, &before.subscription_id).await?.status();
        if let Some(why) = wish.forbidden(standing) {
            return Err(ApiError::conflict(why));
        }
    }
    let command = AnyCommand::Instance(wish.command(before.status));
    let done = state.dispatcher.dispatch_as(id, command, context).await?;
    let replayed = done.replayed;
    let driven = state.dispatcher.drive(done, &call.cause(caller.actor())).await?;
    let shown = call.shown(state, SHOWN_BY, driven.ins_seq).await;
    let (after, version) = from_log(state, id).await?;
    Ok(Asked { before, after, version, replayed, shown, at: state.clock.now() })
}

/// The instance `id` and its version.
pub async fn from_log(state: &AppState, id: &str) -> Result<(InstanceRow, i64), ApiError> {
    let (mut row, mut version) = (None, 0);
    for recorded in state.store.log().history("instance", id).await? {
        version += 1;
        if let Event::Instance(event) = Fact::read(recorded).map_err(ApiError::internal)?.event {
            row = InstanceRow::after(row, id, &event);
        }
    }
    row.map(|row| (row, version)).ok_or_else(not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_pays_for_is_not_started_and_what_is_being_deployed_not_ended() {
        let forbidden = |wish: Wish| -> Vec<SubscriptionStatus> {
            SubscriptionStatus::ALL.iter().copied().filter(|status| wish.forbidden(*status).is_some()).collect()
        };
        let unpaid = [
            SubscriptionStatus::PendingDeployment,
            SubscriptionStatus::Expired,
            SubscriptionStatus::Cancelled,
            SubscriptionStatus::Suspended,
        ];
        assert_eq!(forbidden(Wish::Start), unpaid);
        assert_eq!(forbidden(Wish::Restart), unpaid);
        assert_eq!(forbidden(Wish::Reset), unpaid);
        for wish in [Wish::Stop, Wish::Delete] {
            assert_eq!(forbidden(wish), [SubscriptionStatus::PendingDeployment]);
        }
    }

    #[test]
    fn starting_deploys_again_only_what_was_deleted_and_deleting_keeps_the_volume() {
        for status in InstanceStatus::ALL {
            let again = *status == InstanceStatus::Deleted;
            let expected = if again { InstanceCommand::Redeploy } else { InstanceCommand::Start };
            assert_eq!(Wish::Start.command(*status), expected);
            assert_eq!(Wish::Delete.command(*status), InstanceCommand::Delete { purge_volume: false });
        }
    }
}
