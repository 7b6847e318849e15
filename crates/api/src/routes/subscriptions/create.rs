//! `POST /subscriptions`: request, slot and charge in one call; provisioning follows by itself.

use actix_web::web;
use minispod_domain::{
    AnyCommand, SubscriptionCommand,
    plan::details::snapshot,
    subscription::{is_subdomain, subdomain_key},
};
use minispod_events::{BillingCycle, CouponPurpose, PlanSnapshot};
use minispod_kernel::{Rupiah, ids::derived_id};
use minispod_projections::{
    catalogue::{self, PlanRow},
    coupons::CouponRow,
    subscriptions,
};
use minispod_runtime::Dispatched;
use minispod_store::{CommandContext, CommandError, CommandKey};
use serde_json::Value;

use super::{DUPLICATE, NO_BALANCE, NO_ROOM, SHOWN_BY, SOLD_OUT, Weighed, balance_of, refusal_of, settings::Settings};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    placed::Placed,
    refusals::read_failed,
    room,
    routes::coupons::{objection, of_code, off, read_optional_code},
    state::AppState,
    views,
};

/// Longest id of a plan.
const SERVICE_ID_MAX: usize = 64;
/// Longest subdomain of our choice.
const SUBDOMAIN_MAX: usize = 40;
/// Characters of the user id in a subdomain of our choice: the last ones, because ids begin with the time.
const TAIL: usize = 8;
/// Subdomains tried before giving up.
const CANDIDATES: usize = 6;

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    let body = body.form().await?;
    let wish = Wish::read(&body.value)?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let repeat = call.is_repeat(&state, &context).await?;
    let plan = catalogue::find(state.pool(), &wish.service_id).await.map_err(read_failed)?;
    let plan = plan.filter(|plan| repeat || plan.is_active).ok_or_else(|| ApiError::not_found("Service"))?;
    if !repeat {
        wish.settings.check(&state.offerings.overrides(&plan.details.offering))?;
    }
    let sold = snapshot(&plan.id, &plan.details, plan.monthly_price, wish.cycle)
        .ok_or_else(|| ApiError::invalid_field("billingCycle", "This plan is not sold for this cycle"))?;
    let id = call.new_id(&state, "subscription", &caller.user.id);
    let coupon = match wish.coupon(&state, &caller, &sold, repeat).await {
        // What is against it may be what the same request did a moment ago.
        Err(_) if !repeat && call.is_repeat(&state, &context).await? => {
            wish.coupon(&state, &caller, &sold, true).await?
        }
        other => other?,
    };
    let price = coupon.as_ref().map_or(sold.price, |coupon| reduced(coupon, sold.price));
    if !repeat && let Err(refusal) = check_eligibility(&state, &caller, &plan, price).await {
        // What is in the way may be what the same request did a moment ago.
        if !call.is_repeat(&state, &context).await? {
            return Err(refusal);
        }
    }
    let instance_id = derived_id(&["instance", &id]);
    let request = |subdomain: String| {
        AnyCommand::Subscription(SubscriptionCommand::Request {
            user_id: caller.user.id.clone(),
            instance_id: instance_id.clone(),
            plan: sold.clone(),
            cycle: wish.cycle,
            subdomain,
            overrides: wish.settings.names(),
            auto_renew: wish.auto_renew,
            coupon_id: coupon.as_ref().map(|coupon| coupon.id.clone()),
        })
    };
    let context = CommandContext { vault: wish.settings.secrets(&instance_id)?, ..context };
    let candidates = wish.candidates(&plan, &caller.user.id);
    let requested = place(&state, &id, &plan.details.offering, candidates, request, &context).await?;
    let Some(requested) = requested else {
        let balance = balance_of(&state, &caller).await?;
        return Err(Weighed { reasons: vec![DUPLICATE], balance, price, existing: true }.into_error());
    };
    let (id, replayed) = (requested.aggregate_id.clone(), requested.replayed);
    let driven = state.dispatcher.drive(requested, &call.cause(caller.actor())).await?;
    let shown = call.shown(&state, SHOWN_BY, driven.ins_seq).await;
    if let Some((_, refused)) = driven.refusals.first() {
        return Err(refusal_of(&state, &caller, refused, price, false).await);
    }
    let placed = Placed::load(&state, &id).await?;
    if let Some(refused) = placed.refusal() {
        return Err(refusal_of(&state, &caller, &refused, price, false).await);
    }
    let plan = catalogue::find(state.pool(), &plan.id).await.map_err(read_failed)?.unwrap_or(plan);
    let mut view = placed.view();
    view["user"] = views::people::mini(&caller.user);
    view["service"] = views::plans::full(&plan);
    if let Some(coupon) = &coupon {
        tell_discount(&mut view, coupon, placed.discounted().unwrap_or((sold.price, price)));
    }
    Ok(Answer::ok("Subscription created successfully", view)
        .at_version(placed.version())
        .replayed(replayed)
        .shown(shown))
}

