//! Carries out a change of plan that was asked for, and says how far it got.

use actix_web::http::StatusCode;
use minispod_auth::Action;
use minispod_domain::{AnyCommand, Direction, Objection, SubscriptionCommand, plan::details::snapshot};
use minispod_events::{Event, Fact, PlanSnapshot, SubscriptionEvent};
use minispod_kernel::Sensitive;
use minispod_projections::plan_changes::{PlanChangeStatus, id_of};
use minispod_store::{CommandError, Refused};
use serde_json::{Value, json};

use super::{Quote, absent, service_id, validate::against};
use crate::{
    answer::{Answer, Result as Answered},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    refusals::refused,
    state::AppState,
};

/// The read models that show what these routes write.
const SHOWN_BY: &[&str] = &["subscriptions", "billing", "catalogue", "plan_changes"];
/// Longest reason, in characters.
const REASON_MAX: usize = 500;

/// What the body of a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    service_id: String,
    reason: Option<String>,
    confirmed: bool,
}

impl Wish {
    fn read(body: &Value, confirmation: &'static str) -> Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let service_id = service_id(&mut fields);
        let reason = fields.optional_text("reason", "Reason").map(str::trim).filter(|text| !text.is_empty());
        if reason.is_some_and(|text| text.chars().count() > REASON_MAX || text.contains('\0')) {
            fields.fault("reason", format!("Reason must be at most {REASON_MAX} characters long"));
        }
        let confirmed = fields.optional_flag(confirmation, "Confirmation").unwrap_or(false);
        let reason = reason.map(str::to_owned);
        fields.finish(Unknown::Ignored)?;
        Ok(Self { service_id, reason, confirmed })
    }
}

/// Which of the two routes was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Now; what costs something is confirmed.
    Up,
    /// Now for an administrator, with the next period for the customer; always confirmed.
    Down,
}

impl Way {
    const fn confirmation(self) -> &'static str {
        match self {
            Self::Up => "confirmPayment",
            Self::Down => "confirmDowngrade",
        }
    }

    const fn unconfirmed(self) -> &'static str {
        match self {
            Self::Up => "PAYMENT_CONFIRMATION_REQUIRED",
            Self::Down => "DOWNGRADE_CONFIRMATION_REQUIRED",
        }
    }

    fn needs_confirmation(self, quote: &Quote) -> bool {
        self == Self::Down || quote.proration.charge().is_positive()
    }
}

pub(super) async fn carry_out(
    way: Way,
    state: &AppState,
    caller: &Caller,
    call: &Call,
    id: &str,
    body: RequestBody,
) -> Answered {
    let body = body.form().await?;
    let wish = Wish::read(&body.value, way.confirmation())?;
    let quote = Quote::of(state, caller, id, &wish.service_id).await?;
    let row = &quote.subscription.row;
    if row.user_id != caller.user.id {
        caller.may(Action::ManageSubscriptions)?;
    }
    let by_administrator = caller.may(Action::ManageSubscriptions).is_ok();
    if way.needs_confirmation(&quote) && !wish.confirmed {
        return Err(unconfirmed(way, &quote));
    }
    let to = snapshot(&quote.target.id, &quote.target.details, quote.target.monthly_price, row.cycle)
        .ok_or_else(|| absent("SERVICE_NOT_FOUND", "Service not found"))?;
    let later = way == Way::Down && !by_administrator;
    let reason = wish.reason.map(Sensitive::Open);
    let command = AnyCommand::Subscription(command(way, later, &quote, to, by_administrator, reason)?);
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    if !quote.fits && !call.is_repeat(state, &context).await? {
        let objection = Objection::NoRoom;
        return Err(eligibility_error(&quote, &[objection.code()], objection.to_string()));
    }
    let asked = match state.dispatcher.dispatch_as(id, command, context).await {
        Ok(asked) => asked,
        Err(CommandError::Refused(no)) => return Err(not_eligible(&quote, caller, &no)),
        Err(error) => return Err(error.into()),
    };
    let (version, replayed) = (asked.version, asked.replayed);
    let driven = state.dispatcher.drive(asked, &call.cause(caller.actor())).await?;
    let shown = call.shown(state, SHOWN_BY, driven.ins_seq).await;
    if let Some((_, no)) = driven.refusals.first() {
        return Err(not_eligible(&quote, caller, no));
    }
    let standing = Standing::load(state, id, version).await?;
    if let Some(code) = standing.failure.as_deref().filter(|_| replayed) {
        return Err(replayed_failure(&quote, code));
    }
    let data = json!({
        "success": true,
        "planChangeId": id_of(id, standing.number),
        "message": standing.message(),
        "status": standing.status.as_str(),
        "calculation": quote.calculation(),
        "newService": {
            "id": quote.target.id,
            "name": quote.target.details.display_name,
            "variant": quote.target.details.variant,
        },
    });
    Ok(Answer::ok(standing.message(), data).at_version(standing.version).replayed(replayed).shown(shown))
}

