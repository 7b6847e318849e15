//! Moving a subscription to another plan: where to, for how much, and what was moved before.

pub mod calculate;
mod change;
pub mod downgrade;
pub mod list;
pub mod options;
pub mod upgrade;
pub mod validate;

use actix_web::{
    http::StatusCode,
    web::{ServiceConfig, get, post, resource},
};
use minispod_auth::Action;
use minispod_domain::{Proration, plan::details::price_of};
use minispod_kernel::{Rupiah, ids::is_aggregate_id};
use minispod_projections::{
    billing,
    catalogue::{self, PlanRow},
    subscriptions::{self, SubscriptionRow, SubscriptionView},
};
use serde_json::{Value, json};

use crate::{
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    refusals::read_failed,
    refused_access::Kind,
    room,
    state::AppState,
    views,
};

/// Paths under `/subscriptions/{id}` that are about its plan.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/subscriptions/{id}/upgrade-options").route(get().to(options::handle)))
        .service(resource("/subscriptions/{id}/validate-upgrade").route(post().to(validate::handle)))
        .service(resource("/subscriptions/{id}/calculate-upgrade").route(post().to(calculate::handle)))
        .service(resource("/subscriptions/{id}/upgrade").route(post().to(upgrade::handle)))
        .service(resource("/subscriptions/{id}/downgrade").route(post().to(downgrade::handle)))
        .service(resource("/subscriptions/{id}/plan-changes").route(get().to(list::handle)));
}

/// 404 with the contract's word for what is not there.
fn absent(code: &'static str, message: &'static str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, code, message).with_data(json!({ "error": code, "message": message }))
}

/// The subscription `id`: one's own, or anybody's for an administrator; else 404.
async fn within_reach(state: &AppState, caller: &Caller, id: &str) -> Result<SubscriptionView, ApiError> {
    let none = || absent("SUBSCRIPTION_NOT_FOUND", "Subscription not found");
    if !is_aggregate_id(id) {
        return Err(none());
    }
    let owner = caller.may(Action::ReadSubscriptions).is_err().then_some(caller.user.id.as_str());
    let view = subscriptions::find(state.pool(), id, owner).await.map_err(read_failed)?;
    view.ok_or_else(|| none().sought(&[Kind::Subscription], id))
}

/// What moving to `plan` now would cost or give back; `None` when it cannot be counted.
fn prorated(state: &AppState, row: &SubscriptionRow, plan: &PlanRow) -> Option<Proration> {
    let price = price_of(plan.monthly_price, row.cycle, plan.details.yearly_discount_percent)?;
    let paid = row.price.checked_sub(row.discount)?;
    Proration::of(paid, price, row.period_start, row.expires_at, state.clock.now())
}

/// A change of plan that is asked about.
struct Quote {
    subscription: SubscriptionView,
    target: PlanRow,
    proration: Proration,
    /// The cluster has room for what the target requests beyond what there is.
    fits: bool,
    /// Of the customer's wallet, whoever asks.
    balance: Rupiah,
}

impl Quote {
    /// Of subscription `id` and the `newServiceId` of the body.
    async fn load(state: &AppState, caller: &Caller, id: &str, body: RequestBody) -> Result<Self, ApiError> {
        let target = new_service_id(&body.form().await?.value)?;
        Self::of(state, caller, id, &target).await
    }

    /// Of subscription `id` and the plan `target`.
    async fn of(state: &AppState, caller: &Caller, id: &str, target: &str) -> Result<Self, ApiError> {
        let subscription = within_reach(state, caller, id).await?;
        let target = catalogue::find(state.pool(), target).await.map_err(read_failed)?;
        let target =
            target.filter(|plan| !plan.deleted).ok_or_else(|| absent("SERVICE_NOT_FOUND", "Service not found"))?;
        let proration = prorated(state, &subscription.row, &target)
            .ok_or_else(|| ApiError::conflict("The difference to this plan cannot be calculated"))?;
        let wallet = billing::wallet(state.pool(), &subscription.row.user_id).await.map_err(read_failed)?;
        let balance = wallet.map_or(Rupiah::ZERO, |wallet| wallet.balance);
        let fits = match &subscription.instance {
            Some(now) => room::fits_instead(state, &target, &now.cpu_request, &now.mem_request).await?,
            None => true,
        };
        Ok(Self { subscription, target, proration, fits, balance })
    }

    /// The contract's `Calc`.
    fn calculation(&self) -> Value {
        views::plan_changes::calculation(&self.subscription.row, &self.target, &self.proration, self.balance)
    }
}

fn new_service_id(body: &Value) -> Result<String, ApiError> {
    let mut fields = Fields::of(body)?;
    let id = service_id(&mut fields);
    fields.finish(Unknown::Ignored)?;
    Ok(id)
}

/// Empty when it is not there or does not look like one; the fault is noted.
fn service_id(fields: &mut Fields<'_>) -> String {
    let id = fields.text("newServiceId", "New service ID");
    let is_id = |id: &str| {
        (25..=30).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
    };
    if id.is_some_and(|id| !is_id(id)) {
        fields.fault("newServiceId", "New service ID must be 25 to 30 lower-case letters and digits");
    }
    id.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_id_is_there_and_looks_like_one() {
        let good = "cplanpaid0000000000000000";
        assert_eq!(new_service_id(&json!({"newServiceId": good, "reason": "more"})).expect("reads"), good);
        for bad in [
            json!({}),
            json!({"newServiceId": 5}),
            json!({"newServiceId": "x"}),
            json!({"newServiceId": "C".repeat(25)}),
        ] {
            assert_eq!(new_service_id(&bad).expect_err("refused").errors()[0].field, "newServiceId", "{bad}");
        }
    }
}
