//! `POST /billing/manual-topups`: a bank transfer and its proof, as `multipart/form-data`.

use actix_web::{HttpRequest, web};
use minispod_domain::{
    AnyCommand, ManualTopUpCommand,
    manual_topup::{OPEN_MAX, place_key},
};
use minispod_events::{Event, ManualTopUpEvent};
use minispod_projections::manual_topups::{ManualTopUpRow, ManualTopUpStatus};

use super::{SHOWN_BY, show, upload};
use crate::{
    answer::{Answer, Result},
    call::Call,
    caller::Caller,
    error::ApiError,
    state::AppState,
};

pub async fn handle(
    state: web::Data<AppState>,
    caller: Caller,
    call: Call,
    request: HttpRequest,
    payload: web::Payload,
) -> Result {
    state.limits.payments.check(&caller.user.id)?;
    let upload = upload::read(&state, &request, payload).await?;
    let said = format!("{} {}", upload.amount, upload.proof.digest);
    let context = call.command(caller.actor(), &caller.user.id, said.as_bytes());
    let place = free_place(&state, &caller.user.id).await?;
    // A repeat of what was asked for before is answered from its receipt, whatever is open by now.
    if place.is_none() && !call.is_repeat(&state, &context).await? {
        return Err(ApiError::conflict(format!("At most {OPEN_MAX} manual top-ups can wait at the same time")));
    }
    upload.draft.keep().await?;
    let id = call.new_id(&state, "manual-topup", &caller.user.id);
    let command = AnyCommand::ManualTopUp(ManualTopUpCommand::Request {
        user_id: caller.user.id.clone(),
        amount: upload.amount,
        place: place.unwrap_or(OPEN_MAX),
        proof: upload.proof,
    });
    let done = state.dispatcher.dispatch_as(&id, command, context).await?;
    let asked = done.events.iter().find_map(|(_, event)| row(&done.aggregate_id, event));
    let asked = asked.ok_or_else(|| ApiError::conflict("This manual top-up was asked for before"))?;
    let shown = call.shown(&state, SHOWN_BY, done.ins_seq).await;
    Ok(Answer::created("Manual top-up requested successfully", show(&asked))
        .at_version(done.version)
        .replayed(done.replayed)
        .shown(shown))
}

/// The first of the customer's places that nothing waits in.
async fn free_place(state: &AppState, user_id: &str) -> std::result::Result<Option<u8>, ApiError> {
    for place in 1..=OPEN_MAX {
        if state.store.claim_holder(&place_key(user_id, place)).await?.is_none() {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// The request as it was just asked for.
fn row(id: &str, event: &Event) -> Option<ManualTopUpRow> {
    let Event::ManualTopUp(ManualTopUpEvent::ManualTopUpRequested { user_id, amount, proof, occurred_at, .. }) = event
    else {
        return None;
    };
    Some(ManualTopUpRow {
        id: id.to_owned(),
        user_id: user_id.clone(),
        amount: *amount,
        status: ManualTopUpStatus::Pending,
        digest: proof.digest.clone(),
        media_type: proof.media_type.clone(),
        size: i64::try_from(proof.size).unwrap_or(i64::MAX),
        endorsed_by: None,
        decided_by: None,
        reason: None,
        created_at: *occurred_at,
        updated_at: *occurred_at,
    })
}
