//! `POST /admin/billing/users/:userId/adjust-balance`: gives money, or takes it as far as it is there.

use actix_web::{http::StatusCode, web};
use minispod_auth::Action;
use minispod_domain::{
    AnyCommand, WalletCommand,
    wallet::{ADJUSTMENT_LEAST, ADJUSTMENT_MOST},
};
use minispod_events::{EntryCause, Event, WalletEvent};
use minispod_kernel::Rupiah;
use minispod_projections::users;
use minispod_store::CommandError;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, RequestBody, Unknown, path::existing_id},
    refusals::read_failed,
    state::AppState,
};

/// Bounds of the description, in characters.
pub const DESCRIPTION_MIN: usize = 5;
pub const DESCRIPTION_MAX: usize = 200;
/// The ways money goes.
pub const KINDS: [&str; 2] = ["CREDIT", "DEBIT"];
const SHOWN_BY: &[&str] = &["billing"];

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    user_id: web::Path<String>,
    body: RequestBody,
) -> Result {
    caller.may(Action::ManageBilling)?;
    let body = body.form().await?;
    let wish = Wish::read(&body.value)?;
    let account = users::find(state.pool(), existing_id(&user_id, "User")?).await.map_err(read_failed)?;
    account.filter(|account| !account.forgotten).ok_or_else(|| ApiError::not_found("User"))?;
    let key = call.new_id(&state, "adjustment", &caller.user.id);
    let cause = EntryCause::Adjustment { key, reason: wish.description.clone() };
    let command = AnyCommand::Wallet(WalletCommand::Adjust { amount: wish.signed(), cause });
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    let done = state.dispatcher.dispatch_as(&user_id, command, context).await.map_err(refusal)?;
    // Both balances are of one fact: a second look may see what others did meanwhile.
    let entry = done.events.iter().find_map(|(_, event)| match event {
        Event::Wallet(WalletEvent::WalletAdjusted { amount, balance, .. }) => Some((*amount, *balance)),
        _ => None,
    });
    let (amount, after) = entry.ok_or_else(|| ApiError::conflict("This adjustment was made before"))?;
    let before = after.checked_sub(amount).unwrap_or_default();
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    let data = json!({
        "userId": *user_id,
        "adjustment": {
            "amount": wish.amount.amount(),
            "type": wish.kind(),
            "description": wish.description,
            "balanceBefore": before.to_string(),
            "balanceAfter": after.to_string(),
        },
        "adjustedBy": caller.user.id,
    });
    Ok(Answer::ok("Balance adjusted successfully", data).at_version(done.version).replayed(done.replayed).shown(shown))
}

/// More than there is cannot be taken: 422, because nobody is to pay here.
fn refusal(error: CommandError) -> ApiError {
    match error {
        CommandError::Refused(no) if no.code == "wallet-insufficient-balance" => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "INSUFFICIENT_BALANCE", "The balance does not cover this")
        }
        other => other.into(),
    }
}

/// The adjustment as it was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    amount: Rupiah,
    gives: bool,
    description: String,
}

impl Wish {
    fn read(body: &Value) -> std::result::Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let amount = fields.whole_number("amount", "Amount");
        if amount.is_some_and(|amount| !(ADJUSTMENT_LEAST.amount()..=ADJUSTMENT_MOST.amount()).contains(&amount)) {
            fields.fault("amount", format!("Amount must be {ADJUSTMENT_LEAST} to {ADJUSTMENT_MOST} whole rupiah"));
        }
        let kind = fields.text("type", "Type");
        if kind.is_some_and(|kind| !KINDS.contains(&kind)) {
            fields.fault("type", format!("Type must be one of {}", KINDS.join(", ")));
        }
        let description = fields.text("description", "Description").map(str::trim);
        let good = |text: &str| {
            (DESCRIPTION_MIN..=DESCRIPTION_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        if description.is_some_and(|text| !good(text)) {
            let bounds = format!("{DESCRIPTION_MIN} to {DESCRIPTION_MAX}");
            fields.fault("description", format!("Description must be a line of {bounds} characters"));
        }
        fields.finish(Unknown::Refused)?;
        let description = description.unwrap_or_default().to_owned();
        Ok(Self { amount: Rupiah::new(amount.unwrap_or_default()), gives: kind == Some("CREDIT"), description })
    }

    const fn kind(&self) -> &'static str {
        if self.gives { KINDS[0] } else { KINDS[1] }
    }

    fn signed(&self) -> Rupiah {
        if self.gives { self.amount } else { Rupiah::new(-self.amount.amount()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w21_amounts_are_whole_and_bounded_and_every_bad_field_is_named() {
        let of = |amount: Value, kind: &str, description: &str| {
            Wish::read(&json!({"amount": amount, "type": kind, "description": description}))
        };
        let debit = of(json!(100_000_000), "DEBIT", "goodwill").expect("reads");
        assert_eq!((debit.signed(), debit.kind()), (Rupiah::new(-100_000_000), "DEBIT"));
        assert_eq!(of(json!(1_000), "CREDIT", "goodwill").expect("reads").signed(), Rupiah::new(1_000));
        for bad in [json!(999), json!(100_000_001), json!(1_000.5), json!("5000"), json!(-5_000), json!(null)] {
            assert!(of(bad.clone(), "CREDIT", "goodwill").is_err(), "{bad}");
        }
        let refusal = Wish::read(&json!({"amount": 5, "type": "GIFT", "description": "why"})).expect_err("refused");
        let named: Vec<_> = refusal.errors().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(named, ["amount", "type", "description"]);
    }
}
