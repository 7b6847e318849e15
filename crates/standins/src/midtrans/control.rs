//! What tests and the demo steer: let an order be paid or fail, write its status, send notifications, set faults.

use std::time::Duration;

use actix_web::{
    HttpResponse, Responder,
    web::{self, Bytes, Data, Json, Path, ServiceConfig},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{State, answers, faults::Faults, orders::Payment};

pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::scope("/standin")
            .route("/orders", web::get().to(list))
            .route("/orders/{id}/status", web::put().to(script))
            .route("/orders/{id}/notify", web::post().to(notify))
            .route("/orders/{id}/{outcome}", web::post().to(decide))
            .route("/deliveries", web::get().to(deliveries))
            .route("/faults", web::get().to(faults))
            .route("/faults", web::put().to(set_faults)),
    );
}

fn problem(message: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({ "error": message }))
}

fn unknown_order() -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "error": "no such order" }))
}

async fn list(state: Data<State>) -> impl Responder {
    let orders: Vec<Value> = state
        .orders()
        .all()
        .map(|order| {
            json!({
                "order_id": order.order_id,
                "gross_amount": order.gross_amount,
                "token": order.token,
                "expires_at": order.expires_at,
                "transaction_status": order.payment.as_ref().map(|payment| &payment.status),
                "payment_type": order.payment.as_ref().map(|payment| &payment.payment_type),
            })
        })
        .collect();
    HttpResponse::Ok().json(json!({ "orders": orders }))
}

async fn deliveries(state: Data<State>) -> impl Responder {
    HttpResponse::Ok().json(json!({ "deliveries": state.notifier.deliveries() }))
}

/// What the customer does on the page.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Choice {
    pub payment_type: Option<String>,
    /// False: no notification goes out for it.
    pub notify: Option<bool>,
}

/// `pay`, `pending`, `deny`, `challenge`, `expire`, `cancel`.
async fn decide(path: Path<(String, String)>, body: Bytes, state: Data<State>) -> impl Responder {
    let (id, outcome) = path.into_inner();
    let choice = if body.is_empty() { Ok(Choice::default()) } else { serde_json::from_slice(&body) };
    let Ok(choice) = choice else { return problem("the body is {\"payment_type\": text, \"notify\": bool}") };
    match settle(&state, &id, &outcome, choice) {
        Ok(body) => HttpResponse::Ok().json(body),
        Err(answer) => answer,
    }
}

/// Lets the order come out like this and notifies.
pub fn settle(state: &State, order_id: &str, outcome: &str, choice: Choice) -> Result<Value, HttpResponse> {
    let now = state.options.clock.now();
    let transaction_id = state.uuid();
    let body = {
        let mut orders = state.orders();
        let order = orders.find_mut(order_id).ok_or_else(unknown_order)?;
        let payment_type =
            choice.payment_type.or_else(|| order.payment.as_ref().map(|payment| payment.payment_type.clone()));
        let payment_type = payment_type.unwrap_or_else(|| "qris".to_owned());
        let is_card = payment_type == "credit_card";
        let (status, fraud, is_settled) = match outcome {
            "pay" if is_card => ("capture", Some("accept"), false),
            "pay" => ("settlement", (payment_type != "cstore").then_some("accept"), true),
            "pending" => ("pending", Some("accept"), false),
            "challenge" => ("capture", Some("challenge"), false),
            "deny" => ("deny", Some("accept"), false),
            "expire" => ("expire", Some("accept"), false),
            "cancel" => ("cancel", Some("accept"), false),
            _ => return Err(problem("an outcome is pay, pending, challenge, deny, expire or cancel")),
        };
        let earlier = order.payment.take();
        order.payment = Some(Payment {
            // One transaction goes on through its states; a denied one is followed by a new one.
            transaction_id: earlier
                .as_ref()
                .filter(|payment| payment.status != "deny")
                .map_or(transaction_id, |payment| payment.transaction_id.clone()),
            payment_type,
            status: status.to_owned(),
            fraud_status: fraud.map(str::to_owned),
            started_at: earlier.as_ref().map_or(now, |payment| payment.started_at),
            settled_at: is_settled.then_some(now),
            refunds: earlier.map(|payment| payment.refunds).unwrap_or_default(),
        });
        answers::status(order, &state.options).ok_or_else(unknown_order)?
    };
    if choice.notify != Some(false) {
        state.notify(order_id);
    }
    Ok(body)
}

/// Writes the answer to GET status, whatever it is; `null` takes it back.
async fn script(id: Path<String>, body: Json<Value>, state: Data<State>) -> impl Responder {
    let mut orders = state.orders();
    match body.into_inner() {
        Value::Null => orders.scripted.remove(id.as_str()),
        answer => orders.scripted.insert(id.into_inner(), answer),
    };
    HttpResponse::NoContent().finish()
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Notify {
    times: Option<u32>,
    delay_ms: u64,
    forged: bool,
    /// Sent instead of what the order's state says.
    payload: Option<Value>,
    /// Signs the payload anew from its own fields.
    sign: bool,
    /// Sent there instead of the configured address.
    url: Option<String>,
}

async fn notify(id: Path<String>, body: Bytes, state: Data<State>) -> impl Responder {
    let wish: Notify = match if body.is_empty() { Ok(Notify::default()) } else { serde_json::from_slice(&body) } {
        Ok(wish) => wish,
        Err(error) => return problem(&error.to_string()),
    };
    let (own_url, own_body) = {
        let orders = state.orders();
        let order = orders.find(&id);
        (
            order.and_then(|order| order.notification_url.clone()),
            order.and_then(|order| answers::notification(order, &state.options)),
        )
    };
    let Some(url) = wish.url.or(own_url).or_else(|| state.options.notification_url.clone()) else {
        return problem("there is no address to notify");
    };
    let Some(mut payload) = wish.payload.or(own_body) else { return unknown_order() };
    if wish.sign {
        answers::sign(&mut payload, &state.options.server_key);
    }
    if wish.forged {
        answers::forge(&mut payload);
    }
    state.notifier.send(&url, &payload, wish.times.unwrap_or(1), Duration::from_millis(wish.delay_ms));
    HttpResponse::Accepted().finish()
}

async fn faults(state: Data<State>) -> impl Responder {
    HttpResponse::Ok().json(state.faults().clone())
}

async fn set_faults(body: Json<Faults>, state: Data<State>) -> impl Responder {
    *state.faults() = body.into_inner();
    HttpResponse::NoContent().finish()
}
