//! From rows to states: a saved state and the events after it, for many aggregates in one round trip.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::Value;
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{
    StoreError,
    cache::Held,
    fold::{Fold, StoredEvent, Subject},
    sealing::Sealer,
};

/// A fold with its place, version and insertion number.
type Started = (Arc<str>, i64, i64, Box<dyn Fold>);

/// One aggregate's rows.
#[derive(Default)]
pub(crate) struct History {
    saved: Option<Value>,
    /// The saved state is ahead of the log: it belongs to another one.
    misfit: bool,
    version: i64,
    ins_seq: i64,
    pub(crate) events: Vec<StoredEvent>,
}

/// The states of `subjects`, as of now.
pub(crate) async fn load(
    db: &mut PgConnection,
    sealer: &Sealer,
    subjects: &[&dyn Subject],
    with_saved: bool,
) -> Result<HashMap<Arc<str>, Held>, StoreError> {
    let histories = read(db, subjects, with_saved).await?;
    let mut folds: Vec<Started> = Vec::with_capacity(subjects.len());
    let mut misfits: Vec<&dyn Subject> = Vec::new();
    for (subject, history) in subjects.iter().zip(histories) {
        let (version, ins_seq) = (history.version, history.ins_seq);
        if history.misfit {
            misfits.push(*subject);
            continue;
        }
        match subject.fold(history.saved, history.events)? {
            Ok(fold) => folds.push((subject.place().clone(), version, ins_seq, fold)),
            Err(_) => misfits.push(*subject),
        }
    }
    let mut persons = BTreeSet::new();
    for (_, _, _, fold) in &mut folds {
        fold.persons(&mut persons);
    }
    let keys = sealer.keys(&mut *db, &persons).await?;
    let mut states = HashMap::with_capacity(folds.len());
    for (place, version, ins_seq, fold) in folds {
        states.insert(place, Held { version, ins_seq, state: fold.finish(&keys)? });
    }
    if !misfits.is_empty() {
        tracing::warn!(count = misfits.len(), "saved states do not fit their fingerprint; folding whole histories");
        states.extend(Box::pin(load(db, sealer, &misfits, false)).await?);
    }
    Ok(states)
}

/// The events of `subjects`, in their order; with the saved states only those after them.
pub(crate) async fn read(
    db: &mut PgConnection,
    subjects: &[&dyn Subject],
    with_saved: bool,
) -> Result<Vec<History>, StoreError> {
    // The event at the saved version comes along: it proves that the row belongs to this log and gives its number.
    let rows = sqlx::query(
        "SELECT k.place, s.version AS saved_version,
                CASE WHEN e.sequence IS NULL OR e.sequence = s.version THEN s.state END AS saved,
                e.sequence, e.ins_seq, e.event_type, e.event_version, e.metadata ->> 'event_id' AS event_id,
                CASE WHEN e.sequence > coalesce(s.version, 0) THEN e.payload END AS payload
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k (aggregate_type, aggregate_id, fingerprint, place)
         LEFT JOIN ops.aggregate_state s ON $4 AND s.aggregate_type = k.aggregate_type
           AND s.aggregate_id = k.aggregate_id AND s.fingerprint = k.fingerprint
         LEFT JOIN LATERAL (
           SELECT * FROM log.events e WHERE e.aggregate_type = k.aggregate_type AND e.aggregate_id = k.aggregate_id
             AND e.sequence >= coalesce(s.version, 0) ORDER BY e.sequence) e ON true
         ORDER BY k.place, e.sequence",
    )
    .bind(subjects.iter().map(|subject| subject.aggregate_type()).collect::<Vec<_>>())
    .bind(subjects.iter().map(|subject| subject.aggregate_id()).collect::<Vec<_>>())
    .bind(subjects.iter().map(|subject| subject.fingerprint()).collect::<Vec<_>>())
    .bind(with_saved)
    .fetch_all(db)
    .await
    .map_err(StoreError::database("load aggregates"))?;
    let mut histories: Vec<History> = subjects.iter().map(|_| History::default()).collect();
    for row in &rows {
        take(row, &mut histories).map_err(StoreError::database("load aggregates"))?;
    }
    Ok(histories)
}

fn take(row: &PgRow, histories: &mut [History]) -> Result<(), sqlx::Error> {
    let place = row.try_get::<i64, _>("place")?;
    let Some(history) = usize::try_from(place - 1).ok().and_then(|index| histories.get_mut(index)) else {
        return Ok(());
    };
    let Some(sequence) = row.try_get::<Option<i64>, _>("sequence")? else {
        history.misfit = row.try_get::<Option<i64>, _>("saved_version")?.is_some();
        return Ok(());
    };
    history.version = sequence;
    history.ins_seq = row.try_get("ins_seq")?;
    if let Some(saved) = row.try_get::<Option<Value>, _>("saved")? {
        history.saved = Some(saved);
    }
    if let Some(payload) = row.try_get::<Option<Value>, _>("payload")? {
        history.events.push(StoredEvent {
            sequence,
            ins_seq: history.ins_seq,
            event_id: row.try_get::<Option<String>, _>("event_id")?.unwrap_or_default(),
            event_type: row.try_get("event_type")?,
            event_version: row.try_get("event_version")?,
            payload,
        });
    }
    Ok(())
}

/// Some events of one aggregate, `first..=last`.
pub(crate) async fn events(
    db: &mut PgConnection,
    aggregate_type: &str,
    aggregate_id: &str,
    first: i64,
    last: i64,
) -> Result<Vec<StoredEvent>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT sequence, ins_seq, event_type, event_version, metadata ->> 'event_id' AS event_id, payload
         FROM log.events WHERE aggregate_type = $1 AND aggregate_id = $2 AND sequence BETWEEN $3 AND $4 ORDER BY sequence",
    )
    .bind(aggregate_type)
    .bind(aggregate_id)
    .bind(first)
    .bind(last)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(StoredEvent {
                sequence: row.try_get("sequence")?,
                ins_seq: row.try_get("ins_seq")?,
                event_id: row.try_get::<Option<String>, _>("event_id")?.unwrap_or_default(),
                event_type: row.try_get("event_type")?,
                event_version: row.try_get("event_version")?,
                payload: row.try_get("payload")?,
            })
        })
        .collect()
}
