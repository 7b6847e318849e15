//! `PUT /subscriptions/:id`: switches automatic renewal, and gives the service other settings.

use actix_web::web;
use minispod_domain::{AnyCommand, SubscriptionCommand};
use minispod_projections::subscriptions;
use minispod_store::CommandContext;
use serde_json::Value;

use super::{
    SHOWN_BY, owned,
    read::TRANSACTIONS,
    settings::Settings,
    usage::{RECENT, recent},
};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    placed::Placed,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    let before = owned(&state, &id, &caller).await?;
    let body = body.form().await?;
    let mut wish = Wish::read(&body.value)?;
    let instance_id = before.row.instance_id;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let mut vault = Vec::new();
    if let Some(settings) = &mut wish.settings {
        if !call.is_repeat(&state, &context).await? {
            settings.check(&state.offerings.overrides(&before.row.offering))?;
            let set = Placed::load(&state, &id).await?;
            settings.unhide(state.store.vault(), &instance_id, set.overrides()).await?;
        }
        vault = settings.secrets_instead(&instance_id)?;
    }
    let command = AnyCommand::Subscription(SubscriptionCommand::Configure {
        auto_renew: wish.auto_renew,
        overrides: wish.settings.as_ref().map(Settings::names),
    });
    let done = state.dispatcher.dispatch_as(&id, command, CommandContext { vault, ..context }).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let detail = subscriptions::detail(state.pool(), &id, Some(&caller.user.id), TRANSACTIONS).await;
    let mut detail = detail.map_err(read_failed)?.ok_or_else(|| ApiError::not_found("Subscription"))?;
    // The log is read last, so that it is never the older one.
    let placed = Placed::load(&state, &id).await?;
    detail.subscription = placed.over(detail.subscription);
    let usage = recent(&state, &id, &instance_id, RECENT).await?;
    Ok(Answer::ok(
        "Subscription updated successfully",
        views::subscriptions::detail(&detail, views::people::mini(&caller.user), usage),
    )
    .at_version(placed.version())
    .replayed(done.replayed)
    .shown(shown))
}

/// What is to be different; `None` stays as it is.
#[derive(Debug, PartialEq)]
struct Wish {
    auto_renew: Option<bool>,
    /// All settings from now on.
    settings: Option<Settings>,
}

impl Wish {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let auto_renew = fields.optional_flag("autoRenew", "Auto-renew");
        let settings = Settings::read(&mut fields);
        fields.finish(Unknown::Refused)?;
        if auto_renew.is_none() && settings.is_none() {
            return Err(ApiError::invalid_field("body", "At least one of autoRenew and customConfig is required"));
        }
        Ok(Self { auto_renew, settings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_of_the_two_is_enough_and_none_is_not() {
        assert_eq!(Wish::read(&json!({"autoRenew": "false"})).expect("reads").auto_renew, Some(false));
        assert!(Wish::read(&json!({"customConfig": {}})).expect("reads").settings.is_some());
        for bad in [
            json!({}),
            json!({"autoRenew": null}),
            json!({"autoRenew": "perhaps"}),
            json!({"customConfig": [1]}),
            json!({"autoRenew": true, "status": "ACTIVE"}),
        ] {
            assert!(Wish::read(&bad).is_err(), "{bad}");
        }
    }
}
