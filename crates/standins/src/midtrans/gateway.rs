//! The gateway's own paths: Snap create, GET status, cancel, expire, refund.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::{StatusCode, header::AUTHORIZATION},
    middleware::from_fn,
    web::{self, Data, Json, Path, ServiceConfig},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

use super::{
    State, answers, faults,
    orders::{Order, Refund},
};

const ORDER_ID_MAX: usize = 50;
const DEFAULT_LIFE: Duration = Duration::from_hours(24);
const LIFE_MAX: Duration = Duration::from_hours(7 * 24);

pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::scope("/snap/v1")
            .wrap(from_fn(faults::apply))
            .route("/transactions", web::post().to(create))
            .route("/transactions/{token}/cancel", web::post().to(cancel_page)),
    );
    config.service(
        web::scope("/v2")
            .wrap(from_fn(faults::apply))
            .route("/{id}/status", web::get().to(status))
            .route("/{id}/cancel", web::post().to(cancel))
            .route("/{id}/expire", web::post().to(expire))
            .route("/{id}/refund", web::post().to(refund)),
    );
}

fn is_authorized(request: &HttpRequest, state: &State) -> bool {
    let expected = format!("Basic {}", STANDARD.encode(format!("{}:", state.options.server_key)));
    request.headers().get(AUTHORIZATION).is_some_and(|given| given.as_bytes() == expected.as_bytes())
}

#[derive(Deserialize)]
struct CreateBody {
    transaction_details: TransactionDetails,
    #[serde(default)]
    item_details: Vec<Item>,
    expiry: Option<Expiry>,
    callbacks: Option<Callbacks>,
}

#[derive(Deserialize)]
struct TransactionDetails {
    order_id: String,
    /// An integer: the gateway refuses decimals here.
    gross_amount: i64,
}

#[derive(Deserialize)]
struct Item {
    price: i64,
    quantity: i64,
}

#[derive(Deserialize)]
struct Expiry {
    unit: String,
    duration: u32,
}

#[derive(Deserialize)]
struct Callbacks {
    finish: Option<String>,
}

fn snap_refusal(status: StatusCode, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(answers::snap_error(&[message.to_owned()]))
}

async fn create(request: HttpRequest, body: web::Bytes, state: Data<State>) -> HttpResponse {
    if !is_authorized(&request, &state) {
        return snap_refusal(StatusCode::UNAUTHORIZED, "Access denied, please check client or server key");
    }
    let body: CreateBody = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(error) => return snap_refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let problems = problems(&body);
    if !problems.is_empty() {
        return HttpResponse::BadRequest().json(answers::snap_error(&problems));
    }
    let order_id = body.transaction_details.order_id.clone();
    let token = state.uuid();
    let mut orders = state.orders();
    let earlier = orders.find(&order_id);
    if earlier.is_some_and(|order| !order.is_open()) {
        return snap_refusal(StatusCode::NOT_ACCEPTABLE, "transaction_details.order_id sudah digunakan");
    }
    let payment = earlier.and_then(|order| order.payment.clone());
    let life = body.expiry.as_ref().and_then(life).unwrap_or(DEFAULT_LIFE);
    let header = request.headers().get("X-Override-Notification").and_then(|value| value.to_str().ok());
    orders.put(Order {
        order_id: order_id.clone(),
        gross_amount: body.transaction_details.gross_amount,
        token: token.clone(),
        expires_at: state.options.clock.now().plus(life),
        finish_url: body.callbacks.and_then(|callbacks| callbacks.finish),
        notification_url: header.map(str::to_owned),
        payment,
    });
    drop(orders);
    tracing::info!(stand_in = "midtrans", order_id, "payment page made");
    let base = request.connection_info().host().to_owned();
    let redirect_url = format!("http://{base}/snap/v3/redirection/{token}");
    HttpResponse::Created().json(json!({ "token": token, "redirect_url": redirect_url }))
}

