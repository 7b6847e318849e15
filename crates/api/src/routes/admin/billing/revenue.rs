//! `GET /admin/billing/revenue`: what subscriptions brought in by day or month, out of the books and never out of prices.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, Responder as _, web};
use minispod_auth::Action;
use minispod_kernel::Rupiah;
use minispod_projections::ledger::{self, RevenueRow, Step};
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    caller::Caller,
    csv::{self, Cell},
    error::ApiError,
    input::Query,
    refusals::read_failed,
    state::AppState,
};

/// What a subscription is called that the read model does not know yet.
const UNKNOWN: &str = "unknown";

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    caller.may(Action::ReadBilling)?;
    let mut query = Query::of(&request);
    let is_file = csv::is_wanted(&request, &mut query);
    let step = query.word("by", step, &["day", "month"]).unwrap_or(Step::Day);
    let now = state.clock.now();
    let range = if step == Step::Day { query.range_of_days(now) } else { query.range_of_months(now) };
    query.finish()?;
    let rows = ledger::revenue(state.pool(), &range.days(), step).await.map_err(read_failed)?;
    if is_file {
        return Ok(csv::table("revenue", file(&rows)));
    }
    let periods = if step == Step::Day { range.each_day() } else { range.each_month() };
    let mut by_offering = BTreeMap::<&str, Sum>::new();
    for row in &rows {
        by_offering.entry(offering(row)).or_default().add(row);
    }
    let of_period = |period: &str| rows.iter().filter(|row| row.period == period).collect::<Vec<_>>();
    let data = json!({
        "period": { "from": range.from.to_string(), "to": range.to.to_string(), "by": word(step) },
        "currency": "IDR",
        "totals": Sum::of(rows.iter()).shown(),
        "byOffering": by_offering.iter().map(|(name, sum)| named("offering", name, sum)).collect::<Value>(),
        "rows": periods.iter().map(|period| {
            let mut view = named("period", period, &Sum::of(of_period(period).into_iter()));
            let parts = of_period(period).into_iter().map(|row| named("offering", offering(row), &Sum::of([row].into_iter())));
            view["byOffering"] = parts.collect();
            view
        }).collect::<Value>(),
    });
    Ok(Answer::ok("Revenue retrieved successfully", data).respond_to(&request))
}

fn step(word: &str) -> Option<Step> {
    match word {
        "day" => Some(Step::Day),
        "month" => Some(Step::Month),
        _ => None,
    }
}

const fn word(step: Step) -> &'static str {
    match step {
        Step::Day => "day",
        Step::Month => "month",
    }
}

fn offering(row: &RevenueRow) -> &str {
    row.offering.as_deref().unwrap_or(UNKNOWN)
}

/// Some of the rows together.
#[derive(Default)]
struct Sum {
    gross: i64,
    refunds: i64,
    promotional: i64,
    charges: i64,
    refunded: i64,
}

impl Sum {
    fn of<'a>(rows: impl Iterator<Item = &'a RevenueRow>) -> Self {
        let mut sum = Self::default();
        rows.for_each(|row| sum.add(row));
        sum
    }

    fn add(&mut self, row: &RevenueRow) {
        self.gross += row.gross.amount();
        self.refunds += row.refunds.amount();
        self.promotional += row.promotional.amount();
        self.charges += row.charges;
        self.refunded += row.refunded;
    }

    fn net(&self) -> i64 {
        self.gross - self.refunds
    }

    fn shown(&self) -> Value {
        json!({
            "gross": self.gross.to_string(),
            "refunds": self.refunds.to_string(),
            "net": self.net().to_string(),
            "promotional": self.promotional.to_string(),
            "charges": self.charges,
            "refunded": self.refunded,
        })
    }
}

fn named(what: &str, name: &str, sum: &Sum) -> Value {
    let mut view = sum.shown();
    view[what] = name.into();
    view
}

/// A row for each period and offering with money in it.
fn file(rows: &[RevenueRow]) -> String {
    let mut text = String::new();
    let columns = ["period", "offering", "gross", "refunds", "net", "charges", "refunded", "promotional"];
    csv::push_row(&mut text, &columns.map(Cell::from));
    for row in rows {
        let net = Rupiah::new(row.gross.amount() - row.refunds.amount());
        let money = [row.gross, row.refunds, net].map(Cell::from);
        let counts = [row.charges.into(), row.refunded.into(), row.promotional.into()];
        let sums = [&money[..], &counts].concat();
        csv::push_row(&mut text, &[&[Cell::from(&row.period), offering(row).into()][..], &sums].concat());
    }
    text
}
