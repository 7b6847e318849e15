//! Everybody's money, for administrators.

pub mod adjust;
pub mod churn;
pub mod failed_payments;
pub mod health;
pub mod invoices;
pub mod manual_topups;
mod months;
pub mod mrr;
pub mod quarantine;
pub mod refunds;
pub mod revenue;
pub mod statement;
pub mod statistics;
pub mod transaction;
pub mod transactions;
pub mod user;
pub mod users;

use std::collections::BTreeSet;

use actix_web::web::{ServiceConfig, get, post, resource};
use minispod_projections::billing::{self, TransactionStatus, TransactionType, TransactionView};
use serde_json::Value;

use super::{People, person};
use crate::{error::ApiError, refusals::read_failed, state::AppState, views};

/// Paths under `/admin/billing`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/billing/transactions").route(get().to(transactions::handle)))
        .service(resource("/admin/billing/transactions/{id}").route(get().to(transaction::handle)))
        .service(resource("/admin/billing/statistics").route(get().to(statistics::handle)))
        .service(resource("/admin/billing/users").route(get().to(users::handle)))
        .service(resource("/admin/billing/users/{userId}").route(get().to(user::handle)))
        .service(resource("/admin/billing/users/{userId}/statement").route(get().to(statement::handle)))
        .service(resource("/admin/billing/invoices").route(get().to(invoices::handle)))
        .service(resource("/admin/billing/revenue").route(get().to(revenue::handle)))
        .service(resource("/admin/billing/mrr").route(get().to(mrr::handle)))
        .service(resource("/admin/billing/churn").route(get().to(churn::handle)))
        .service(resource("/admin/billing/failed-payments").route(get().to(failed_payments::handle)))
        .service(resource("/admin/billing/users/{userId}/adjust-balance").route(post().to(adjust::handle)))
        .service(resource("/admin/billing/quarantine").route(get().to(quarantine::handle)))
        .configure(refunds::configure)
        .configure(manual_topups::configure)
        .service(resource("/admin/billing/health").route(get().to(health::handle)));
}

/// The top-ups among a page of lines that the refund desk takes.
struct Refundable(BTreeSet<String>);

impl Refundable {
    async fn among(state: &AppState, lines: &[TransactionView]) -> Result<Self, ApiError> {
        let ids: Vec<String> = lines.iter().filter_map(|view| view.row.topup_id.clone()).collect();
        let refundable = billing::refundable(state.pool(), &ids).await.map_err(read_failed)?;
        Ok(Self(refundable.into_iter().collect()))
    }

    fn has(&self, view: &TransactionView) -> bool {
        let row = &view.row;
        let is_paid = row.kind == TransactionType::TopUp && row.status == TransactionStatus::Success;
        is_paid && row.topup_id.as_ref().is_some_and(|id| self.0.contains(id))
    }
}

/// One line of anybody's history, whose it is, and whether the refund desk takes it.
fn line(view: &TransactionView, people: &People, refundable: &Refundable) -> Value {
    let row = &view.row;
    let mut out = views::money::transaction(view);
    out["user"] = people.show(&row.user_id, views::people::mini);
    out["actions"]["canRefund"] = refundable.has(view).into();
    out
}