/// Kills a page on which nobody has chosen a way to pay.
async fn cancel_page(request: HttpRequest, token: Path<String>, state: Data<State>) -> HttpResponse {
    if !is_authorized(&request, &state) {
        return snap_refusal(StatusCode::UNAUTHORIZED, "Access denied, please check client or server key");
    }
    let now = state.options.clock.now();
    let mut orders = state.orders();
    let found = orders.find_by_token(&token).map(|order| (order.order_id.clone(), order.payment.is_some()));
    let Some((order_id, is_chosen)) = found else {
        return snap_refusal(StatusCode::NOT_FOUND, "token not found");
    };
    if is_chosen {
        return snap_refusal(StatusCode::BAD_REQUEST, "Transaction is on progress");
    }
    let Some(order) = orders.find_mut(&order_id) else {
        return snap_refusal(StatusCode::NOT_FOUND, "token not found");
    };
    if order.expires_at <= now {
        return snap_refusal(StatusCode::BAD_REQUEST, "token already canceled");
    }
    order.expires_at = now;
    HttpResponse::Ok().json(json!({ "canceled_at": answers::local_time(now) }))
}

fn problems(body: &CreateBody) -> Vec<String> {
    let details = &body.transaction_details;
    let mut problems = Vec::new();
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'.');
    if details.order_id.is_empty() || details.order_id.len() > ORDER_ID_MAX || !details.order_id.bytes().all(safe) {
        problems.push("transaction_details.order_id must be 1 to 50 letters, digits, - _ ~ or .".to_owned());
    }
    if details.gross_amount < 1 {
        problems.push("transaction_details.gross_amount must be greater than or equal to 1".to_owned());
    }
    let sum =
        body.item_details.iter().try_fold(0_i64, |sum, item| sum.checked_add(item.price.checked_mul(item.quantity)?));
    if !body.item_details.is_empty() && sum != Some(details.gross_amount) {
        problems.push("transaction_details.gross_amount is not equal to the sum of item_details".to_owned());
    }
    if body.expiry.as_ref().is_some_and(|expiry| life(expiry).is_none()) {
        problems.push("expiry is not 20 seconds to 7 days".to_owned());
    }
    problems
}

fn life(expiry: &Expiry) -> Option<Duration> {
    let unit = match expiry.unit.as_str() {
        "minute" | "minutes" => Duration::from_mins(1),
        "hour" | "hours" => Duration::from_hours(1),
        "day" | "days" => Duration::from_hours(24),
        _ => return None,
    };
    unit.checked_mul(expiry.duration).filter(|life| !life.is_zero() && *life <= LIFE_MAX)
}

fn core_refusal(code: u16, message: &str) -> HttpResponse {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
    HttpResponse::build(status).json(answers::core_error(&code.to_string(), message))
}

fn unauthorized() -> HttpResponse {
    core_refusal(401, "Transaction cannot be authorized with the current client/server key.")
}

fn unknown() -> HttpResponse {
    core_refusal(404, "Transaction doesn't exist.")
}

/// A body under the HTTP status that its own code names.
fn with_own_code(body: &Value) -> HttpResponse {
    let code = body.get("status_code").and_then(Value::as_str).and_then(|code| code.parse().ok());
    let status = match code {
        // A query that found the transaction is answered 200 whatever the transaction's own code says.
        Some(code @ (404 | 407)) => StatusCode::from_u16(code).unwrap_or(StatusCode::OK),
        _ => StatusCode::OK,
    };
    HttpResponse::build(status).json(body)
}

async fn status(request: HttpRequest, id: Path<String>, state: Data<State>) -> impl Responder {
    if !is_authorized(&request, &state) {
        return unauthorized();
    }
    let mut orders = state.orders();
    if let Some(scripted) = orders.scripted.get(id.as_str()) {
        return with_own_code(scripted);
    }
    let Some(order_id) = orders.resolve(&id) else { return unknown() };
    let Some(order) = orders.find_mut(&order_id) else { return unknown() };
    order.grow_old(state.options.clock.now());
    answers::status(order, &state.options).map_or_else(unknown, |body| with_own_code(&body))
}