/// What the first period lists at and what it costs.
fn tell_discount(view: &mut Value, coupon: &CouponRow, (list_price, price): (Rupiah, Rupiah)) {
    view["couponApplied"] = coupon.code.clone().into();
    view["originalAmount"] = list_price.amount().into();
    view["discountAmount"] = (list_price.amount() - price.amount()).into();
    view["finalAmount"] = price.amount().into();
}

/// What the first period costs with `coupon`.
fn reduced(coupon: &CouponRow, price: Rupiah) -> Rupiah {
    Rupiah::new(price.amount() - off(coupon, price).map_or(0, Rupiah::amount))
}

/// Looks at the read models, to name all reasons at once. They lag behind the log, so nobody is refused before they show
/// everything that is in it now; when they do not in time, the aggregates say what counts, one reason at a time.
async fn check_eligibility(
    state: &AppState,
    caller: &Caller,
    plan: &PlanRow,
    price: Rupiah,
) -> std::result::Result<(), ApiError> {
    if ineligible(state, caller, plan, price).await?.is_none() {
        return Ok(());
    }
    let newest = state.store.log().newest_ins_seq().await?;
    if !state.read_models.show(SHOWN_BY, newest).await {
        return Ok(());
    }
    let fresh = catalogue::find(state.pool(), &plan.id).await.map_err(read_failed)?;
    let still = ineligible(state, caller, fresh.as_ref().unwrap_or(plan), price).await?;
    still.map_or(Ok(()), |reasons| Err(reasons.into_error()))
}

/// What the read models have against it.
async fn ineligible(
    state: &AppState,
    caller: &Caller,
    plan: &PlanRow,
    price: Rupiah,
) -> std::result::Result<Option<Weighed>, ApiError> {
    let weighed = weigh(state, caller, plan, price).await?;
    Ok((!weighed.reasons.is_empty()).then_some(weighed))
}

/// Looks for everything that may be in the way of subscribing to `plan` for `price`.
pub(super) async fn weigh(
    state: &AppState,
    caller: &Caller,
    plan: &PlanRow,
    price: Rupiah,
) -> std::result::Result<Weighed, ApiError> {
    let live = subscriptions::live_of(state.pool(), &caller.user.id, &plan.details.offering);
    let existing = live.await.map_err(read_failed)?.is_some();
    let balance = balance_of(state, caller).await?;
    let full = !room::fits(state, plan).await?;
    let told =
        [(balance < price, NO_BALANCE), (existing, DUPLICATE), (plan.available() == 0, SOLD_OUT), (full, NO_ROOM)];
    let reasons = told.iter().filter(|(holds, _)| *holds).map(|(_, reason)| *reason).collect();
    Ok(Weighed { reasons, balance, price, existing })
}

