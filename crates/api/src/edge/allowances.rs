//! Which limits a request is counted under, and the headers that tell its sender where it stands.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{HeaderName, HeaderValue},
    },
    web,
};

use super::address::sender;
use crate::{
    caller::CallerId,
    error::ApiError,
    limits::{Limit, Standing},
    state::AppState,
};

/// What may be asked for, by draft-ietf-httpapi-ratelimit-headers-10.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of it.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// Paths that are not counted: probes and scrapes come often and from few addresses.
const UNCOUNTED: [&str; 3] = ["/health", "/health/ready", "/metrics"];
/// Where payment gateways send their notifications.
const NOTIFICATIONS: &str = "/api/v1/billing/webhooks/";
/// Where somebody without a token shows a secret or asks for a mail.
const SIGN_INS: [&str; 7] = [
    "/api/v1/auth/login",
    "/api/v1/auth/register",
    "/api/v1/auth/google",
    "/api/v1/auth/refresh",
    "/api/v1/auth/forgot-password",
    "/api/v1/auth/reset-password",
    "/api/v1/auth/verify-email",
];
/// Where orders to pay are made, by the routes' patterns.
const PAYMENTS: [&str; 2] = ["/api/v1/billing/topup", "/api/v1/billing/transactions/{id}/pay"];

/// Where the sender of a request stands, kept in its extensions until the answer goes out.
#[derive(Debug, Default)]
struct Standings(Vec<Standing>);

/// Counts a request against its address: once among all of that address, and sign-ins among themselves. Probes are not
/// counted, and payment notifications by themselves: they prove who sent them, and a flood from elsewhere must not keep
/// them out.
pub fn of_address(request: &ServiceRequest) -> Result<(), ApiError> {
    let Some(state) = request.app_data::<web::Data<AppState>>() else { return Ok(()) };
    if UNCOUNTED.contains(&request.path()) {
        return Ok(());
    }
    let Some(sender) = sender(request.headers(), request.peer_addr(), &state.config.trusted_proxies) else {
        return Ok(());
    };
    if request.path().starts_with(NOTIFICATIONS) {
        return state.limits.notifications.check(&sender);
    }
    count(request.request(), &state.limits.per_address, &sender)?;
    if request.method() == Method::POST && SIGN_INS.contains(&request.path()) {
        count(request.request(), &state.limits.sign_in_requests, &sender)?;
    }
    Ok(())
}

/// Counts a request among the reads or the writes of the account that `counted_as` names.
pub fn of_account(request: &HttpRequest, state: &AppState, counted_as: &str) -> Result<(), ApiError> {
    let limit = if request.method().is_safe() { &state.limits.reads } else { &state.limits.writes };
    count(request, limit, counted_as)
}

fn count(request: &HttpRequest, limit: &Limit, key: &str) -> Result<(), ApiError> {
    let (standing, outcome) = limit.count(key);
    if let Some(standing) = standing {
        let mut extensions = request.extensions_mut();
        if let Some(standings) = extensions.get_mut::<Standings>() {
            standings.0.push(standing);
        } else {
            extensions.insert(Standings(vec![standing]));
        }
    }
    outcome
}

/// Writes `RateLimit-Policy` and `RateLimit` for every limit that the request was counted under.
pub fn tell<B>(response: &mut ServiceResponse<B>) {
    let request = response.request();
    let mut standings = request.extensions_mut().remove::<Standings>().unwrap_or_default().0;
    standings.extend(payments(request));
    if standings.is_empty() {
        return;
    }
    let seconds = |span: Duration| span.as_secs() + u64::from(span.subsec_nanos() > 0);
    let policies = standings
        .iter()
        .map(|one| format!("\"{}\";q={};w={}", one.policy, one.allowance.count, seconds(one.allowance.window)));
    let policies = policies.collect::<Vec<_>>().join(", ");
    let left = standings.iter().map(|one| format!("\"{}\";r={};t={}", one.policy, one.remaining, seconds(one.reset)));
    let left = left.collect::<Vec<_>>().join(", ");
    for (name, text) in [(POLICY, policies), (RATE_LIMIT, left)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// Orders to pay are counted by their routes, which know repeats; here it is only looked up.
fn payments(request: &HttpRequest) -> Option<Standing> {
    let pattern = request.match_pattern().filter(|_| request.method() == Method::POST)?;
    let state = request.app_data::<web::Data<AppState>>().filter(|_| PAYMENTS.contains(&pattern.as_str()))?;
    let account = request.extensions().get::<CallerId>().map(|caller| caller.0.clone())?;
    state.limits.payments.standing(&account)
}
