//! Tokens for the caller's programs.

pub mod create;
pub mod list;
pub mod revoke;

use minispod_events::ApiScope;
use serde_json::{Value, json};

use minispod_projections::access::ApiTokenRow;

/// `{id, name, scopes, createdAt, expiresAt}`; the token itself is nowhere any more.
fn view(token: &ApiTokenRow) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes.iter().copied().map(ApiScope::as_str).collect::<Vec<_>>(),
        "createdAt": token.created_at.to_contract(),
        "expiresAt": token.expires_at.to_contract(),
    })
}
