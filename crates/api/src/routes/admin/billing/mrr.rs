//! `GET /admin/billing/mrr`: what active subscriptions bring in every month, and how it moved.

use actix_web::{HttpRequest, HttpResponse, Responder as _, web};
use minispod_auth::Action;
use minispod_projections::recurring::{self, Month, OfferingMrr};
use serde_json::{Value, json};

use super::months;
use crate::{
    answer::Answer,
    caller::Caller,
    csv::{self, Cell},
    error::ApiError,
    refusals::read_failed,
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.may(Action::ReadBilling)?;
    let asked = months::asked(&state, &request).await?;
    if asked.is_file {
        return Ok(csv::table("mrr", file(&asked.months)));
    }
    let current = recurring::current(state.pool()).await.map_err(read_failed)?;
    let data = json!({
        "period": asked.period(),
        "currency": "IDR",
        "current": {
            "mrr": current.iter().map(|row| row.monthly.amount()).sum::<i64>().to_string(),
            "subscriptions": current.iter().map(|row| row.subscriptions).sum::<i64>(),
            "byOffering": current.iter().map(offering).collect::<Value>(),
        },
        "months": asked.months.iter().map(month).collect::<Value>(),
    });
    Ok(Answer::ok("Recurring revenue retrieved successfully", data).respond_to(&request))
}

fn offering(row: &OfferingMrr) -> Value {
    json!({ "offering": row.offering, "subscriptions": row.subscriptions, "mrr": row.monthly.to_string() })
}

fn month(month: &Month) -> Value {
    json!({
        "month": month.month,
        "opening": month.opening.to_string(),
        "new": month.new.to_string(),
        "reactivated": month.reactivated.to_string(),
        "expansion": month.expansion.to_string(),
        "contraction": month.contraction.to_string(),
        "churned": month.churned.to_string(),
        "closing": month.closing.to_string(),
        "subscriptions": month.closing_count,
    })
}

fn file(months: &[Month]) -> String {
    let mut text = String::new();
    let columns =
        ["month", "opening", "new", "reactivated", "expansion", "contraction", "churned", "closing", "subscriptions"];
    csv::push_row(&mut text, &columns.map(Cell::from));
    for month in months {
        let (gained, lost) = ([month.new, month.reactivated, month.expansion], [month.contraction, month.churned]);
        let money = [&[month.opening][..], &gained, &lost, &[month.closing]].concat();
        let mut cells = vec![Cell::from(&month.month)];
        cells.extend(money.into_iter().map(Cell::from));
        cells.push(month.closing_count.into());
        csv::push_row(&mut text, &cells);
    }
    text
}
