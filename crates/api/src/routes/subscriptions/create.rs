//! `POST /subscriptions`: request, slot and charge in one call; provisioning follows by itself.

use std::collections::BTreeMap;

use actix_web::web;
use minispod_domain::{
    AnyCommand, SubscriptionCommand,
    instance::{OVERRIDES, vault_owner},
    plan::details::snapshot,
    subscription::{MAX_OVERRIDES, is_subdomain, subdomain_key},
};
use minispod_events::{BillingCycle, PlanSnapshot};
use minispod_kernel::{Rupiah, ids::derived_id};
use minispod_projections::{
    catalogue::{self, PlanRow},
    subscriptions,
};
use minispod_runtime::Dispatched;
use minispod_store::{CommandContext, CommandError, CommandKey, VaultWrite};
use serde_json::Value;

use super::{DUPLICATE, NO_BALANCE, SHOWN_BY, SOLD_OUT, Weighed, balance_of, refusal_of};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::{ApiError, FieldError},
    input::{Fields, RequestBody, Unknown},
    placed::Placed,
    refusals::read_failed,
    state::AppState,
    views,
};

/// Longest value of a customer's setting, in bytes.
const SETTING_MAX: usize = 4_096;
/// Most bytes of all of a customer's settings together, names included: half of what one secret may hold.
const SETTINGS_MAX: usize = minispod_store::SECRET_MAX / 2;
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
        wish.check_overrides(&state.overrides.of(&plan.details.offering))?;
    }
    let sold = snapshot(&plan.id, &plan.details, plan.monthly_price, wish.cycle)
        .ok_or_else(|| ApiError::invalid_field("billingCycle", "This plan is not sold for this cycle"))?;
    let id = call.new_id(&state, "subscription", &caller.user.id);
    if !repeat && let Err(refusal) = check_eligibility(&state, &caller, &plan, &sold).await {
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
            overrides: wish.settings.keys().cloned().collect(),
            auto_renew: wish.auto_renew,
        })
    };
    let context = CommandContext { vault: wish.secrets(&instance_id)?, ..context };
    let candidates = wish.candidates(&plan, &caller.user.id);
    let requested = place(&state, &id, &plan.details.offering, candidates, request, &context).await?;
    let Some(requested) = requested else {
        let balance = balance_of(&state, &caller).await?;
        return Err(Weighed { reasons: vec![DUPLICATE], balance, price: sold.price, existing: true }.into_error());
    };
    let (id, replayed) = (requested.aggregate_id.clone(), requested.replayed);
    let driven = state.dispatcher.drive(requested, &call.cause(caller.actor())).await?;
    let shown = state.read_models.show(SHOWN_BY, driven.ins_seq).await;
    if let Some((_, refused)) = driven.refusals.first() {
        return Err(refusal_of(&state, &caller, refused, sold.price, false).await);
    }
    let placed = Placed::load(&state, &id).await?;
    if let Some(refused) = placed.refusal() {
        return Err(refusal_of(&state, &caller, &refused, sold.price, false).await);
    }
    let plan = catalogue::find(state.pool(), &plan.id).await.map_err(read_failed)?.unwrap_or(plan);
    let mut view = placed.view();
    view["user"] = views::people::mini(&caller.user);
    view["service"] = views::plans::full(&plan);
    Ok(Answer::ok("Subscription created successfully", view)
        .at_version(placed.version())
        .replayed(replayed)
        .shown(shown))
}

/// Looks at the read models, to name all reasons at once. They lag behind the log, so nobody is refused before they show
/// everything that is in it now; when they do not in time, the aggregates say what counts, one reason at a time.
async fn check_eligibility(
    state: &AppState,
    caller: &Caller,
    plan: &PlanRow,
    sold: &PlanSnapshot,
) -> std::result::Result<(), ApiError> {
    if ineligible(state, caller, plan, sold).await?.is_none() {
        return Ok(());
    }
    let newest = state.store.log().newest_ins_seq().await?;
    if !state.read_models.show(SHOWN_BY, newest).await {
        return Ok(());
    }
    let fresh = catalogue::find(state.pool(), &plan.id).await.map_err(read_failed)?;
    let still = ineligible(state, caller, fresh.as_ref().unwrap_or(plan), sold).await?;
    still.map_or(Ok(()), |reasons| Err(reasons.into_error()))
}

