//! `GET /billing/invoices/:id/pdf`: the document itself.

use actix_web::{HttpResponse, http::header, web};
use minispod_domain::{AnyCommand, InvoiceCommand};
use minispod_projections::billing;

use crate::{
    call::Call, caller::Caller, error::ApiError, input::path::billing_id, refusals::read_failed, state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = billing_id(&id)?;
    let invoice = billing::invoice(state.pool(), id, Some(&caller.user.id)).await.map_err(read_failed)?;
    let number = invoice.and_then(|invoice| invoice.number).ok_or_else(|| ApiError::not_found("Invoice"))?;
    let pdf = state.documents.invoice_pdf(id).await?.ok_or_else(|| ApiError::not_found("Invoice"))?;
    let download = AnyCommand::Invoice(InvoiceCommand::RecordDownload);
    // The count is not worth a refused download.
    if let Err(error) = state.dispatcher.dispatch_as(id, download, call.plain(caller.actor())).await {
        tracing::warn!(request_id = call.request_id, %error, "a download was not counted");
    }
    Ok(HttpResponse::Ok()
        .content_type("application/pdf")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"invoice-{number}.pdf\"")))
        .insert_header((header::CONTENT_ENCODING, header::ContentEncoding::Identity))
        .body(pdf))
}
