//! `PUT /admin/users/:id`: changes what was sent of an account.

use actix_web::web;
use minispod_auth::{Action, credential_rules::email_fault};
use serde_json::Value;

use super::{Account, SHOWN_BY, Wish, change, judge_name, read_role};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, reason::read_reason},
    state::AppState,
    views,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageUsers)?;
    let body = body.form().await?;
    let wish = read(&body.value)?;
    let account = Account::existing(&state, &id).await?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let (account, done) = change(&state, &caller, &call, &account, &wish, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    Ok(Answer::ok("User updated successfully", views::people::signed_in(&account.row))
        .at_version(account.version)
        .replayed(done.replayed)
        .shown(shown))
}

fn read(body: &Value) -> std::result::Result<Wish, ApiError> {
    let mut fields = Fields::of(body)?;
    let wish = Wish {
        name: fields.optional_text("name", "Name").map(|name| name.trim().to_owned()),
        email: fields.optional_text("email", "Email").map(|email| email.trim().to_owned()),
        role: read_role(&mut fields),
        active: fields.optional_flag("isActive", "isActive"),
        reason: read_reason(&mut fields, "Changed by an administrator"),
    };
    if let Some(name) = &wish.name {
        judge_name(&mut fields, name);
    }
    if let Some(fault) = wish.email.as_deref().and_then(email_fault) {
        fields.fault("email", fault);
    }
    fields.finish(Unknown::Refused)?;
    if wish == (Wish { reason: wish.reason.clone(), ..Wish::default() }) {
        return Err(ApiError::invalid_field("body", "At least one of name, email, role and isActive is required"));
    }
    Ok(wish)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_events::Role;
    use serde_json::json;

    #[test]
    fn at_least_one_field_and_every_bad_one_named() {
        let wish = read(&json!({"role": "ADMINISTRATOR", "reason": "promoted"})).expect("reads");
        assert_eq!((wish.role, wish.reason.as_str()), (Some(Role::Administrator), "promoted"));
        for empty in [json!({}), json!({"reason": "just so"}), json!({"name": null})] {
            assert!(read(&empty).is_err(), "{empty}");
        }
        let bad = read(&json!({"name": "", "email": "x", "role": "user", "isActive": "perhaps", "password": "x"}));
        let bad = bad.expect_err("refused");
        let named: Vec<_> = bad.errors().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(named, ["role", "isActive", "name", "email", "password"]);
    }
}
