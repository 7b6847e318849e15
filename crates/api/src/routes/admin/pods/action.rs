//! `POST /admin/pods/:id/action`: restart, stop, start, delete or reset by name.

use actix_web::web;
use minispod_auth::Action;
use serde_json::{Value, json};

use super::{Wish, ask, existing};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    state::AppState,
    views,
};

/// The words of the contract.
pub const ACTIONS: [&str; 5] = ["restart", "stop", "start", "delete", "reset"];

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageInstances)?;
    let body = body.form().await?;
    let word = read(&body.value)?;
    let (wish, message) = match word {
        "restart" => (Wish::Restart, "The pod is being restarted"),
        "stop" => (Wish::Stop, "The pod is being stopped"),
        "start" => (Wish::Start, "The pod is being started"),
        "delete" => (Wish::Delete, "The workload is being deleted; its volume is kept"),
        _ => (Wish::Reset, "The data is being wiped; the pod starts anew with the same settings"),
    };
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let asked = ask(&state, &caller, &call, &id, wish, context).await?;
    let owned = existing(&state, &id).await?;
    let data = json!({
        "podId": asked.after.id,
        "podName": views::pods::name(&asked.after),
        "owner": owned.owner_view(),
        "result": { "action": word, "message": message, "timestamp": asked.at.to_contract() },
        "status": views::pods::real_time(&asked.after),
    });
    Ok(Answer::ok("Pod action performed successfully", data)
        .at_version(asked.version)
        .replayed(asked.replayed)
        .shown(asked.shown))
}

fn read(body: &Value) -> std::result::Result<&'static str, ApiError> {
    let mut fields = Fields::of(body)?;
    let word = fields.text("action", "Action").map(|word| ACTIONS.into_iter().find(|known| *known == word));
    if word == Some(None) {
        fields.fault("action", format!("Action must be one of {}", ACTIONS.join(", ")));
    }
    fields.finish(Unknown::Ignored)?;
    Ok(word.flatten().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_contracts_words_are_actions() {
        for word in ACTIONS {
            assert_eq!(read(&json!({ "action": word, "force": true })).expect(word), word);
        }
        for bad in [json!({}), json!({"action": 5}), json!({"action": "RESTART"}), json!({"action": null}), json!([])] {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}
