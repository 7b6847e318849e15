//! `GET /admin/billing/refunds/:refundKey`: one refund.

use std::iter::once;

use actix_web::web;
use minispod_auth::Action;

use super::{existing, show};
use crate::{
    answer::{Answer, Result},
    caller::Caller,
    routes::admin::People,
    state::AppState,
    views,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, key: web::Path<String>) -> Result {
    caller.may(Action::ReadBilling)?;
    let row = existing(&state, &key).await?;
    let people = People::of(&state, once(&row.user_id)).await?;
    let mut view = show(&row);
    view["user"] = people.show(&row.user_id, views::people::mini);
    Ok(Answer::ok("Refund retrieved successfully", view))
}
