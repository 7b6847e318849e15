//! `PUT /admin/subscriptions/:id/extend`: days without payment, from the later of now and the period's end.

use actix_web::web;
use minispod_auth::Action;
use minispod_domain::subscription::EXTENSION_DAYS;
use serde_json::Value;

use super::deed::{Deed, answer};
use crate::{
    answer::Result,
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, reason::read_reason},
    state::AppState,
};

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
    answer(&deed, "Subscription extended successfully", &state, &caller, &call, &id, &body.bytes).await
}

fn read(body: &Value) -> std::result::Result<Deed, ApiError> {
    let mut fields = Fields::of(body)?;
    let days = read_days(&mut fields);
    let reason = read_reason(&mut fields, "Extended by an administrator");
    fields.finish(Unknown::Refused)?;
    Ok(Deed::Extend(days, reason))
}

/// The field `extensionDays`; noted when it is out of bounds.
pub fn read_days(fields: &mut Fields<'_>) -> u16 {
    let days = fields.whole_number("extensionDays", "Extension days");
    let good = days.and_then(|days| u16::try_from(days).ok()).filter(|days| EXTENSION_DAYS.contains(days));
    if days.is_some() && good.is_none() {
        let (least, most) = (*EXTENSION_DAYS.start(), *EXTENSION_DAYS.end());
        fields.fault("extensionDays", format!("Extension days must be {least} to {most}"));
    }
    good.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn days_are_whole_and_one_to_365() {
        assert!(matches!(read(&json!({"extensionDays": 365})), Ok(Deed::Extend(365, _))));
        for bad in [json!(0), json!(366), json!(-1), json!(1.5), json!("7"), json!(null), json!(65_537)] {
            assert!(read(&json!({"extensionDays": bad})).is_err(), "{bad}");
        }
    }
}
