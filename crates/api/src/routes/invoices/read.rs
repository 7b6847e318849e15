//! `GET /billing/invoices/:id`: one invoice with what it is for.

use actix_web::web;
use minispod_projections::{billing, subscriptions};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::path::billing_id,
    refusals::read_failed,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, id: web::Path<String>) -> Result {
    let id = billing_id(&id)?;
    let invoice = billing::invoice(state.pool(), id, Some(&caller.user.id)).await.map_err(read_failed)?;
    let invoice = invoice.ok_or_else(|| ApiError::not_found("Invoice"))?;
    let mut view = views::money::invoice(&invoice);
    view["user"] = json!({ "name": caller.user.name, "email": caller.user.email });
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
