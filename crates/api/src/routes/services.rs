//! The catalogue: public to read, the administrators' to change.

pub mod admin_list;
pub mod admin_read;
pub mod admin_stats;
pub mod categories;
pub mod create;
pub mod delete;
mod form;
pub mod grouped;
pub mod list;
pub mod read;
pub mod toggle;
pub mod update;
pub mod variants;

use actix_web::{
    http::StatusCode,
    web::{ServiceConfig, delete, get, patch, post, put, resource},
};
use minispod_domain::{AnyCommand, PlanCommand, plan::PlanChange};
use minispod_events::{Event, PlanEvent};
use minispod_kernel::{Actor, InsSeq, ids::is_aggregate_id};
use minispod_projections::catalogue::{self, PlanRow};
use minispod_runtime::Dispatched;
use minispod_store::CommandError;

use crate::{
    call::Call,
    error::{ApiError, RETRY_AFTER},
    preference::Shown,
    refusals::read_failed,
    state::AppState,
};

/// Paths under `/services`. Fixed segments stand before `{name}` and `{id}`.
pub fn configure(app: &mut ServiceConfig) {
    app.service(resource("/services").route(get().to(list::handle)).route(post().to(create::handle)))
        .service(resource("/services/grouped").route(get().to(grouped::handle)))
        .service(resource("/services/categories").route(get().to(categories::handle)))
        .service(resource("/services/admin").route(get().to(admin_list::handle)))
        .service(resource("/services/admin/stats").route(get().to(admin_stats::handle)))
        .service(resource("/services/admin/{id}").route(get().to(admin_read::handle)))
        .service(resource("/services/{name}/variants").route(get().to(variants::handle)))
        .service(resource("/services/{id}/toggle-status").route(patch().to(toggle::handle)))
        .service(
            resource("/services/{name}")
                .route(get().to(read::handle))
                .route(put().to(update::handle))
                .route(delete().to(delete::handle)),
        );
}

/// The read model that shows what these routes write.
const SHOWN_BY: &[&str] = &["catalogue"];

/// Longest search text.
const SEARCH_MAX: usize = 100;

fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "SERVICE_NOT_FOUND", "Service not found")
}

/// The plan `id`, sold or retired. A deleted one is shown only to a `repeat` of a request.
async fn existing(state: &AppState, id: &str, repeat: bool) -> Result<PlanRow, ApiError> {
    if !is_aggregate_id(id) {
        return Err(not_found());
    }
    let plan = catalogue::find(state.pool(), id).await.map_err(read_failed)?;
    plan.filter(|plan| repeat || !plan.deleted).ok_or_else(not_found)
}

/// A refused command in the catalogue's words.
fn refusal(error: CommandError) -> ApiError {
    match error {
        CommandError::ClaimTaken { .. } => {
            ApiError::new(StatusCode::CONFLICT, "SERVICE_EXISTS", "A service with this name and variant already exists")
        }
        CommandError::Refused(no) if no.code == "plan-slots-in-use" => ApiError::new(
            StatusCode::CONFLICT,
            "SERVICE_HAS_ACTIVE_SUBSCRIPTIONS",
            "The service cannot be deleted while it has active subscriptions",
        ),
        CommandError::Refused(no) if no.code == "plan-not-found" => not_found(),
        other => other.into(),
    }
}

/// What a write left, and whether the read model shows it.
struct Written {
    plan: PlanRow,
    shown: Shown,
}

/// Waits until the read model shows `done`; when it does not in time, the events say what became of `before`.
async fn settle(
    state: &AppState,
    call: &Call,
    actor: Actor,
    before: Option<PlanRow>,
    done: Dispatched,
) -> Result<Written, ApiError> {
    let id = done.aggregate_id;
    let events = done.events.iter().filter_map(|(_, event)| match event {
        Event::Plan(event) => Some(event),
        _ => None,
    });
    let mut last = done.ins_seq;
    for event in events.clone() {
        if let PlanEvent::PlanPublished { details, .. } | PlanEvent::PlanRevised { details, .. } = event
            && details.is_default_variant
            && !done.replayed
        {
            last = last.max(stand_alone(state, call, actor.clone(), &details.offering, &id).await?);
        }
    }
    let shown = call.shown(state, SHOWN_BY, last).await;
    let read = catalogue::find(state.pool(), &id).await.map_err(read_failed)?;
    let told = if done.replayed { before } else { events.fold(before, |row, event| PlanRow::after(row, &id, event)) };
    let plan = if shown.is_shown() { read.or(told) } else { told.or(read) };
    Ok(Written { plan: plan.ok_or_else(|| ApiError::busy(RETRY_AFTER))?, shown })
}

/// Takes the mark of the default variant from the other plans of `offering`: `id` has it now. Readers show one default
/// whatever is marked, so what cannot be written here only waits for the next edit.
async fn stand_alone(
    state: &AppState,
    call: &Call,
    actor: Actor,
    offering: &str,
    id: &str,
) -> Result<InsSeq, ApiError> {
    let mut last = InsSeq(0);
    for other in catalogue::other_defaults(state.pool(), offering, id).await.map_err(read_failed)? {
        let change = Box::new(PlanChange { is_default_variant: Some(false), ..PlanChange::default() });
        let command = AnyCommand::Plan(PlanCommand::Edit { change });
        match state.dispatcher.dispatch_as(&other.id, command, call.plain(actor.clone())).await {
            Ok(done) => last = last.max(done.ins_seq),
            Err(error) => tracing::warn!(plan = other.id, %error, "a second default variant stays marked"),
        }
    }
    Ok(last)
}
