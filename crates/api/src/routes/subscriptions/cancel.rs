//! `DELETE /subscriptions/:id`: ends it now; the data is kept for the retention time.

use actix_web::web;
use minispod_domain::{AnyCommand, SubscriptionCommand};
use minispod_events::CancelReason;
use minispod_kernel::Sensitive;
use serde_json::Value;

use super::{SHOWN_BY, owned};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    placed::Placed,
    state::AppState,
    views,
};

/// Longest reason, in characters.
const REASON_MAX: usize = 500;

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    let body = body.form().await?;
    let text = read(&body.value)?;
    owned(&state, &id, &caller).await?;
    let command = AnyCommand::Subscription(SubscriptionCommand::Cancel {
        reason: CancelReason::Customer { text: Sensitive::Open(text) },
    });
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let cancelled = state.dispatcher.dispatch_as(&id, command, context).await?;
    let replayed = cancelled.replayed;
    let driven = state.dispatcher.drive(cancelled, &call.cause(caller.actor())).await?;
    let shown = call.shown(&state, SHOWN_BY, driven.ins_seq).await;
    // The log is read last, so that it is never the older one.
    let after = owned(&state, &id, &caller).await?;
    let placed = Placed::load(&state, &id).await?;
    let after = placed.over(after);
    Ok(Answer::ok("Subscription cancelled successfully", views::subscriptions::cancelled(&after, &caller.user))
        .at_version(placed.version())
        .replayed(replayed)
        .shown(shown))
}

/// The customer's reason, empty when none was given.
fn read(body: &Value) -> std::result::Result<String, ApiError> {
    let mut fields = Fields::of(body)?;
    let reason = fields.optional_text("reason", "Reason").map(str::trim).unwrap_or_default();
    if reason.chars().count() > REASON_MAX || reason.contains('\0') {
        fields.fault("reason", format!("Reason must be at most {REASON_MAX} characters long"));
    }
    // Ending now somebody who asked for the period's end would be worse than a refusal.
    if fields.optional_flag("immediate", "Immediate") == Some(false) {
        fields.fault("immediate", "Cancelling at the end of the period is not offered; leave it out to cancel now");
    }
    fields.finish(Unknown::Ignored)?;
    Ok(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reason_is_optional_and_bounded() {
        assert_eq!(read(&json!({})).expect("reads"), "");
        assert_eq!(read(&json!({"reason": " too dear ", "immediate": true})).expect("reads"), "too dear");
        for bad in [
            json!({"reason": "x".repeat(501)}),
            json!({"reason": 5}),
            json!({"immediate": "maybe"}),
            json!({"immediate": false}),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}
