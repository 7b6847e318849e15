//! The payment page: says that it is a stand-in and lets a person pay or refuse.

use actix_web::{
    HttpResponse, Responder,
    http::header::LOCATION,
    web::{self, Data, Form, Path, ServiceConfig},
};
use serde::Deserialize;

use super::{
    State,
    control::{Choice, settle},
};

pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::resource("/snap/v3/redirection/{token}").route(web::get().to(show)).route(web::post().to(choose)),
    );
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Payment stand-in</title>\
<style>body{font:16px/1.5 sans-serif;max-width:28rem;margin:3rem auto;padding:0 1rem}\
.note{border:2px dashed #b45309;padding:.75rem 1rem;margin-bottom:1.5rem}\
button{font:inherit;padding:.5rem 1.5rem;margin-right:.5rem}select{font:inherit;padding:.4rem;margin-bottom:1rem}</style>\
</head><body><p class=\"note\"><strong>This is a stand-in for Midtrans.</strong> No real money moves here.</p>";

fn html(body: &str) -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(format!("{HEAD}{body}</body></html>"))
}

fn gone() -> HttpResponse {
    HttpResponse::NotFound()
        .content_type("text/html; charset=utf-8")
        .body(format!("{HEAD}<p>This page has expired or was replaced.</p></body></html>"))
}

async fn show(token: Path<String>, state: Data<State>) -> impl Responder {
    let mut orders = state.orders();
    let Some(order_id) = orders.find_by_token(&token).map(|order| order.order_id.clone()) else { return gone() };
    let Some(order) = orders.find_mut(&order_id) else { return gone() };
    let now = state.options.clock.now();
    order.grow_old(now);
    if let Some(payment) = order.payment.as_ref().filter(|_| !order.is_open()) {
        return html(&format!("<h1>{order_id}</h1><p>This order is {}.</p>", payment.status));
    }
    if now >= order.expires_at {
        return gone();
    }
    // Order ids hold safe characters only; they were checked when the page was made.
    html(&format!(
        "<h1>Rp{}</h1><p>Order {order_id}</p><form method=\"post\"><select name=\"payment_type\">\
         <option value=\"qris\">QRIS</option><option value=\"gopay\">GoPay</option>\
         <option value=\"bank_transfer\">BCA virtual account</option><option value=\"permata\">Permata virtual account</option>\
         <option value=\"echannel\">Mandiri Bill</option><option value=\"cstore\">Indomaret</option>\
         <option value=\"credit_card\">Card</option></select><br>\
         <button name=\"outcome\" value=\"pay\">Pay</button><button name=\"outcome\" value=\"deny\">Deny</button></form>",
        order.gross_amount
    ))
}

#[derive(Deserialize)]
struct PageForm {
    payment_type: String,
    outcome: String,
}

async fn choose(token: Path<String>, form: Form<PageForm>, state: Data<State>) -> impl Responder {
    let found = {
        let orders = state.orders();
        orders
            .find_by_token(&token)
            .filter(|order| order.is_open() && state.options.clock.now() < order.expires_at)
            .map(|order| (order.order_id.clone(), order.finish_url.clone()))
    };
    let Some((order_id, finish_url)) = found else { return gone() };
    let form = form.into_inner();
    let choice = Choice { payment_type: Some(form.payment_type), notify: None };
    let body = match settle(&state, &order_id, &form.outcome, choice) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let status = body["transaction_status"].as_str().unwrap_or_default().to_owned();
    match finish_url {
        Some(url) => {
            let mark = if url.contains('?') { '&' } else { '?' };
            let to = format!("{url}{mark}order_id={order_id}&status_code=200&transaction_status={status}");
            HttpResponse::SeeOther().insert_header((LOCATION, to)).finish()
        }
        None => html(&format!("<h1>{order_id}</h1><p>This order is {status}.</p>")),
    }
}
