//! `GET /billing/invoices`: the caller's invoices, newest first.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use minispod_projections::{
    billing::{self, InvoiceFilter, InvoiceRow, InvoiceStatus, InvoiceType},
    subscriptions::{self, SubscriptionRow},
};
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::Query,
    refusals::read_failed,
    routes::transactions::list::words,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    let data = page(&state, Query::of(&request), Some(caller.user.id.clone())).await?;
    Ok(Answer::ok("Invoices retrieved successfully", data))
}

/// The page that is asked for, of the invoices of `user_id` or of everybody.
pub async fn page(state: &AppState, mut query: Query, user_id: Option<String>) -> std::result::Result<Value, ApiError> {
    let asked = query.asked(DEFAULT_LIMIT);
    let kind = query.word("type", InvoiceType::parse, &words(InvoiceType::ALL, InvoiceType::as_str));
    let status = query.word("status", InvoiceStatus::parse, &words(InvoiceStatus::ALL, InvoiceStatus::as_str));
    let span = query.span();
    let filter = InvoiceFilter { user_id, kind, status, from: span.from, until: span.until };
    query.finish()?;
    let page = billing::invoices(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let ids: Vec<String> = page.rows.iter().filter_map(|row| row.subscription_id.clone()).collect();
    let rows = subscriptions::find_many(state.pool(), &ids).await.map_err(read_failed)?;
    let of: BTreeMap<String, SubscriptionRow> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
    Ok(json!({
        "invoices": page.rows.iter().map(|row| listed(row, &of)).collect::<Vec<_>>(),
        "pagination": views::pagination(&page),
    }))
}

fn listed(row: &InvoiceRow, subscriptions: &BTreeMap<String, SubscriptionRow>) -> Value {
    let mut view = views::money::invoice(row);
    view["topUpTransaction"] = views::money::invoiced_topup(row);
    let subscription = row.subscription_id.as_ref().and_then(|id| subscriptions.get(id));
    view["subscription"] = subscription.map_or(Value::Null, |subscription| {
        let mut of = views::subscriptions::bare(subscription);
        of["service"] = json!({ "displayName": row.display_name });
        of
    });
    view
}
