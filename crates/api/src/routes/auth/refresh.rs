//! `POST /auth/refresh`: new tokens for a refresh token; each works once.

use actix_web::web;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    call::Call,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    session,
    state::AppState,
};

/// Longest text that is looked at as a token, in bytes.
const TOKEN_MAX: usize = 200;

pub async fn handle(state: web::Data<AppState>, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    let token = read(&body.form().await?.value)?;
    let opened = session::refresh(&state, &call, &token).await?;
    let shown = call.shown(&state, session::SHOWN_BY, opened.ins_seq).await;
    Ok(Answer::ok("Tokens refreshed successfully", json!({ "tokens": opened.tokens })).shown(shown))
}

fn read(body: &Value) -> std::result::Result<String, ApiError> {
    let mut fields = Fields::of(body)?;
    let token = fields.text("refreshToken", "Refresh token").unwrap_or_default();
    if token.len() > TOKEN_MAX {
        fields.fault("refreshToken", "Refresh token is too long");
    }
    fields.finish(Unknown::Ignored)?;
    Ok(token.to_owned())
}
