//! Everybody's coupons: what codes there are, what they are worth, and what was made of them.

pub mod bulk_status;
pub mod create;
pub mod delete;
mod form;
pub mod list;
pub mod read;
pub mod statistics;
pub mod update;

use actix_web::web::{ServiceConfig, delete, get, post, put, resource};
use minispod_domain::{AnyCommand, CouponCommand, WelcomeRefusal, coupon::welcome::BONUSES_MAX};
use minispod_events::Event;
use minispod_kernel::InsSeq;
use minispod_projections::{
    PageRequest,
    coupons::{self as read_model, CouponFilter, CouponKindWord, CouponRow, CouponStanding},
};
use minispod_store::{CommandContext, CommandError};

use super::People;
use crate::{
    call::Call,
    caller::Caller,
    error::ApiError,
    input::path::existing_id,
    refusals::{read_failed, refused},
    routes::coupons::said,
    state::AppState,
};

/// The read models that show a coupon.
const SHOWN_BY: &[&str] = &["coupons"];

/// Paths under `/admin/coupons`. Fixed segments stand before `{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/admin/coupons").route(get().to(list::handle)).route(post().to(create::handle)))
        .service(resource("/admin/coupons/statistics").route(get().to(statistics::handle)))
        .service(resource("/admin/coupons/bulk-status").route(put().to(bulk_status::handle)))
        .service(
            resource("/admin/coupons/{id}")
                .route(get().to(read::handle))
                .route(put().to(update::handle))
                .route(delete().to(delete::handle)),
        );
}

/// The coupon `id`, else 404.
async fn existing(state: &AppState, id: &str) -> Result<CouponRow, ApiError> {
    let id = existing_id(id, "Coupon")?;
    let found = read_model::find(state.pool(), id).await.map_err(read_failed)?;
    found.ok_or_else(|| ApiError::not_found("Coupon"))
}

/// A new customer gets every bonus, so there are not more than one greeting can carry. The list itself keeps the limit;
/// here it is told before anything is written.
async fn refuse_one_too_many(state: &AppState) -> Result<(), ApiError> {
    let filter = CouponFilter {
        standing: Some((CouponStanding::Active, state.clock.now())),
        kind: Some(CouponKindWord::Welcome),
        ..CouponFilter::default()
    };
    let page = read_model::page(state.pool(), &filter, PageRequest::new(1, 1)).await.map_err(read_failed)?;
    let is_full = usize::try_from(page.total).is_ok_and(|total| total >= BONUSES_MAX);
    if is_full { Err(ApiError::conflict(said(&WelcomeRefusal::TooMany))) } else { Ok(()) }
}

/// What a command came to.
struct Written {
    version: i64,
    ins_seq: InsSeq,
    replayed: bool,
    /// The coupon, when this made it.
    created: Option<CouponRow>,
}

/// Carries a command out, and what follows at once; a list of bonuses that is full is a refusal of it.
async fn carry_out(
    state: &AppState,
    caller: &Caller,
    call: &Call,
    context: CommandContext,
    id: &str,
    command: CouponCommand,
) -> Result<Written, ApiError> {
    let done = state.dispatcher.dispatch_as(id, AnyCommand::Coupon(command), context).await;
    let done = done.map_err(|error| match error {
        CommandError::ClaimTaken { .. } => ApiError::conflict("A coupon with this code exists"),
        other => other.into(),
    })?;
    let (version, replayed) = (done.version, done.replayed);
    let created = done.events.iter().find_map(|(_, event)| match event {
        Event::Coupon(event) => CouponRow::created(id, event),
        _ => None,
    });
    let driven = state.dispatcher.drive(done, &call.cause(caller.actor())).await?;
    match driven.refusals.first() {
        Some((_, no)) => Err(refused(no)),
        None => Ok(Written { version, ins_seq: driven.ins_seq, replayed, created }),
    }
}
