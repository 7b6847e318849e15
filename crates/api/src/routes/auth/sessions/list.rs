//! `GET /auth/sessions`: where the caller is signed in, newest first.

use actix_web::web;
use futures::{StreamExt, TryStreamExt, stream};
use minispod_projections::access;
use serde_json::json;

use crate::{
    answer::{Answer, Result},
    caller::Caller,
    refusals::read_failed,
    session::device,
    state::AppState,
};

/// Devices looked up at the same time.
const DEVICES_AT_ONCE: usize = 8;

pub async fn handle(state: web::Data<AppState>, caller: Caller) -> Result {
    let live = access::live_sessions(state.pool(), &caller.user.id, state.clock.now()).await.map_err(read_failed)?;
    let (state, current) = (&state, caller.session()?);
    let sessions: Vec<_> = stream::iter(live)
        .map(|session| async move {
            let device = device(state, &session.id).await?;
            Ok::<_, crate::error::ApiError>(json!({
                "id": session.id,
                "current": session.id == current,
                "device": device,
                "createdAt": session.opened_at.to_contract(),
                "lastUsedAt": session.last_used_at.to_contract(),
                "expiresAt": session.expires_at.to_contract(),
            }))
        })
        .buffered(DEVICES_AT_ONCE)
        .try_collect()
        .await?;
    Ok(Answer::ok("Sessions retrieved successfully", json!({ "sessions": sessions })))
}
