//! `PUT /admin/subscriptions/bulk-update`: does one thing to many subscriptions; each succeeds or fails by itself.

use std::collections::BTreeSet;

use actix_web::{ResponseError, http::StatusCode, web};
use minispod_auth::Action;
use minispod_store::{CommandContext, CommandKey};
use serde_json::{Value, json};

use super::{
    deed::{Deed, look},
    extend::read_days,
    force_cancel::read_full_reason,
    status::read_status,
};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::{ApiError, FieldError},
    input::{Fields, RequestBody, Unknown},
    preference::Shown,
    routes::subscriptions::SHOWN_BY,
    state::AppState,
};

/// Most subscriptions at once.
pub const IDS_MAX: usize = 50;
/// What can be done to many.
pub const ACTIONS: [&str; 3] = ["updateStatus", "extend", "cancel"];
/// Longest id that is looked for.
const ID_MAX: usize = 64;
const WHY: &str = "Changed by an administrator, with others";

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    caller.may(Action::ManageSubscriptions)?;
    let body = body.form().await?;
    let wish = Wish::read(&body.value)?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let (mut last, mut done, mut failed) = (None, Vec::new(), Vec::new());
    for id in &wish.ids {
        match wish.deed.carry_out(&state, &caller, &call, id, of_item(&context, id)).await {
            Ok(one) => {
                last = last.max(Some(one.ins_seq));
                done.push(id);
            }
            Err(no) => failed.push((id, no)),
        }
    }
    let shown = match last {
        Some(ins_seq) => call.shown(&state, SHOWN_BY, ins_seq).await,
        None => Shown::NotYet,
    };
    let mut results = Vec::with_capacity(done.len());
    for id in &done {
        let (view, _) = look(&state, id).await?;
        results.push(json!({ "subscriptionId": id, "success": true, "data": view }));
    }
    let refusal =
        |(id, no): &(&String, ApiError)| json!({ "subscriptionId": id, "success": false, "error": no.message() });
    let outcome = json!({
        "totalProcessed": wish.ids.len(),
        "successful": results.len(),
        "failed": failed.len(),
        "results": results,
        "errors": failed.iter().map(refusal).collect::<Vec<_>>(),
    });
    if done.is_empty() {
        return Err(nothing_done(failed.into_iter().map(|(_, no)| no).collect(), outcome));
    }
    Ok(Answer::ok("Bulk update completed", outcome).shown(shown))
}

/// Each item has a key of its own, derived from the client's, and no version that the client could expect.
pub fn of_item(context: &CommandContext, id: &str) -> CommandContext {
    let key = match &context.key {
        CommandKey::Client { scope, key, fingerprint } => {
            CommandKey::Client { scope: scope.clone(), key: format!("{key}#{id}"), fingerprint: *fingerprint }
        }
        key => key.clone(),
    };
    CommandContext { key, expected_version: None, ..context.clone() }
}

/// Nothing at all was done: 409 where a state forbade it, 422 where there was nothing to do it to. A failure of ours is
/// itself. `code` is the object: clients read it there.
fn nothing_done(failed: Vec<ApiError>, outcome: Value) -> ApiError {
    let conflicts = failed.iter().any(|no| no.status_code() == StatusCode::CONFLICT);
    if let Some(ours) = failed.into_iter().find(|no| no.status_code().is_server_error()) {
        return ours;
    }
    let status = if conflicts { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
    ApiError::new(status, "CONFLICT_ERROR", "No subscription was changed").with_code(outcome)
}

/// What to do to whom.
#[derive(Debug, PartialEq)]
struct Wish {
    ids: Vec<String>,
    deed: Deed,
}

impl Wish {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let ids = fields.optional_list("subscriptionIds", "Subscription IDs").unwrap_or_default();
        let possible = |id: &String| {
            (1..=ID_MAX).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !fields.is_faulty("subscriptionIds") {
            if !(1..=IDS_MAX).contains(&ids.len()) {
                fields.fault("subscriptionIds", format!("1 to {IDS_MAX} subscription IDs are required"));
            } else if !ids.iter().all(possible) {
                fields.fault("subscriptionIds", "Subscription IDs are lower-case letters and digits");
            } else if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
                fields.fault("subscriptionIds", "Each subscription ID may be given once");
            }
        }
        let action = fields.text("action", "Action");
        if action.is_some_and(|action| !ACTIONS.contains(&action)) {
            fields.fault("action", format!("Action must be one of {}", ACTIONS.join(", ")));
        }
        let data = body.get("data").cloned().unwrap_or_else(|| json!({}));
        let deed = match action {
            Some("updateStatus") => within(&mut fields, &data, |data| Deed::Stand(read_status(data), WHY.to_owned())),
            Some("extend") => within(&mut fields, &data, |data| Deed::Extend(read_days(data), WHY.to_owned())),
            _ => within(&mut fields, &data, |data| Deed::Cancel(read_full_reason(data))),
        };
        fields.finish(Unknown::Ignored)?;
        Ok(Self { ids, deed })
    }
}

/// What the action needs to know, and nothing else; its faults are named below `data`.
fn within(fields: &mut Fields<'_>, data: &Value, read: impl FnOnce(&mut Fields<'_>) -> Deed) -> Deed {
    let inner = Fields::of(data).and_then(|mut inner| {
        let deed = read(&mut inner);
        inner.finish(Unknown::Refused).map(|()| deed)
    });
    inner.unwrap_or_else(|refusal| {
        for FieldError { field, message } in refusal.errors() {
            let field = if field == "body" { "data".to_owned() } else { format!("data.{field}") };
            fields.fault(&field, message.clone());
        }
        Deed::Cancel(String::new())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use minispod_projections::subscriptions::SubscriptionStatus;

    fn faults(body: &Value) -> Vec<String> {
        let refusal = Wish::read(body).expect_err("refused");
        refusal.errors().iter().map(|fault| fault.field.clone()).collect()
    }

    #[test]
    fn each_action_takes_its_own_data_and_no_other() {
        let of = |action: &str, data: Value| json!({"subscriptionIds": ["ca"], "action": action, "data": data});
        let wish = Wish::read(&of("updateStatus", json!({"status": "SUSPENDED"}))).expect("reads");
        assert_eq!(wish.deed, Deed::Stand(SubscriptionStatus::Suspended, WHY.to_owned()));
        assert!(Wish::read(&of("extend", json!({"extensionDays": 7}))).is_ok());
        assert!(Wish::read(&of("cancel", json!({"reason": "long enough"}))).is_ok());
        assert_eq!(faults(&of("extend", json!({"status": "ACTIVE"}))), ["data.extensionDays", "data.status"]);
        assert_eq!(faults(&of("updateStatus", json!({"status": "GONE"}))), ["data.status"]);
        assert_eq!(faults(&of("cancel", json!({"reason": "short"}))), ["data.reason"]);
        assert_eq!(faults(&of("cancel", json!([]))), ["data"]);
    }

    #[test]
    fn the_list_has_one_to_fifty_different_ids() {
        let of = |ids: Value| json!({"subscriptionIds": ids, "action": "extend", "data": {"extensionDays": 7}});
        let many: Vec<_> = (0..51).map(|number| format!("c{number}")).collect();
        assert!(Wish::read(&of(json!(many[..50]))).is_ok());
        for bad in [json!([]), json!(many), json!(["ca", "ca"]), json!(["C'"]), json!("ca"), json!([1]), json!(null)] {
            assert_eq!(faults(&of(bad.clone())), ["subscriptionIds"], "{bad}");
        }
        assert_eq!(faults(&json!({"action": "x"})), ["subscriptionIds", "action", "data.reason"]);
    }
}
