//! `GET /admin/billing/churn`: subscriptions and recurring revenue that were lost, by month.

use actix_web::{HttpRequest, HttpResponse, Responder as _, web};
use minispod_auth::Action;
use minispod_projections::recurring::Month;
use serde_json::{Value, json};

use super::months;
use crate::{
    answer::Answer,
    caller::Caller,
    csv::{self, Cell},
    error::ApiError,
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
        return Ok(csv::table("churn", file(&asked.months)));
    }
    let data = json!({ "period": asked.period(), "months": asked.months.iter().map(month).collect::<Value>() });
    Ok(Answer::ok("Churn retrieved successfully", data).respond_to(&request))
}

fn month(month: &Month) -> Value {
    json!({
        "month": month.month,
        "activeAtStart": month.opening_count,
        "started": month.new_count,
        "restarted": month.reactivated_count,
        "ended": month.churned_count,
        "activeAtEnd": month.closing_count,
        "churnBasisPoints": month.churn_basis_points(),
        "mrrAtStart": month.opening.to_string(),
        "churnedMrr": month.churned.to_string(),
        "mrrChurnBasisPoints": month.revenue_churn_basis_points(),
    })
}

fn file(months: &[Month]) -> String {
    let mut text = String::new();
    let columns = [
        "month",
        "active_at_start",
        "started",
        "restarted",
        "ended",
        "active_at_end",
        "churn_basis_points",
        "mrr_at_start",
        "churned_mrr",
        "mrr_churn_basis_points",
    ];
    csv::push_row(&mut text, &columns.map(Cell::from));
    let share = |share: Option<i64>| share.map_or(Cell::Empty, Cell::Number);
    for month in months {
        let heads = [month.opening_count, month.new_count, month.reactivated_count];
        let heads = heads.into_iter().chain([month.churned_count, month.closing_count]).map(Cell::from);
        let cells: Vec<_> = [Cell::from(&month.month)].into_iter().chain(heads).collect();
        let rest = [share(month.churn_basis_points()), month.opening.into(), month.churned.into()];
        csv::push_row(&mut text, &[&cells[..], &rest, &[share(month.revenue_churn_basis_points())]].concat());
    }
    text
}
