//! Bank transfers as a second way in: the customer sends a proof, administrators look for the money.

pub mod create;
pub mod list;
pub mod read;
pub mod upload;
pub mod withdraw;

use actix_web::web::{ServiceConfig, get, post, resource};
use minispod_projections::manual_topups::ManualTopUpRow;
use serde_json::{Value, json};

/// The read models that show a manual top-up.
pub const SHOWN_BY: &[&str] = &["billing", "manual_topups"];

/// Paths under `/billing/manual-topups`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/billing/manual-topups").route(get().to(list::handle)).route(post().to(create::handle)))
        .service(resource("/billing/manual-topups/{id}").route(get().to(read::handle)))
        .service(resource("/billing/manual-topups/{id}/withdraw").route(post().to(withdraw::handle)));
}

/// One manual top-up as its customer sees it.
pub fn show(row: &ManualTopUpRow) -> Value {
    json!({
        "id": row.id,
        "amount": row.amount.to_string(),
        "currency": "IDR",
        "status": row.status.as_str(),
        "proof": { "mediaType": row.media_type, "size": row.size },
        "reason": row.reason,
        "createdAt": row.created_at.to_contract(),
        "updatedAt": row.updated_at.to_contract(),
    })
}
