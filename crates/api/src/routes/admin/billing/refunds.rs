//! The refund desk: money of paid top-ups back to customers, by one administrator or two.

pub mod approve;
pub mod close_quarantine;
pub mod list;
pub mod open;
pub mod read;
pub mod refuse;
pub mod transfer;

use actix_web::web::{ServiceConfig, get, post, resource};
use minispod_domain::{AnyCommand, RefundCommand, TopUpCommand};
use minispod_kernel::InsSeq;
use minispod_projections::refunds::{self, RefundRow};
use minispod_store::CommandContext;
use serde_json::{Value, json};

use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    input::{Fields, Unknown, reason::read_reason},
    refusals::read_failed,
    state::AppState,
};

/// The read models that show what the desk does.
const SHOWN_BY: &[&str] = &["billing", "refunds"];
/// Shortest reason, in characters.
pub const REASON_MIN: usize = 5;

/// Paths under `/admin/billing` that are the desk's.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/billing/topups/{id}/refund").route(post().to(open::handle)))
        .service(resource("/admin/billing/topups/{id}/close-quarantine").route(post().to(close_quarantine::handle)))
        .service(resource("/admin/billing/refunds").route(get().to(list::handle)))
        .service(resource("/admin/billing/refunds/{refundKey}").route(get().to(read::handle)))
        .service(resource("/admin/billing/refunds/{refundKey}/approve").route(post().to(approve::handle)))
        .service(resource("/admin/billing/refunds/{refundKey}/refuse").route(post().to(refuse::handle)))
        .service(resource("/admin/billing/refunds/{refundKey}/transfer").route(post().to(transfer::handle)));
}

/// The refund of this key, or 404.
async fn existing(state: &AppState, refund_key: &str) -> std::result::Result<RefundRow, ApiError> {
    let well_formed = refund_key.len() <= KEY_MAX && refund_key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !well_formed {
        return Err(not_found());
    }
    refunds::find(state.pool(), refund_key).await.map_err(read_failed)?.ok_or_else(not_found)
}

/// Longest refund key.
const KEY_MAX: usize = 64;

fn not_found() -> ApiError {
    ApiError::not_found("Refund")
}

/// Carries a command to the desk out, and what follows at once; answers with the refund as it then stands.
async fn decide(
    state: &AppState,
    caller: &Caller,
    call: &Call,
    context: CommandContext,
    row: &RefundRow,
    command: RefundCommand,
) -> Result {
    let command = AnyCommand::TopUp(TopUpCommand::Desk(command));
    let done = state.dispatcher.dispatch_as(&row.topup_id, command, context).await?;
    let (version, replayed) = (done.version, done.replayed);
    let driven = state.dispatcher.drive(done, &call.cause(caller.actor())).await?;
    let answer = stands(state, call, &row.id, driven.ins_seq, "Refund decided successfully").await?;
    Ok(answer.at_version(version).replayed(replayed))
}

/// The refund when the read models show `ins_seq`, or as far as they are.
async fn stands(state: &AppState, call: &Call, refund_key: &str, ins_seq: InsSeq, message: &'static str) -> Result {
    let shown = call.shown(state, SHOWN_BY, ins_seq).await;
    let view = refunds::find(state.pool(), refund_key).await.map_err(read_failed)?;
    let view = view.map_or_else(|| json!({ "refundKey": refund_key }), |row| show(&row));
    Ok(Answer::ok(message, view).shown(shown))
}

/// One refund.
fn show(row: &RefundRow) -> Value {
    json!({
        "refundKey": row.id,
        "topUpId": row.topup_id,
        "orderId": row.order_id,
        "userId": row.user_id,
        "amount": row.amount.to_string(),
        "currency": "IDR",
        "method": row.method.as_str(),
        "paymentType": row.payment_type,
        "status": row.status.as_str(),
        "reason": row.reason,
        "needsApproval": row.needs_approval,
        "requestedBy": row.requested_by,
        "approvedBy": row.approved_by,
        "declinedBy": row.declined_by,
        "outcome": row.outcome,
        "createdAt": row.created_at.to_contract(),
        "updatedAt": row.updated_at.to_contract(),
    })
}

/// A reason that is one: of the form, else of the header.
pub fn full_reason(fields: &mut Fields<'_>, header: Option<&str>) -> String {
    let reason = read_reason(fields, header.unwrap_or_default());
    if reason.chars().count() < REASON_MIN && !fields.is_faulty("reason") {
        fields.fault("reason", format!("Reason must have at least {REASON_MIN} characters"));
    }
    reason
}

/// A form of a reason alone.
pub fn only_reason(body: &Value, header: Option<&str>) -> std::result::Result<String, ApiError> {
    let mut fields = Fields::of(body)?;
    let reason = full_reason(&mut fields, header);
    fields.finish(Unknown::Refused)?;
    Ok(reason)
}
