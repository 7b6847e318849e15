//! `POST /admin/workers/join-tokens`: a token that lets one node join, shown in this answer and never again.

use std::time::Duration;

use actix_web::web;
use minispod_auth::{Action, MachineToken};
use minispod_domain::{AnyCommand, JoinTokenCommand, join_token::LIFE_MAX};
use serde_json::json;

use super::SHOWN_BY;
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::{Fields, RequestBody, Unknown},
    state::AppState,
};

/// Minutes that a token lives unless another time is asked for.
const LIFE_USUAL: i64 = 60;
/// The most.
pub const LIFE_MAX_MINUTES: i64 = LIFE_MAX.as_secs() as i64 / 60;
pub const LABEL_MAX: usize = 100;

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    caller.may(Action::ManageNodes)?;
    call.refuse_key()?;
    let body = body.form().await?;
    let mut fields = Fields::of(&body.value)?;
    let label = fields.optional_text("label", "label").unwrap_or_default().trim().to_owned();
    if label.chars().count() > LABEL_MAX || label.contains(char::is_control) {
        fields.fault("label", format!("label must be at most {LABEL_MAX} characters of one line"));
    }
    let minutes = fields.optional_whole_number("expiresInMinutes", "expiresInMinutes").unwrap_or(LIFE_USUAL);
    if !(1..=LIFE_MAX_MINUTES).contains(&minutes) {
        fields.fault("expiresInMinutes", format!("expiresInMinutes must be from 1 to {LIFE_MAX_MINUTES}"));
    }
    fields.finish(Unknown::Refused)?;
    let id = state.ids.next_id();
    let token = MachineToken::join(&id, state.ids.as_ref());
    let expires_at = state.clock.now().plus(Duration::from_mins(minutes.unsigned_abs()));
    let command = JoinTokenCommand::Issue { hash: token.hash(), label: label.clone(), expires_at };
    let done = state.dispatcher.dispatch_as(&id, AnyCommand::JoinToken(command), call.plain(caller.actor())).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let data = json!({ "id": id, "token": token.text(), "label": label, "expiresAt": expires_at.to_contract() });
    Ok(Answer::created("Join token created successfully", data).shown(shown))
}
