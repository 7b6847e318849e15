//! Parked lanes for operators: list, show, retry, skip with a reason.

use minispod_kernel::{LogPosition, Timestamp};
use minispod_store::{ParkedEffect, Store, StoreError};
use serde::Serialize;
use serde_json::Value;

use crate::reactors::Envelope;

/// Shortest reason for skipping: a word says nothing to whoever reads it later.
pub const REASON_MIN: usize = 5;

/// A lane that waits for an operator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParkedLane {
    pub reactor: String,
    pub lane: String,
    /// The first effect of the lane, the one that cannot work.
    pub key: String,
    pub kind: String,
    /// As the reactor wrote it; ids only.
    pub payload: Value,
    pub position: Option<LogPosition>,
    pub attempts: u32,
    pub reason: String,
    pub since: Timestamp,
    /// Effects that wait behind it.
    pub waiting: i64,
}

/// An operator's word that could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum DlqError {
    #[error("the lane {lane} of {reactor} is not parked")]
    NotParked { reactor: String, lane: String },
    #[error("give a reason of at least {REASON_MIN} letters")]
    Reason,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The parked lanes of one reactor, or of all, the oldest first.
pub async fn list(store: &Store, reactor: Option<&str>, limit: i64) -> Result<Vec<ParkedLane>, DlqError> {
    Ok(store.ledger().parked(reactor, limit).await?.into_iter().map(lane_of).collect())
}

/// One parked lane.
pub async fn show(store: &Store, reactor: &str, lane: &str) -> Result<ParkedLane, DlqError> {
    store.ledger().parked_lane(reactor, lane).await?.map(lane_of).ok_or_else(|| not_parked(reactor, lane))
}

/// Tries the lane's first effect again, at once.
pub async fn retry(store: &Store, reactor: &str, lane: &str) -> Result<(), DlqError> {
    if store.ledger().retry_lane(reactor, lane).await? { Ok(()) } else { Err(not_parked(reactor, lane)) }
}

/// Gives the lane's first effect up, so that the lane goes on behind it. The reason stays in the ledger.
pub async fn skip(store: &Store, reactor: &str, lane: &str, reason: &str) -> Result<(), DlqError> {
    if reason.trim().chars().count() < REASON_MIN {
        return Err(DlqError::Reason);
    }
    if store.ledger().skip_lane(reactor, lane, reason.trim()).await? { Ok(()) } else { Err(not_parked(reactor, lane)) }
}

fn not_parked(reactor: &str, lane: &str) -> DlqError {
    DlqError::NotParked { reactor: reactor.to_owned(), lane: lane.to_owned() }
}

fn lane_of(parked: ParkedEffect) -> ParkedLane {
    let payload = match serde_json::from_value::<Envelope>(parked.payload.clone()) {
        Ok(envelope) => envelope.intent,
        Err(_) => parked.payload,
    };
    ParkedLane {
        reactor: parked.reactor,
        lane: parked.lane,
        key: parked.key,
        kind: parked.kind,
        payload,
        position: parked.position,
        attempts: parked.attempts,
        reason: parked.reason,
        since: parked.since,
        waiting: parked.waiting,
    }
}
