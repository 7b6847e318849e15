//! Tokens that let nodes join: made for an administrator, shown once, used once.

pub mod create;
pub mod list;
pub mod revoke;

use actix_web::web::{ServiceConfig, delete, get, post, resource};
use minispod_kernel::Timestamp;
use minispod_projections::nodes::JoinTokenRow;
use serde_json::{Value, json};

/// The read model that shows tokens.
const SHOWN_BY: &[&str] = &["nodes"];

/// Paths under `/admin/workers/join-tokens`; they stand before `/admin/workers/{nodeId}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/workers/join-tokens").route(get().to(list::handle)).route(post().to(create::handle)))
        .service(resource("/admin/workers/join-tokens/{id}").route(delete().to(revoke::handle)));
}

fn view(row: &JoinTokenRow, now: Timestamp) -> Value {
    let status = match row {
        JoinTokenRow { used_at: Some(_), .. } => "USED",
        JoinTokenRow { revoked_at: Some(_), .. } => "REVOKED",
        row if now >= row.expires_at => "EXPIRED",
        _ => "OPEN",
    };
    json!({
        "id": row.id,
        "label": row.label,
        "status": status,
        "expiresAt": row.expires_at.to_contract(),
        "node": row.node,
        "usedAt": row.used_at.map(Timestamp::to_contract),
        "revokedAt": row.revoked_at.map(Timestamp::to_contract),
        "createdAt": row.created_at.to_contract(),
    })
}
