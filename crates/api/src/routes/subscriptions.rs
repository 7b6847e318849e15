//! What a customer runs.

pub mod cancel;
pub mod create;
pub mod domains;
pub mod eligibility;
pub mod events;
pub mod follow;
pub mod list;
pub mod logs;
pub mod read;
pub mod renew;
pub mod reset;
pub mod restart;
mod settings;
pub mod stats;
pub mod update;
pub mod usage;

use actix_web::http::StatusCode;
use actix_web::web::{ServiceConfig, delete, get, post, put, resource};
use minispod_kernel::Rupiah;
use minispod_projections::{
    billing,
    subscriptions::{self, InstanceRow, SubscriptionView},
};
use minispod_store::Refused;
use serde_json::json;

use crate::{
    caller::Caller, error::ApiError, input::path::existing_id, refusals::read_failed, refusals::refused,
    refused_access::Kind, state::AppState,
};

/// Paths under `/subscriptions`. Fixed segments stand before `{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/subscriptions").route(get().to(list::handle)).route(post().to(create::handle)))
        .service(resource("/subscriptions/stats").route(get().to(stats::handle)))
        .service(resource("/subscriptions/eligibility/{serviceId}").route(get().to(eligibility::handle)))
        .service(
            resource("/subscriptions/{id}")
                .route(get().to(read::handle))
                .route(put().to(update::handle))
                .route(delete().to(cancel::handle)),
        )
        .service(resource("/subscriptions/{id}/renew").route(put().to(renew::handle)))
        .service(resource("/subscriptions/{id}/reset-pod").route(post().to(reset::handle)))
        .service(resource("/subscriptions/{id}/logs").route(get().to(logs::handle)))
        .service(resource("/subscriptions/{id}/logs/stream").route(get().to(follow::handle)))
        .service(resource("/subscriptions/{id}/events").route(get().to(events::handle)))
        .service(resource("/subscriptions/{id}/usage").route(get().to(usage::handle)))
        .service(resource("/subscriptions/{id}/restart-pod").route(post().to(restart::handle)));
    domains::configure(app);
}

/// The read models that show what these routes write.
pub(super) const SHOWN_BY: &[&str] = &["subscriptions", "billing", "catalogue", "coupons"];

const NO_BALANCE: &str = "Insufficient balance";
const DUPLICATE: &str = "Already subscribed to this service";
const SOLD_OUT: &str = "Service quota exhausted";
const NO_ROOM: &str = "Insufficient cluster capacity";

/// The caller's own subscription `id`, else 404.
async fn owned(state: &AppState, id: &str, caller: &Caller) -> Result<SubscriptionView, ApiError> {
    let id = existing_id(id, "Subscription")?;
    let view = subscriptions::find(state.pool(), id, Some(&caller.user.id)).await.map_err(read_failed)?;
    view.ok_or_else(|| not_ones_own(id))
}

/// The 404 of a subscription that is not the caller's or not there.
fn not_ones_own(id: &str) -> ApiError {
    ApiError::not_found("Subscription").sought(&[Kind::Subscription], id)
}

/// The instance of the caller's own subscription, else 404: before it is provisioned there is none.
async fn deployed(state: &AppState, id: &str, caller: &Caller) -> Result<InstanceRow, ApiError> {
    owned(state, id, caller).await?.instance.ok_or_else(|| ApiError::not_found("Service"))
}

/// Whether a subscription can be had: every reason against it, and what was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Weighed {
    reasons: Vec<&'static str>,
    balance: Rupiah,
    price: Rupiah,
    /// Whether the caller has a live subscription of this service.
    existing: bool,
}

impl Weighed {
    /// 409 for what money cannot mend, else 402. `code` is an object: clients read `code.reasons`.
    fn into_error(self) -> ApiError {
        let money_alone = self.reasons == [NO_BALANCE];
        let status = if money_alone { StatusCode::PAYMENT_REQUIRED } else { StatusCode::CONFLICT };
        let code = json!({
            "reasons": self.reasons,
            "balance": {
                "current": self.balance.to_string(),
                "required": self.price.amount(),
                "sufficient": !self.reasons.contains(&NO_BALANCE),
            },
            "existingSubscription": self.existing,
        });
        ApiError::new(status, "CONFLICT_ERROR", self.reasons.join(", ")).with_code(code)
    }
}

/// The answer to a follow-up step's refusal: those that clients know have their object, others their own status.
async fn refusal_of(state: &AppState, caller: &Caller, refusal: &Refused, price: Rupiah, existing: bool) -> ApiError {
    let Some(reason) = reason_of(&refusal.code) else { return refused(refusal) };
    let balance = balance_of(state, caller).await.unwrap_or_default();
    Weighed { reasons: vec![reason], balance, price, existing }.into_error()
}

/// The reason that clients know for a step's refusal. A wallet is opened a moment after its account, and until then
/// there is as little in it as in an empty one.
fn reason_of(code: &str) -> Option<&'static str> {
    match code {
        "wallet-insufficient-balance" | "wallet-not-open" => Some(NO_BALANCE),
        "plan-sold-out" => Some(SOLD_OUT),
        _ => None,
    }
}

/// What is in the caller's wallet, by the read model.
async fn balance_of(state: &AppState, caller: &Caller) -> Result<Rupiah, ApiError> {
    let wallet = billing::wallet(state.pool(), &caller.user.id).await.map_err(read_failed)?;
    Ok(wallet.map_or(Rupiah::ZERO, |wallet| wallet.balance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use minispod_domain::WalletRefusal;
    use minispod_kernel::Refusal as _;

    #[test]
    fn who_has_no_wallet_yet_has_no_money_either() {
        for refusal in [WalletRefusal::NotOpen, WalletRefusal::InsufficientBalance] {
            assert_eq!(reason_of(refusal.code()), Some(NO_BALANCE));
        }
        assert_eq!(reason_of(WalletRefusal::TooLarge.code()), None);
    }

    #[test]
    fn all_reasons_come_together_and_money_alone_is_402() {
        let no = |reasons: &[&'static str]| Weighed {
            reasons: reasons.to_vec(),
            balance: Rupiah::ZERO,
            price: Rupiah::new(35_000),
            existing: false,
        };
        let refusal = no(&[NO_BALANCE]).into_error();
        assert_eq!(refusal.status_code(), 402);
        assert_eq!(
            refusal.body("t")["code"],
            json!({"reasons": ["Insufficient balance"], "existingSubscription": false,
                   "balance": {"current": "0", "required": 35_000, "sufficient": false}})
        );
        let all = no(&[NO_BALANCE, DUPLICATE, SOLD_OUT]).into_error();
        assert_eq!(all.status_code(), 409);
        assert_eq!(all.body("t")["code"]["reasons"], json!([NO_BALANCE, DUPLICATE, SOLD_OUT]));
    }
}
