//! `GET /admin/billing/quarantine`: top-ups and notifications that a person must look at.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;
use minispod_billing::midtrans::wire::strict_amount;
use minispod_kernel::Rupiah;
use minispod_projections::billing::{self, TopUpFilter, TopUpView};
use minispod_store::InboxItem;
use serde_json::{Value, json};

use super::People;
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    error::ApiError,
    input::Query,
    refusals::read_failed,
    routes::webhooks::midtrans::UNKNOWN_ORDER,
    state::AppState,
    views,
};

const DEFAULT_LIMIT: u32 = 20;
/// Most notifications of unknown orders that are shown, the oldest first.
pub const UNKNOWN_MAX: u32 = 50;

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let asked = query.asked(DEFAULT_LIMIT);
    query.finish()?;
    let filter = TopUpFilter { quarantined: true, ..TopUpFilter::default() };
    let page = billing::topups(state.pool(), &filter, asked).await.map_err(read_failed)?;
    let people = People::of(&state, page.rows.iter().map(|view| &view.row.user_id)).await?;
    let data = json!({
        "topUps": page.rows.iter().map(|view| doubtful(view, &people)).collect::<Value>(),
        "unknownNotifications": unknown(&state).await?,
        "pagination": views::pagination(&page),
    });
    Ok(Answer::ok("Quarantine retrieved successfully", data))
}

fn doubtful(view: &TopUpView, people: &People) -> Value {
    let mut out = views::money::topup_row(view);
    out["reason"] = view.row.quarantine.clone().into();
    out["user"] = people.show(&view.row.user_id, views::people::mini);
    out
}

/// The notifications of orders that nobody here made, by what they say.
async fn unknown(state: &AppState) -> std::result::Result<Value, ApiError> {
    let inbox = state.store.inbox();
    let mut shown = Vec::new();
    for id in inbox.marked(UNKNOWN_ORDER, UNKNOWN_MAX.into()).await? {
        shown.extend(inbox.find(&id).await?.map(|item| notification(&item)));
    }
    Ok(shown.into())
}

/// Without payer, card or account: the order, the sum and the gateway's words are enough to find it there.
fn notification(item: &InboxItem) -> Value {
    let body: Value = serde_json::from_slice(&item.body).unwrap_or_default();
    let text = |field: &str| body[field].as_str().map(str::to_owned);
    json!({
        "id": item.id.0,
        "receivedAt": item.received_at.to_contract(),
        "orderId": text("order_id"),
        "transactionId": text("transaction_id"),
        "status": text("transaction_status"),
        "paymentType": text("payment_type"),
        "amount": body["gross_amount"].as_str().and_then(strict_amount).map(Rupiah::amount).map(|sum| sum.to_string()),
    })
}
