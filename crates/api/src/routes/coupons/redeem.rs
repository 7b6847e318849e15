//! `POST /wallet/redeem-coupon`: a code's money into the caller's wallet, once for each use.

use actix_web::web;
use minispod_domain::{AnyCommand, CouponCommand};
use minispod_events::{CouponKind, CouponPurpose, CouponUse, EntryCause, Event, WalletEvent};
use minispod_kernel::Rupiah;
use minispod_projections::billing::{self, TransactionRow};
use serde_json::json;

use super::{SHOWN_BY, of_code, read_code};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    input::{Fields, RequestBody, Unknown},
    refusals::{read_failed, refused},
    state::AppState,
};

pub async fn handle(state: web::Data<AppState>, caller: Caller, call: Call, body: RequestBody) -> Result {
    let body = body.form().await?;
    let mut fields = Fields::of(&body.value)?;
    let code = read_code(&mut fields);
    fields.finish(Unknown::Refused)?;
    let context = call.command(caller.actor(), &caller.user.id, &body.bytes);
    if !call.is_repeat(&state, &context).await? {
        state.limits.coupons.check(&caller.user.id)?;
    }
    let coupon = of_code(&state, &code.unwrap_or_default()).await?;
    let used = CouponUse {
        use_id: call.new_id(&state, "coupon-use", &caller.user.id),
        user_id: caller.user.id.clone(),
        purpose: CouponPurpose::Redemption,
    };
    let use_id = used.use_id.clone();
    let command = AnyCommand::Coupon(CouponCommand::Reserve { used });
    let kept = state.dispatcher.dispatch_as(&coupon.id, command, context).await?;
    let replayed = kept.replayed;
    let driven = state.dispatcher.drive(kept, &call.cause(caller.actor())).await?;
    if let Some((_, no)) = driven.refusals.first() {
        return Err(refused(no));
    }
    let shown = call.shown(&state, SHOWN_BY, driven.ins_seq).await;
    let wallet = billing::wallet(state.pool(), &caller.user.id).await.map_err(read_failed)?;
    let (shown_balance, promotional) =
        wallet.map_or((Rupiah::ZERO, Rupiah::ZERO), |wallet| (wallet.balance, wallet.promotional));
    // The log knows it before the read model does.
    let credited = driven.events.iter().find_map(|(_, event)| match event {
        Event::Wallet(WalletEvent::WalletCredited { balance, .. }) => Some(*balance),
        _ => None,
    });
    let balance = credited.unwrap_or(shown_balance);
    let amount = match coupon.worth {
        CouponKind::Credit { amount } | CouponKind::Welcome { amount } => amount,
        CouponKind::Discount { .. } => Rupiah::ZERO,
    };
    let cause = EntryCause::Coupon { coupon_id: coupon.id.clone(), use_id: use_id.clone() };
    let redemption = json!({
        "success": true,
        "redemptionId": use_id,
        "couponCode": coupon.code,
        "couponName": coupon.name,
        "creditAmount": amount.amount(),
        "description": coupon.description,
        "transactionId": TransactionRow::id_of_cause(&cause.key()),
        "newBalance": balance.to_string(),
        "promotional": promotional.to_string(),
    });
    Ok(Answer::ok("Coupon redeemed successfully", json!({ "redemption": redemption })).replayed(replayed).shown(shown))
}
