//! `GET /billing/invoices/:id`: one invoice with what it is for.

use actix_web::web;
use minispod_projections::{subscriptions, users};
use serde_json::{Value, json};

use super::invoice_of;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    let invoice = invoice_of(&state, &caller, &id).await?;
    let mut view = views::money::invoice(&invoice);
    let buyer = users::find(state.pool(), &invoice.user_id).await.map_err(read_failed)?;
    view["user"] = json!({
        "name": buyer.as_ref().map(|buyer| buyer.name.as_str()).unwrap_or_default(),
        "email": buyer.as_ref().map(|buyer| buyer.email.as_str()).unwrap_or_default(),
    });
    view["topUpTransaction"] = views::money::invoiced_topup(&invoice);
    view["subscription"] = match &invoice.subscription_id {
        Some(subscription_id) => subscription(&state, subscription_id).await?,
        None => Value::Null,
    };
    Ok(Answer::ok("Invoice retrieved successfully", view))
}

async fn subscription(state: &AppState, id: &str) -> std::result::Result<Value, ApiError> {
    let view = subscriptions::find(state.pool(), id, None).await.map_err(read_failed)?;
    Ok(view.map_or(Value::Null, |view| json!({ "id": id, "service": view.plan.as_ref().map(views::plans::full) })))
}
