//! `DELETE /admin/subscriptions/:id/force-cancel`: ends it in whatever state it is, for a reason that is kept.

use actix_web::web;
use minispod_auth::Action;
use serde_json::Value;

use super::deed::{Deed, answer};
use crate::{
    answer::Result,
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, reason::REASON_MAX},
    state::AppState,
};

/// Shortest reason, in characters.
pub const REASON_MIN: usize = 10;

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageSubscriptions)?;
    let body = body.form().await?;
    let deed = read(&body.value)?;
    answer(&deed, "Subscription cancelled successfully", &state, &caller, &call, &id, &body.bytes).await
}

fn read(body: &Value) -> std::result::Result<Deed, ApiError> {
    let mut fields = Fields::of(body)?;
    let reason = read_full_reason(&mut fields);
    fields.finish(Unknown::Refused)?;
    Ok(Deed::Cancel(reason))
}

/// The field `reason` where one must be given; noted when it is out of bounds.
pub fn read_full_reason(fields: &mut Fields<'_>) -> String {
    let reason = fields.text("reason", "Reason").map(str::trim);
    let good =
        |text: &str| (REASON_MIN..=REASON_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if reason.is_some_and(|text| !good(text)) {
        fields.fault("reason", format!("Reason must be a line of {REASON_MIN} to {REASON_MAX} characters"));
    }
    reason.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reason_must_be_given_and_is_bounded() {
        let deed = read(&json!({"reason": "  mines coins all day "})).expect("reads");
        assert_eq!(deed, Deed::Cancel("mines coins all day".to_owned()));
        for bad in [
            json!({}),
            json!({"reason": "too short"}),
            json!({"reason": "         x         "}),
            json!({"reason": "x".repeat(501)}),
            json!({"reason": "two\nlines of it"}),
            json!({"reason": 5}),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}
