//! `GET /billing/invoices/:id/pdf`: the document itself, in the language of `lang`.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use minispod_domain::{AnyCommand, InvoiceCommand};

use super::invoice_of;
use crate::{call::Call, caller::Caller, error::ApiError, input::Query, state::AppState};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let mut query = Query::of(&request);
    let language = query.language();
    query.finish()?;
    let invoice = invoice_of(&state, &caller, &id).await?;
    let (id, number) = (invoice.id.as_str(), invoice.number.as_deref().unwrap_or_default());
    let pdf = state.documents.invoice_pdf(id, language).await?.ok_or_else(|| ApiError::not_found("Invoice"))?;
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
