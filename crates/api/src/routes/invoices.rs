//! Invoices and their documents.

pub mod list;
pub mod pdf;
pub mod read;
pub mod why;

use actix_web::web::{ServiceConfig, get, resource};
use minispod_auth::Action;
use minispod_projections::billing::{self, InvoiceRow};

use crate::{
    caller::Caller, error::ApiError, input::path::billing_id, refusals::read_failed, refused_access::Kind,
    state::AppState,
};

/// Paths under `/billing/invoices`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/billing/invoices").route(get().to(list::handle)))
        .service(resource("/billing/invoices/{id}").route(get().to(read::handle)))
        .service(resource("/billing/invoices/{id}/pdf").route(get().to(pdf::handle)))
        .service(resource("/billing/invoices/{id}/why").route(get().to(why::handle)));
}

/// One numbered invoice: the caller's own, or anybody's for administrators; else 404.
async fn invoice_of(state: &AppState, caller: &Caller, id: &str) -> Result<InvoiceRow, ApiError> {
    let id = billing_id(id)?;
    let owner = caller.may(Action::ReadBilling).is_err().then_some(caller.user.id.as_str());
    let invoice = billing::invoice(state.pool(), id, owner).await.map_err(read_failed)?;
    invoice.ok_or_else(|| ApiError::not_found("Invoice").sought(&[Kind::Invoice], id))
}