/// Sends the request with the first candidate that nobody else holds. Each further try has its own key, derived
/// from the client's, because the receipt of a refused one is kept. `None`: a live subscription is in the way.
async fn place(
    state: &AppState,
    id: &str,
    offering: &str,
    candidates: Vec<String>,
    request: impl Fn(String) -> AnyCommand,
    context: &CommandContext,
) -> std::result::Result<Option<Dispatched>, ApiError> {
    for (number, subdomain) in candidates.into_iter().enumerate() {
        let claim = subdomain_key(offering, &subdomain);
        let context = CommandContext { key: numbered(&context.key, number), ..context.clone() };
        match state.dispatcher.dispatch_as(id, request(subdomain), context).await {
            Ok(requested) => return Ok(Some(requested)),
            Err(CommandError::ClaimTaken { key, .. }) if key == claim => {}
            Err(CommandError::ClaimTaken { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::conflict("This subdomain is taken"))
}

fn numbered(key: &CommandKey, number: usize) -> CommandKey {
    match key {
        CommandKey::Client { scope, key, fingerprint } if number > 0 => {
            CommandKey::Client { scope: scope.clone(), key: format!("{key}#{number}"), fingerprint: *fingerprint }
        }
        key => key.clone(),
    }
}

/// What the customer asks for.
#[derive(Debug, PartialEq)]
struct Wish {
    service_id: String,
    cycle: BillingCycle,
    subdomain: Option<String>,
    settings: Settings,
    auto_renew: bool,
    coupon_code: Option<String>,
}

impl Wish {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let service_id = fields.text("serviceId", "Service ID").map(str::trim);
        if service_id.is_some_and(|id| id.is_empty() || id.len() > SERVICE_ID_MAX || id.contains('\0')) {
            fields.fault("serviceId", "Service ID is not valid");
        }
        let cycle = match fields.optional_text("billingCycle", "Billing cycle") {
            None | Some("monthly") => BillingCycle::Monthly,
            Some("yearly") => BillingCycle::Yearly,
            Some(_) => {
                fields.fault("billingCycle", "Billing cycle must be monthly or yearly");
                BillingCycle::Monthly
            }
        };
        let subdomain = fields.optional_text("subdomain", "Subdomain").map(str::to_ascii_lowercase);
        if subdomain.as_deref().is_some_and(|name| !is_subdomain(name)) {
            fields.fault("subdomain", "Subdomain must be 3 to 40 of a-z, 0-9 and inner hyphens");
        }
        let settings = Settings::read(&mut fields).unwrap_or_default();
        let auto_renew = fields.optional_flag("autoRenew", "Auto-renew").unwrap_or(true);
        let coupon_code = read_optional_code(&mut fields);
        fields.finish(Unknown::Refused)?;
        let service_id = service_id.unwrap_or_default().to_owned();
        Ok(Self { service_id, cycle, subdomain, settings, auto_renew, coupon_code })
    }

    /// The coupon that was asked for. A new request is told beforehand what is against it; the coupon itself decides.
    async fn coupon(
        &self,
        state: &AppState,
        caller: &Caller,
        sold: &PlanSnapshot,
        repeat: bool,
    ) -> std::result::Result<Option<CouponRow>, ApiError> {
        let Some(code) = &self.coupon_code else { return Ok(None) };
        if !repeat {
            state.limits.coupons.check(&caller.user.id)?;
        }
        let coupon = of_code(state, code).await?;
        let purpose = CouponPurpose::Sale {
            subscription_id: String::new(),
            offering: sold.offering.clone(),
            variant: sold.variant.clone(),
            cycle: self.cycle,
            price: sold.price,
        };
        let against = if repeat { None } else { objection(state, &coupon, &caller.user.id, Some(&purpose)).await? };
        match against {
            Some(why) => Err(ApiError::invalid_field("couponCode", &why)),
            None => Ok(Some(coupon)),
        }
    }

    /// The customer's own subdomain alone, or ours in the order we try them.
    fn candidates(&self, plan: &PlanRow, user_id: &str) -> Vec<String> {
        if let Some(own) = &self.subdomain {
            return vec![own.clone()];
        }
        let tail = &user_id[user_id.len().saturating_sub(TAIL)..];
        // Room for the tail, two hyphens and a number.
        let offering: String = plan.details.offering.chars().take(SUBDOMAIN_MAX - TAIL - 3).collect();
        let first = format!("{}-{tail}", offering.trim_end_matches('-'));
        let later = (1..CANDIDATES).map(|number| format!("{first}-{number}"));
        std::iter::once(first.clone()).chain(later).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(body: Value) -> Vec<String> {
        let refusal = Wish::read(&body).expect_err("refused");
        refusal.errors().iter().map(|fault| fault.field.clone()).collect()
    }

    #[test]
    fn the_clients_own_body_is_enough() {
        let wish = Wish::read(&json!({"serviceId": "cplan"})).expect("reads");
        assert_eq!((wish.cycle, wish.subdomain, wish.auto_renew), (BillingCycle::Monthly, None, true));
    }

    #[test]
    fn every_bad_field_is_named() {
        assert_eq!(faults(json!({})), ["serviceId"]);
        assert_eq!(
            faults(
                json!({"serviceId": 5, "billingCycle": "weekly", "subdomain": "a", "customConfig": [], "autoRenew": 3, "price": 0})
            ),
            ["serviceId", "billingCycle", "subdomain", "customConfig", "autoRenew", "price"]
        );
        for bad in ["-abc", "abc-", "a b", "a.b", "münchen", "aa", &"x".repeat(41)] {
            assert_eq!(faults(json!({"serviceId": "c", "subdomain": bad})), ["subdomain"], "{bad}");
        }
        assert_eq!(faults(json!({"serviceId": "c", "customConfig": {"A": {"b": 1}}})), ["customConfig.A"]);
    }

    #[test]
    fn further_tries_have_keys_of_their_own() {
        let key = CommandKey::Client { scope: "u".into(), key: "k".into(), fingerprint: [0; 32] };
        assert_eq!(numbered(&key, 0), key);
        assert_ne!(numbered(&key, 1), key);
        assert_eq!(numbered(&CommandKey::Generated, 3), CommandKey::Generated);
    }
}
