//! `PATCH /admin/users/:id/toggle-status`: switches an account off, or on again.

use actix_web::web;
use minispod_auth::Action;

use super::{Account, SHOWN_BY, Wish, change};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::{RequestBody, reason::reason},
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
    let account = Account::existing(&state, &id).await?;
    let otherwise =
        if account.row.is_active { "Deactivated by an administrator" } else { "Reactivated by an administrator" };
    let wish =
        Wish { active: Some(!account.row.is_active), reason: reason(&body.value, otherwise)?, ..Wish::default() };
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let (account, done) = change(&state, &caller, &call, &account, &wish, context).await?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    Ok(Answer::ok("User status updated successfully", views::people::changed(&account.row))
        .at_version(account.version)
        .replayed(done.replayed)
        .shown(shown))
}
