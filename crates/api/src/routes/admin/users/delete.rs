//! `DELETE /admin/users/:id`: forgets a person. What was paid, invoiced and done stays, without a name.

use actix_web::{http::StatusCode, web};
use minispod_auth::Action;
use minispod_domain::{AnyCommand, SubscriptionCommand, UserCommand};
use minispod_events::{CancelReason, Role};
use minispod_kernel::Sensitive;
use minispod_projections::{
    PageRequest,
    page::MAX_LIMIT,
    subscriptions::{self, SubscriptionFilter, SubscriptionSort, SubscriptionStatus, SubscriptionView},
};
use minispod_store::{CommandContext, VaultWrite};
use serde_json::json;

use super::{Account, SHOWN_BY, dismiss, not_found, refusal};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{RequestBody, reason::reason},
    refusals::read_failed,
    routes::auth::{PASSWORD, password_owner},
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageUsers)?;
    let body = body.form().await?;
    let reason = reason(&body.value, "Deleted by an administrator")?;
    let mut context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let account = Account::load(&state, &id).await?;
    if account.row.forgotten {
        // The key may have been left when an earlier request ended in the middle.
        state.store.vault().forget_person(&id).await?;
        if !call.is_repeat(&state, &context).await? {
            return Err(not_found());
        }
    } else {
        let rest = without_active(&state, &id).await?;
        if account.row.role == Role::Administrator {
            account.meet_expectation(&mut context)?;
            dismiss(&state, &caller, &call, &id, &reason).await?;
        }
        for subscription in rest {
            end(&state, &caller, &call, &subscription, &reason).await?;
        }
    }
    let secret = VaultWrite::Remove { owner: password_owner(&id), name: PASSWORD.to_owned() };
    let context = CommandContext { vault: vec![secret], ..context };
    let done = state.dispatcher.dispatch_as(&id, AnyCommand::User(UserCommand::Forget), context).await;
    let done = done.map_err(refusal)?;
    state.store.vault().forget_person(&id).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let row = account.row;
    let data = json!({ "id": row.id, "name": row.name, "email": row.email, "role": row.role.as_str() });
    Ok(Answer::ok("User deleted successfully", data).at_version(done.version).replayed(done.replayed).shown(shown))
}

/// The subscriptions that end with the account; a refusal while one of them has a slot.
async fn without_active(state: &AppState, id: &str) -> std::result::Result<Vec<SubscriptionView>, ApiError> {
    // Nobody is forgotten by a read model that is behind.
    let newest = state.store.log().newest_ins_seq().await?;
    if !state.read_models.show(&["subscriptions"], newest).await {
        return Err(ApiError::busy(crate::error::RETRY_AFTER));
    }
    let mut rest = Vec::new();
    for status in SubscriptionStatus::ALL {
        let filter =
            SubscriptionFilter { user_id: Some(id.to_owned()), status: Some(*status), ..SubscriptionFilter::default() };
        if *status == SubscriptionStatus::Cancelled {
            continue;
        }
        // One live subscription for each offering: never more than a page.
        let page = PageRequest::new(1, MAX_LIMIT);
        let page = subscriptions::page(state.pool(), &filter, SubscriptionSort::CreatedAt, false, page).await;
        let page = page.map_err(read_failed)?;
        let holds = matches!(status, SubscriptionStatus::Active | SubscriptionStatus::PendingDeployment);
        if holds && page.total > 0 {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "USER_HAS_ACTIVE_SUBSCRIPTIONS",
                "The user cannot be deleted while there are active subscriptions",
            ));
        }
        rest.extend(page.rows);
    }
    Ok(rest)
}

/// Ends a subscription that does not run, so that nothing of it is left in the cluster without an owner.
async fn end(
    state: &AppState,
    caller: &Caller,
    call: &Call,
    subscription: &SubscriptionView,
    reason: &str,
) -> std::result::Result<(), ApiError> {
    let text = Sensitive::Open(reason.to_owned());
    let command =
        AnyCommand::Subscription(SubscriptionCommand::Cancel { reason: CancelReason::Administrator { text } });
    let done = state.dispatcher.dispatch_as(&subscription.row.id, command, call.plain(caller.actor())).await?;
    state.dispatcher.drive(done, &call.cause(caller.actor())).await?;
    Ok(())
}