/// The customer's cheaper plan comes with the next period; asking for the plan that he has takes that wish back.
fn command(
    way: Way,
    later: bool,
    quote: &Quote,
    to: PlanSnapshot,
    by_administrator: bool,
    reason: Option<Sensitive<String>>,
) -> Result<SubscriptionCommand, ApiError> {
    let row = &quote.subscription.row;
    if later && to.plan_id == row.plan_id && row.next_plan_id.is_some() {
        return Ok(SubscriptionCommand::WithdrawDowngrade);
    }
    if later {
        return Ok(SubscriptionCommand::ScheduleDowngrade { to, reason });
    }
    if way == Way::Down && quote.proration.direction() != Direction::Downgrade {
        return Err(ApiError::conflict("This plan is not cheaper; use the upgrade"));
    }
    Ok(SubscriptionCommand::ChangePlan { to, by_administrator, reason })
}

/// 400 with the sum that is to be confirmed.
fn unconfirmed(way: Way, quote: &Quote) -> ApiError {
    let message = match way {
        Way::Up => "Confirm the payment to change the plan",
        Way::Down => "Confirm the downgrade to change the plan",
    };
    let data = json!({ "error": way.unconfirmed(), "message": message, "calculation": quote.calculation() });
    ApiError::new(StatusCode::BAD_REQUEST, way.unconfirmed(), message).with_data(data)
}

/// A rule's no in the contract's words: 402 when only money is missing, else 409.
fn not_eligible(quote: &Quote, caller: &Caller, no: &Refused) -> ApiError {
    let (mut codes, mut messages) = (Vec::new(), Vec::new());
    for objection in against(quote, caller) {
        codes.push(objection.code());
        messages.push(objection.to_string());
    }
    if let Some(objection) = of_step(&no.code).filter(|objection| !codes.contains(&objection.code())) {
        codes.push(objection.code());
        messages.push(objection.to_string());
    }
    if codes.is_empty() {
        return refused(no);
    }
    eligibility_error(quote, &codes, messages.join(", "))
}

fn eligibility_error(quote: &Quote, codes: &[&str], message: String) -> ApiError {
    let money_alone = codes == [Objection::InsufficientBalance.code()];
    let (status, error) = if money_alone {
        (StatusCode::PAYMENT_REQUIRED, "INSUFFICIENT_BALANCE")
    } else {
        (StatusCode::CONFLICT, "UPGRADE_NOT_ELIGIBLE")
    };
    let data = json!({ "error": error, "message": message, "calculation": quote.calculation() });
    let code = json!({ "error": error, "reasons": codes });
    ApiError::new(status, error, message).with_data(data).with_code(code)
}

/// What a step of the change said no to.
fn of_step(code: &str) -> Option<Objection> {
    match code {
        "wallet-insufficient-balance" | "wallet-not-open" => Some(Objection::InsufficientBalance),
        "plan-sold-out" => Some(Objection::SoldOut),
        "plan-retired" | "plan-not-found" => Some(Objection::NotSold),
        "subscription-wrong-state" | "subscription-period-over" => Some(Objection::NotActive),
        "subscription-cheaper-plan" => Some(Objection::CheaperPlan),
        "subscription-same-plan" => Some(Objection::SamePlan),
        "subscription-other-offering" => Some(Objection::OtherService),
        _ => None,
    }
}

