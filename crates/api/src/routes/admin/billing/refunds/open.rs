//! `POST /admin/billing/topups/:id/refund`: gives money of a paid top-up back; a large sum waits for another administrator.

use actix_web::{http::StatusCode, web};
use minispod_auth::Action;
use minispod_domain::{AnyCommand, RefundCommand, TopUpCommand};
use minispod_events::{Event, RefundMethod, TopUpEvent};
use minispod_kernel::{Rupiah, Sensitive};
use minispod_projections::billing;
use serde_json::Value;

use super::{full_reason, stands};
use crate::{
    answer::Result,
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, path::existing_id},
    refusals::read_failed,
    state::AppState,
};

/// The ways back.
pub const METHODS: [&str; 3] = ["GATEWAY", "BANK_TRANSFER", "WALLET_CREDIT"];

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageBilling)?;
    let body = body.form().await?;
    let wish = Wish::read(&body.value, call.reason())?;
    let topup = billing::topup(state.pool(), existing_id(&id, "Top-up")?, None).await.map_err(read_failed)?;
    topup.ok_or_else(|| ApiError::not_found("Top-up"))?;
    let command = AnyCommand::TopUp(TopUpCommand::Desk(RefundCommand::Open {
        order_id: wish.order_id,
        amount: wish.amount,
        method: wish.method,
        reason: Sensitive::Open(wish.reason),
        by: caller.user.id.clone(),
        approval_above: state.config.approval_above,
    }));
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let done = state.dispatcher.dispatch_as(&id, command, context).await?;
    let (version, replayed) = (done.version, done.replayed);
    let key = done.events.iter().find_map(|(_, event)| match event {
        Event::TopUp(TopUpEvent::TopUpRefundOpened { refund_key, .. }) => Some(refund_key.clone()),
        _ => None,
    });
    let key = key.ok_or_else(|| ApiError::conflict("This refund was asked for before"))?;
    let driven = state.dispatcher.drive(done, &call.cause(caller.actor())).await?;
    let answer = stands(&state, &call, &key, driven.ins_seq, "Refund requested successfully").await?;
    if driven.refusals.iter().any(|(_, no)| no.code == "wallet-insufficient-balance") {
        let message = "The wallet does not hold this sum; a refund never drives it below zero";
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "INSUFFICIENT_BALANCE", message));
    }
    Ok(answer.with_status(StatusCode::CREATED).at_version(version).replayed(replayed))
}

/// The refund as it was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    amount: Rupiah,
    reason: String,
    method: Option<RefundMethod>,
    order_id: Option<String>,
}

impl Wish {
    fn read(body: &Value, header: Option<&str>) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let amount = fields.whole_number("amount", "Amount");
        if amount.is_some_and(|amount| amount < 1) {
            fields.fault("amount", "Amount must be at least one whole rupiah");
        }
        let reason = full_reason(&mut fields, header);
        let method = fields.optional_text("method", "Method");
        if method.is_some_and(|method| !METHODS.contains(&method)) {
            fields.fault("method", format!("Method must be one of {}", METHODS.join(", ")));
        }
        let order_id = fields.optional_text("orderId", "Order id").map(str::to_owned);
        fields.finish(Unknown::Refused)?;
        let method = method.map(|method| match method {
            "BANK_TRANSFER" => RefundMethod::BankTransfer,
            "WALLET_CREDIT" => RefundMethod::WalletCredit,
            _ => RefundMethod::Gateway,
        });
        Ok(Self { amount: Rupiah::new(amount.unwrap_or_default()), reason, method, order_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wish_is_whole_and_every_bad_field_is_named() {
        let body = json!({"amount": 1, "reason": "moved house", "method": "BANK_TRANSFER"});
        let wish = Wish::read(&body, None).expect("reads");
        assert_eq!((wish.amount, wish.method), (Rupiah::new(1), Some(RefundMethod::BankTransfer)));
        let from_header = Wish::read(&json!({"amount": 5}), Some("ticket 77")).expect("reads");
        assert_eq!((from_header.reason.as_str(), from_header.method), ("ticket 77", None));
        for amount in [json!(0), json!(-1), json!(1.5), json!("5000"), json!(null)] {
            assert!(Wish::read(&json!({"amount": amount, "reason": "moved house"}), None).is_err(), "{amount}");
        }
        let bad = json!({"amount": 0, "reason": "x", "method": "CASH", "to": "me"});
        let refusal = Wish::read(&bad, None).expect_err("refused");
        let named: Vec<_> = refusal.errors().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(named, ["amount", "reason", "method", "to"]);
    }
}
