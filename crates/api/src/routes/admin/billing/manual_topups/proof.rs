//! `GET /admin/billing/manual-topups/:id/proof`: the file itself, to be saved and never to be shown by a browser.

use actix_web::{HttpResponse, http::header, web};
use minispod_auth::Action;

use crate::{caller::Caller, error::ApiError, routes::manual_topups::read::existing, state::AppState};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    caller.may(Action::ReadBilling)?;
    let row = existing(&state, &id, None).await?;
    let bytes = state.proofs.find(&row.digest).await?.ok_or_else(|| ApiError::not_found("Proof"))?;
    // Our name for it; whatever the sender called it is not kept.
    let name = format!("attachment; filename=\"proof-{}.{}\"", row.id, ending(&row.media_type));
    Ok(HttpResponse::Ok()
        .content_type(row.media_type)
        .insert_header((header::CONTENT_DISPOSITION, name))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .insert_header((header::CONTENT_ENCODING, header::ContentEncoding::Identity))
        .body(bytes))
}

fn ending(media_type: &str) -> &'static str {
    match media_type {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/webp" => "webp",
        "application/pdf" => "pdf",
        _ => "bin",
    }
}
