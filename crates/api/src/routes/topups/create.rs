//! `POST /billing/topup`: an order at the gateway and where to pay it.

use actix_web::web;
use minispod_domain::{
    AnyCommand, TopUpCommand,
    topup::{LEAST_AMOUNT, MOST_AMOUNT},
};
use minispod_kernel::Rupiah;
use serde_json::Value;

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown},
    orders::Order,
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    let body = body.form().await?;
    let amount = read(&body.value)?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    if !call.is_repeat(&state, &context).await? {
        state.limits.payments.check(&caller.user.id)?;
    }
    let id = call.new_id(&state, "topup", &caller.user.id);
    let command = AnyCommand::TopUp(TopUpCommand::Request {
        user_id: caller.user.id.clone(),
        amount,
        expires_at: state.clock.now().plus(state.config.topup_lifetime),
    });
    let requested = state.dispatcher.dispatch_as(&id, command, context).await?;
    let payable = Order::load(&state, &requested.aggregate_id).await?.with_page(&state).await?;
    let after = Order::load(&state, &requested.aggregate_id).await?;
    let shown = call.shown(&state, &["billing"], requested.ins_seq).await;
    Ok(Answer::created("Top-up created successfully", payable)
        .at_version(after.version)
        .replayed(requested.replayed)
        .shown(shown))
}

fn read(body: &Value) -> std::result::Result<Rupiah, ApiError> {
    let mut fields = Fields::of(body)?;
    let amount = fields.whole_number("amount", "Amount").map(Rupiah::new);
    if amount.is_some_and(|amount| amount < LEAST_AMOUNT) {
        fields.fault("amount", format!("The smallest top-up is {LEAST_AMOUNT} rupiah"));
    }
    if amount.is_some_and(|amount| amount > MOST_AMOUNT) {
        fields.fault("amount", format!("The largest top-up is {MOST_AMOUNT} rupiah"));
    }
    if fields.optional_text("currency", "Currency").is_some_and(|currency| currency != "IDR") {
        fields.fault("currency", "Currency must be IDR");
    }
    fields.finish(Unknown::Refused)?;
    Ok(amount.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_at_the_bounds_pass() {
        assert_eq!(read(&json!({"amount": 10_000})).expect("reads"), Rupiah::new(10_000));
        assert_eq!(read(&json!({"amount": 10_000_000, "currency": "IDR"})).expect("reads"), Rupiah::new(10_000_000));
    }

    #[test]
    fn everything_else_names_its_field() {
        for (body, field) in [
            (json!({}), "amount"),
            (json!({"amount": 9_999}), "amount"),
            (json!({"amount": 10_000_001}), "amount"),
            (json!({"amount": -50_000}), "amount"),
            (json!({"amount": "50000"}), "amount"),
            (json!({"amount": 50_000.5}), "amount"),
            (json!({"amount": 1e300}), "amount"),
            (json!({"amount": null}), "amount"),
            (json!({"amount": [50_000]}), "amount"),
            (json!({"amount": 50_000, "currency": "USD"}), "currency"),
            (json!({"amount": 50_000, "currency": 360}), "currency"),
            (json!({"amount": 50_000, "userId": "another"}), "userId"),
        ] {
            let refusal = read(&body).expect_err("refused");
            let fields: Vec<_> = refusal.errors().iter().map(|fault| fault.field.as_str()).collect();
            assert_eq!(fields, [field], "{body}");
        }
    }
}
