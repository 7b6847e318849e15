//! `GET /admin/billing/invoices`: everybody's invoices, newest first.

use actix_web::{HttpRequest, web};
use minispod_auth::Action;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    input::Query,
    routes::invoices::list::page,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, request: HttpRequest) -> Result {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let user_id = query.id("userId");
    Ok(Answer::ok("Invoices retrieved successfully", page(&state, query, user_id).await?))
}
