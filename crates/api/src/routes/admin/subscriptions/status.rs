//! `PUT /admin/subscriptions/:id/status`: suspends, resumes, ends or lets expire.

use actix_web::web;
use minispod_auth::Action;
use minispod_projections::subscriptions::SubscriptionStatus;
use serde_json::Value;

use super::deed::{Deed, answer};
use crate::{
    answer::Result,
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, reason::read_reason},
    routes::transactions::list::words,
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
    answer(&deed, "Subscription status updated successfully", &state, &caller, &call, &id, &body.bytes).await
}

fn read(body: &Value) -> std::result::Result<Deed, ApiError> {
    let mut fields = Fields::of(body)?;
    let status = read_status(&mut fields);
    let reason = read_reason(&mut fields, "Changed by an administrator");
    fields.finish(Unknown::Refused)?;
    Ok(Deed::Stand(status, reason))
}

/// The field `status`; noted when it is none.
pub fn read_status(fields: &mut Fields<'_>) -> SubscriptionStatus {
    let word = fields.text("status", "Status");
    let status = word.and_then(SubscriptionStatus::parse);
    if word.is_some() && status.is_none() {
        let known = words(SubscriptionStatus::ALL, SubscriptionStatus::as_str).join(", ");
        fields.fault("status", format!("Status must be one of {known}"));
    }
    status.unwrap_or(SubscriptionStatus::PendingDeployment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_one_of_the_five() {
        let deed = read(&json!({"status": "SUSPENDED", "reason": "abuse"})).expect("reads");
        assert_eq!(deed, Deed::Stand(SubscriptionStatus::Suspended, "abuse".to_owned()));
        for bad in [json!({}), json!({"status": "DELETED"}), json!({"status": 5}), json!({"status": "ACTIVE", "x": 1})]
        {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}