/// What the read models have against it.
async fn ineligible(
    state: &AppState,
    caller: &Caller,
    plan: &PlanRow,
    sold: &PlanSnapshot,
) -> std::result::Result<Option<Weighed>, ApiError> {
    let weighed = weigh(state, caller, plan, sold.price).await?;
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
    let told = [(balance < price, NO_BALANCE), (existing, DUPLICATE), (plan.available() == 0, SOLD_OUT)];
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
    /// Values by variable; they may be passwords.
    settings: BTreeMap<String, String>,
    auto_renew: bool,
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
        let settings = fields.optional_texts("customConfig", "Custom config").unwrap_or_default();
        for (field, fault) in settings_faults(&settings) {
            fields.fault(&field, fault);
        }
        let auto_renew = fields.optional_flag("autoRenew", "Auto-renew").unwrap_or(true);
        fields.finish(Unknown::Refused)?;
        let service_id = service_id.unwrap_or_default().to_owned();
        Ok(Self { service_id, cycle, subdomain, settings, auto_renew })
    }

    /// Only what the offering allows to be set.
    fn check_overrides(&self, allowed: &[String]) -> std::result::Result<(), ApiError> {
        let strangers = self.settings.keys().filter(|name| !allowed.contains(name));
        let faults: Vec<_> = strangers
            .map(|name| {
                let field = format!("customConfig.{}", shown(name));
                FieldError::new(field, "This setting cannot be changed for this service")
            })
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(ApiError::invalid(faults)) }
    }

    /// The settings' values, for the transaction of the request: the event has only their names.
    fn secrets(&self, instance_id: &str) -> std::result::Result<Vec<VaultWrite>, ApiError> {
        if self.settings.is_empty() {
            return Ok(Vec::new());
        }
        let value = serde_json::to_vec(&self.settings).map_err(ApiError::internal)?;
        Ok(vec![VaultWrite::Put { owner: vault_owner(instance_id), name: OVERRIDES.to_owned(), value }])
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

/// Field and fault of each setting that is too long, and of too many.
fn settings_faults(settings: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut faults = Vec::new();
    if settings.len() > MAX_OVERRIDES {
        faults.push(("customConfig".to_owned(), format!("At most {MAX_OVERRIDES} settings")));
    } else if settings.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > SETTINGS_MAX {
        faults.push(("customConfig".to_owned(), format!("At most {SETTINGS_MAX} bytes in all")));
    }
    for (name, value) in settings {
        if value.len() > SETTING_MAX || value.contains('\0') {
            let field = format!("customConfig.{}", shown(name));
            faults.push((field, format!("The value must be at most {SETTING_MAX} bytes long")));
        }
    }
    faults
}

/// A client's own name, cut to what may be sent back.
fn shown(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(64).collect()
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
    fn only_allowed_settings_may_be_changed() {
        let wish = |name: &str| Wish::read(&json!({"serviceId": "c", "customConfig": {name: "x"}})).expect("reads");
        let allowed = ["N8N_HOST".to_owned(), "mail__from".to_owned()];
        assert!(wish("N8N_HOST").check_overrides(&allowed).is_ok());
        assert!(wish("mail__from").check_overrides(&allowed).is_ok());
        for bad in ["PATH", "LD_PRELOAD", "n8n_host", "N8N-HOST", "", "1A"] {
            assert!(wish(bad).check_overrides(&allowed).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_are_bounded_one_by_one_and_together() {
        let settings = |count: usize, length: usize| {
            let all = (0..count).map(|number| (format!("NAME_{number:03}"), "x".repeat(length)));
            settings_faults(&all.collect()).into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        };
        assert!(settings(7, SETTING_MAX).is_empty());
        assert_eq!(settings(8, SETTING_MAX), ["customConfig"]);
        assert_eq!(settings(1, SETTING_MAX + 1), ["customConfig.NAME_000"]);
        assert_eq!(settings(MAX_OVERRIDES + 1, 1), ["customConfig"]);
    }

    #[test]
    fn values_go_to_the_vault_of_the_instance() {
        let wish = Wish::read(&json!({"serviceId": "c", "customConfig": {"A": "hunter2"}})).expect("reads");
        let [VaultWrite::Put { owner, name, value }] = &wish.secrets("ci").expect("written")[..] else {
            panic!("one secret");
        };
        assert_eq!((owner.as_str(), name.as_str(), &value[..]), ("instance/ci", OVERRIDES, &br#"{"A":"hunter2"}"#[..]));
    }

    #[test]
    fn further_tries_have_keys_of_their_own() {
        let key = CommandKey::Client { scope: "u".into(), key: "k".into(), fingerprint: [0; 32] };
        assert_eq!(numbered(&key, 0), key);
        assert_ne!(numbered(&key, 1), key);
        assert_eq!(numbered(&CommandKey::Generated, 3), CommandKey::Generated);
    }
}