/// Changes a payment whose state allows it, answers with the new status and notifies.
fn change(request: &HttpRequest, id: &str, state: &State, to: &str, from: &[&str]) -> HttpResponse {
    if !is_authorized(request, state) {
        return unauthorized();
    }
    let (order_id, body) = {
        let mut orders = state.orders();
        let Some(order_id) = orders.resolve(id) else { return unknown() };
        let Some(order) = orders.find_mut(&order_id) else { return unknown() };
        order.grow_old(state.options.clock.now());
        let Some(payment) = order.payment.as_mut() else { return unknown() };
        if !from.contains(&payment.status.as_str()) {
            return core_refusal(412, "Transaction status cannot be updated.");
        }
        to.clone_into(&mut payment.status);
        let Some(body) = answers::status(order, &state.options) else { return unknown() };
        (order_id, body)
    };
    state.notify(&order_id);
    with_own_code(&body)
}

async fn cancel(request: HttpRequest, id: Path<String>, state: Data<State>) -> impl Responder {
    change(&request, &id, &state, "cancel", &["pending", "capture", "authorize"])
}

async fn expire(request: HttpRequest, id: Path<String>, state: Data<State>) -> impl Responder {
    change(&request, &id, &state, "expire", &["pending"])
}

#[derive(Deserialize)]
struct RefundBody {
    refund_key: Option<String>,
    amount: Option<i64>,
    #[serde(default)]
    reason: String,
}

/// Refunds, and notifies twice: once when asked, once when the bank confirmed.
async fn refund(request: HttpRequest, id: Path<String>, body: Json<RefundBody>, state: Data<State>) -> impl Responder {
    if !is_authorized(&request, &state) {
        return unauthorized();
    }
    let scripted = {
        let mut faults = state.faults();
        let next = &mut faults.refund_next;
        (next.count > 0).then(|| {
            next.count -= 1;
            next.status
        })
    };
    if let Some(code) = scripted {
        return HttpResponse::Ok().json(answers::core_error(&code.to_string(), "a refusal asked for by a test"));
    }
    let uuid = state.uuid();
    let order_id = {
        let mut orders = state.orders();
        let Some(order_id) = orders.resolve(&id) else { return unknown() };
        let Some(order) = orders.find_mut(&order_id) else { return unknown() };
        if let Err((code, message)) = add_refund(order, &body, uuid, &state) {
            return core_refusal(code, message);
        }
        order_id
    };
    state.notify(&order_id);
    let confirmed = {
        let mut orders = state.orders();
        let Some(order) = orders.find_mut(&order_id) else { return unknown() };
        let answer = answers::status(order, &state.options);
        if let Some(refund) = order.payment.as_mut().and_then(|payment| payment.refunds.last_mut()) {
            refund.bank_confirmed_at = Some(state.options.clock.now());
        }
        answer
    };
    state.notify(&order_id);
    confirmed.map_or_else(unknown, |body| with_own_code(&body))
}

fn add_refund(order: &mut Order, body: &RefundBody, uuid: String, state: &State) -> Result<(), (u16, &'static str)> {
    let gross_amount = order.gross_amount;
    let payment = order.payment.as_mut().ok_or((404, "Transaction doesn't exist."))?;
    let key = body.refund_key.clone().unwrap_or_else(|| uuid.clone());
    if payment.refunds.iter().any(|refund| refund.key == key) {
        return Err((406, "Duplicate refund id."));
    }
    if !matches!(payment.status.as_str(), "settlement" | "partial_refund") {
        return Err((412, "Transaction status cannot be updated."));
    }
    if matches!(payment.payment_type.as_str(), "bank_transfer" | "permata" | "echannel" | "cstore") {
        return Err((412, "Payment channel does not support refunds."));
    }
    let left = gross_amount - payment.refunded();
    let amount = body.amount.unwrap_or(left);
    if amount < 1 || amount > left {
        return Err((414, "Refund rejected: the amount is invalid."));
    }
    payment.refunds.push(Refund {
        key,
        uuid,
        amount,
        reason: body.reason.clone(),
        created_at: state.options.clock.now(),
        bank_confirmed_at: None,
    });
    let status = if amount == left { "refund" } else { "partial_refund" };
    status.clone_into(&mut payment.status);
    Ok(())
}
