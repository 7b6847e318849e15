//! `DELETE /subscriptions/:id`: ends it now, or with its period; the data is kept for the retention time.

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
    let Wish { text, at_period_end } = Wish::read(&body.value)?;
    owned(&state, &id, &caller).await?;
    let reason = CancelReason::Customer { text: Sensitive::Open(text) };
    let command = AnyCommand::Subscription(if at_period_end {
        SubscriptionCommand::ScheduleCancellation { reason }
    } else {
        SubscriptionCommand::Cancel { reason }
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
    let message =
        if at_period_end { "The subscription ends with its period" } else { "Subscription cancelled successfully" };
    Ok(Answer::ok(message, views::subscriptions::cancelled(&after, &caller.user))
        .at_version(placed.version())
        .replayed(replayed)
        .shown(shown))
}

/// What the customer asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// Empty when none was given.
    text: String,
    at_period_end: bool,
}

impl Wish {
    /// Only who says that it shall not be at once has it later.
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let reason = fields.optional_text("reason", "Reason").map(str::trim).unwrap_or_default();
        if reason.chars().count() > REASON_MAX || reason.contains('\0') {
            fields.fault("reason", format!("Reason must be at most {REASON_MAX} characters long"));
        }
        let at_period_end = fields.optional_flag("immediate", "Immediate") == Some(false);
        fields.finish(Unknown::Ignored)?;
        Ok(Self { text: reason.to_owned(), at_period_end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reason_is_optional_and_bounded() {
        let wish = |text: &str, at_period_end| Wish { text: text.to_owned(), at_period_end };
        for (body, expected) in [
            (json!({}), wish("", false)),
            (json!({"reason": " too dear ", "immediate": true}), wish("too dear", false)),
            (json!({"immediate": false}), wish("", true)),
        ] {
            assert_eq!(Wish::read(&body).expect("reads"), expected, "{body}");
        }
        for bad in [json!({"reason": "x".repeat(501)}), json!({"reason": 5}), json!({"immediate": "maybe"})] {
            assert!(Wish::read(&bad).is_err(), "{bad}");
        }
    }
}
