//! `POST /auth/api-tokens`: a token for a program, shown this once.

use std::{collections::BTreeSet, time::Duration};

use actix_web::web;
use minispod_auth::ApiToken;
use minispod_domain::{AccessCommand, AnyCommand, UserCommand};
use minispod_events::ApiScope;
use minispod_kernel::Sensitive;
use minispod_projections::access::ApiTokenRow;
use minispod_store::VaultWrite;
use serde_json::{Value, json};

use super::view;
use crate::{
    answer::{Answer, Result},
    api_tokens::{API_TOKEN_HASH, owner},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    session,
    state::AppState,
};

/// Longest name of a token, in characters.
const NAME_MAX: usize = 50;
/// Longest life of a token, in days.
const DAYS_MAX: i64 = 365;

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    call.refuse_key()?;
    caller.session()?;
    let wish = Wish::read(&body.form().await?.value)?;
    let token_id = state.ids.next_id();
    let token = ApiToken::generate(&token_id, state.ids.as_ref());
    let now = state.clock.now();
    let expires_at = now.plus(wish.life);
    let command = AnyCommand::User(UserCommand::Access(AccessCommand::CreateApiToken {
        token_id: token_id.clone(),
        name: Sensitive::Open(wish.name.clone()),
        scopes: wish.scopes.clone(),
        expires_at,
    }));
    let hash =
        VaultWrite::Put { owner: owner(&token_id), name: API_TOKEN_HASH.to_owned(), value: token.hash().to_vec() };
    let context = call.with_secrets(caller.actor(), vec![hash]);
    let created = state.dispatcher.dispatch_as(&caller.user.id, command, context).await?;
    let shown = call.shown(&state, session::SHOWN_BY, created.ins_seq).await;
    let row = ApiTokenRow {
        id: token_id,
        user_id: caller.user.id.clone(),
        name: wish.name,
        scopes: wish.scopes.into_iter().collect(),
        created_at: now,
        expires_at,
        revoked_at: None,
    };
    let data = json!({ "apiToken": view(&row), "token": token.text() });
    Ok(Answer::created("API token created. Keep it: it is shown once", data).shown(shown))
}

struct Wish {
    name: String,
    scopes: BTreeSet<ApiScope>,
    life: Duration,
}

impl Wish {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let name = fields.text("name", "Name").map(str::trim);
        if name.is_some_and(|name| name.is_empty() || name.chars().count() > NAME_MAX) {
            fields.fault("name", format!("Name must be 1 to {NAME_MAX} characters long"));
        } else if name.is_some_and(|name| name.chars().any(char::is_control)) {
            fields.fault("name", "Name must not contain control characters");
        }
        let words = ApiScope::ALL.map(ApiScope::as_str);
        let scope = |word: &str| ApiScope::ALL.into_iter().find(|scope| scope.as_str() == word);
        let scopes: Option<BTreeSet<ApiScope>> =
            fields.word_list("scopes", "Scopes", scope, &words).map(|scopes| scopes.into_iter().collect());
        if scopes.as_ref().is_some_and(BTreeSet::is_empty) {
            fields.fault("scopes", "At least one scope is required");
        }
        let days = fields.whole_number("expiresInDays", "Life in days");
        if days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
            fields.fault("expiresInDays", format!("Life in days must be 1 to {DAYS_MAX}"));
        }
        fields.finish(Unknown::Refused)?;
        let hours = days.unwrap_or(1).unsigned_abs() * 24;
        Ok(Self {
            name: name.unwrap_or_default().to_owned(),
            scopes: scopes.unwrap_or_default(),
            life: Duration::from_hours(hours),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_field_is_named() {
        let good = json!({"name": "deploys", "scopes": ["read", "write"], "expiresInDays": 30});
        assert_eq!(Wish::read(&good).expect("reads").scopes.len(), 2);
        for (field, bad) in [
            ("name", json!("")),
            ("name", json!("x".repeat(51))),
            ("name", json!("a\u{0}")),
            ("scopes", json!([])),
            ("scopes", json!("read")),
            ("scopes", json!(["read", "root"])),
            ("scopes", json!([1])),
            ("scopes", json!(["read", "read", "read", "read"])),
            ("expiresInDays", json!(0)),
            ("expiresInDays", json!(366)),
            ("expiresInDays", json!("30")),
        ] {
            let mut body = good.clone();
            body[field] = bad;
            let refusal = Wish::read(&body).err().expect("refused");
            assert_eq!(refusal.errors()[0].field, field, "{body}");
        }
    }
}