fn replayed_failure(quote: &Quote, code: &str) -> ApiError {
    match of_step(code) {
        Some(objection) => eligibility_error(quote, &[objection.code()], objection.to_string()),
        None => ApiError::conflict("The plan could not be changed"),
    }
}

/// Where the change stands that was asked for at a version of the subscription, by the log.
struct Standing {
    number: u32,
    status: PlanChangeStatus,
    failure: Option<String>,
    version: i64,
}

impl Standing {
    async fn load(state: &AppState, id: &str, asked_at: i64) -> Result<Self, ApiError> {
        let mut standing = Self { number: 0, status: PlanChangeStatus::Processing, failure: None, version: asked_at };
        for recorded in state.store.log().history("subscription", id).await? {
            standing.version = recorded.sequence;
            let is_before = recorded.sequence <= asked_at;
            if let Event::Subscription(event) = Fact::read(recorded).map_err(ApiError::internal)?.event {
                standing.follow(&event, is_before);
            }
        }
        Ok(standing)
    }

    fn follow(&mut self, event: &SubscriptionEvent, is_before: bool) {
        let (number, status) = match event {
            SubscriptionEvent::SubscriptionDowngradeScheduled { change, .. } => (*change, PlanChangeStatus::Pending),
            SubscriptionEvent::SubscriptionDowngradeWithdrawn { change, .. } => (*change, PlanChangeStatus::Cancelled),
            SubscriptionEvent::SubscriptionPlanChangeStarted { change, .. }
            | SubscriptionEvent::SubscriptionPlanChangeSlotHeld { change, .. } => {
                (*change, PlanChangeStatus::Processing)
            }
            SubscriptionEvent::SubscriptionPlanChangePaid { change, .. } => {
                (*change, PlanChangeStatus::MigratingResources)
            }
            SubscriptionEvent::SubscriptionPlanChanged { change, .. } => (*change, PlanChangeStatus::Completed),
            SubscriptionEvent::SubscriptionPlanChangeFailed { change, code, .. } => {
                if is_before || *change == self.number {
                    self.failure = Some(code.clone());
                }
                (*change, PlanChangeStatus::Failed)
            }
            SubscriptionEvent::SubscriptionPlanChangeReverted { change, .. } => (*change, PlanChangeStatus::RolledBack),
            _ => return,
        };
        if is_before && number != self.number {
            self.number = number;
            self.failure = None;
        }
        if number == self.number {
            self.status = status;
        }
    }

    const fn message(&self) -> &'static str {
        match self.status {
            PlanChangeStatus::Completed => "Plan changed successfully",
            PlanChangeStatus::Pending => "The cheaper plan begins with the next period",
            PlanChangeStatus::Cancelled => "The scheduled change of plan is withdrawn",
            PlanChangeStatus::RolledBack | PlanChangeStatus::Failed => "The change of plan was taken back",
            _ => "The change of plan is paid and the service is being moved",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_names_a_plan_and_says_whether_it_is_confirmed() {
        let id = "cplanpaid0000000000000000";
        let body = json!({"newServiceId": id, "reason": " more room ", "confirmPayment": true});
        let wish = Wish::read(&body, Way::Up.confirmation()).expect("reads");
        assert_eq!(wish, Wish { service_id: id.into(), reason: Some("more room".into()), confirmed: true });
        assert!(!Wish::read(&body, Way::Down.confirmation()).expect("reads").confirmed, "another confirmation");
        for bad in [
            json!({}),
            json!({"newServiceId": id, "reason": "x".repeat(501)}),
            json!({"newServiceId": id, "reason": 5}),
            json!({"newServiceId": id, "confirmPayment": "perhaps"}),
        ] {
            assert!(Wish::read(&bad, Way::Up.confirmation()).is_err(), "{bad}");
        }
    }
}
