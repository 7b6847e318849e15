//! Everybody's money, for administrators.

pub mod adjust;
pub mod churn;
pub mod failed_payments;
pub mod health;
pub mod invoices;
mod months;
pub mod mrr;
pub mod revenue;
pub mod statement;
pub mod statistics;
pub mod transaction;
pub mod transactions;
pub mod user;
pub mod users;

use actix_web::web::{ServiceConfig, get, post, resource};
use minispod_projections::billing::{TransactionStatus, TransactionType, TransactionView};
use serde_json::Value;

use super::{People, person};
use crate::views;

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
        .service(resource("/admin/billing/health").route(get().to(health::handle)));
}

/// One line of anybody's history, whose it is, and whether it is a purchase that went through.
fn line(view: &TransactionView, people: &People) -> Value {
    let row = &view.row;
    let bought = row.kind == TransactionType::ServicePurchase && row.status == TransactionStatus::Success;
    let mut out = views::money::transaction(view);
    out["user"] = people.show(&row.user_id, views::people::mini);
    out["actions"]["canRefund"] = bought.into();
    out
}
