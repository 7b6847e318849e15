//! `POST /subscriptions/:id/validate-upgrade`: whether a change of plan may be made, and everything in its way.

use actix_web::{http::StatusCode, web};
use minispod_auth::Action;
use minispod_domain::{Objection, Offer, PlanChange, plan_change::objections};
use minispod_projections::{catalogue::PlanRow, subscriptions::SubscriptionStatus};
use serde_json::{Value, json};

use super::Quote;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::RequestBody,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>, body: RequestBody) -> Result {
    let quote = Quote::load(&state, &caller, &id, body).await?;
    let objections = against(&quote, &caller);
    let data = json!({
        "isEligible": objections.is_empty(),
        "reasons": objections.iter().map(views::plan_changes::reason).collect::<Value>(),
        "calculation": quote.calculation(),
    });
    if objections.is_empty() {
        return Ok(Answer::ok("The plan can be changed", data));
    }
    let message = objections.iter().map(Objection::to_string).collect::<Vec<_>>().join(", ");
    Err(ApiError::new(StatusCode::BAD_REQUEST, "UPGRADE_NOT_ELIGIBLE", message).with_data(data))
}

pub(super) fn against(quote: &Quote, caller: &Caller) -> Vec<Objection> {
    let (row, target) = (&quote.subscription.row, &quote.target);
    objections(&PlanChange {
        is_active: row.status == SubscriptionStatus::Active,
        from_plan: &row.plan_id,
        from_offering: &row.offering,
        to_plan: &target.id,
        to_offering: &target.details.offering,
        offer: offer_of(target),
        fits: quote.fits,
        by_administrator: caller.may(Action::ManageSubscriptions).is_ok(),
        proration: quote.proration,
        balance: quote.balance,
    })
}

fn offer_of(plan: &PlanRow) -> Offer {
    match plan.available() {
        _ if !plan.is_active => Offer::Retired,
        0 => Offer::SoldOut,
        _ => Offer::Free,
    }
}
