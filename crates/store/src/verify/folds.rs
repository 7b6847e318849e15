//! Folding every aggregate of the log, and comparing saved states with the fold up to their version.

use std::collections::{BTreeSet, HashMap};

use minispod_kernel::{Aggregate, SensitiveSlot};
use serde_json::Value;
use sqlx::{Postgres, Transaction};

use crate::{
    Store, StoreError,
    cache::AnyState,
    fold::{self, Subject, TypedSubject},
    loading,
    sealing::Sealer,
};

/// Aggregates folded at once.
const BATCH: i64 = 500;

/// What folding one aggregate's history found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fold {
    /// It folds; no state of it is saved by code like ours.
    Whole,
    /// It folds, and the state saved at this version is the fold up to there.
    Equal { version: i64 },
    /// It folds, and the saved state is another one, cannot be read, or is ahead of the history.
    Differs { version: i64 },
    /// The history does not fold.
    Broken { reason: String },
}

/// One snapshot in which all histories are folded while writers go on.
pub struct Folds<'a> {
    tx: Transaction<'static, Postgres>,
    sealer: &'a Sealer,
    after: (String, String),
}

/// Fingerprint, version and state of a saved row.
type Saved = (String, i64, Value);

/// A fold that has been read and not yet opened.
type Begun = Box<dyn fold::Fold>;

/// The fold of a whole history and, where a state is saved, the two to be compared.
struct Started {
    whole: Begun,
    saved: Option<Pair>,
}

/// A saved state's version; the state and the fold up to there, when both can be had.
struct Pair {
    version: i64,
    sides: Option<(Begun, Begun)>,
}

impl<'a> Folds<'a> {
    /// Takes the snapshot.
    pub async fn begin(store: &'a Store) -> Result<Self, StoreError> {
        let mut tx = store.pool().begin().await.map_err(StoreError::database("begin a check"))?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *tx)
            .await
            .map_err(StoreError::database("begin a check"))?;
        Ok(Self { tx, sealer: store.sealer(), after: <(String, String)>::default() })
    }

    /// The next aggregates of one type, by id; `None` after the last of the log.
    pub async fn next(&mut self) -> Result<Option<(String, Vec<String>)>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT DISTINCT aggregate_type, aggregate_id FROM log.events
             WHERE (aggregate_type, aggregate_id) > ($1, $2) ORDER BY 1, 2 LIMIT $3",
        )
        .bind(&self.after.0)
        .bind(&self.after.1)
        .bind(BATCH)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(StoreError::database("list the aggregates"))?;
        let Some((aggregate_type, _)) = rows.first().cloned() else { return Ok(None) };
        let same = rows.into_iter().take_while(|(name, _)| *name == aggregate_type);
        let ids: Vec<String> = same.map(|(_, id)| id).collect();
        self.after = (aggregate_type.clone(), ids.last().cloned().unwrap_or_default());
        Ok(Some((aggregate_type, ids)))
    }

    /// Saved states of aggregates that have no events at all.
    pub async fn unfounded(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        sqlx::query_as(
            "SELECT s.aggregate_type, s.aggregate_id FROM ops.aggregate_state s WHERE NOT EXISTS
             (SELECT FROM log.events e WHERE e.aggregate_type = s.aggregate_type AND e.aggregate_id = s.aggregate_id)
             ORDER BY 1, 2 LIMIT $1",
        )
        .bind(BATCH)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(StoreError::database("look for saved states without events"))
    }

    /// Folds these aggregates, in their order.
    pub async fn fold<A: Aggregate>(&mut self, ids: &[String]) -> Result<Vec<Fold>, StoreError> {
        let subjects: Vec<TypedSubject<A>> = ids.iter().map(|id| TypedSubject::new(id)).collect();
        let dynamic: Vec<&dyn Subject> = subjects.iter().map(|subject| subject as &dyn Subject).collect();
        let histories = loading::read(&mut self.tx, &dynamic, false).await?;
        let mut saved = self.saved::<A>(&subjects).await?;
        let mut started = Vec::with_capacity(subjects.len());
        for (subject, history) in subjects.iter().zip(histories) {
            started.push(start(subject, history.events, saved.remove(&subject.aggregate_id)));
        }
        let mut persons = BTreeSet::new();
        for one in started.iter_mut().flatten() {
            one.whole.persons(&mut persons);
            if let Some((kept, upto)) = one.saved.as_mut().and_then(|pair| pair.sides.as_mut()) {
                kept.persons(&mut persons);
                upto.persons(&mut persons);
            }
        }
        let keys = self.sealer.keys(&mut *self.tx, &persons).await?;
        Ok(started.into_iter().map(|one| one.and_then(|one| one.finish::<A>(&keys)).unwrap_or_else(broken)).collect())
    }

    async fn saved<A: Aggregate>(
        &mut self,
        subjects: &[TypedSubject<A>],
    ) -> Result<HashMap<String, Saved>, StoreError> {
        let Some(first) = subjects.first() else { return Ok(HashMap::new()) };
        let rows: Vec<(String, String, i64, Value)> = sqlx::query_as(
            "SELECT aggregate_id, fingerprint, version, state FROM ops.aggregate_state
             WHERE aggregate_type = $1 AND aggregate_id = ANY ($2)",
        )
        .bind(first.aggregate_type())
        .bind(subjects.iter().map(|subject| subject.aggregate_id.as_str()).collect::<Vec<_>>())
        .fetch_all(&mut *self.tx)
        .await
        .map_err(StoreError::database("read the saved states"))?;
        Ok(rows.into_iter().map(|(id, fingerprint, version, state)| (id, (fingerprint, version, state))).collect())
    }
}

fn start<A: Aggregate>(
    subject: &TypedSubject<A>,
    events: Vec<fold::StoredEvent>,
    saved: Option<Saved>,
) -> Result<Started, StoreError> {
    let whole = |events| subject.fold(None, events)?.map_err(|_| StoreError::Limit { what: "a history" });
    // A state that other code saved is a cache that ours does not read.
    let saved = match saved.filter(|(fingerprint, ..)| fingerprint == A::FINGERPRINT) {
        None => None,
        Some((_, version, state)) => {
            let upto: Vec<_> = events.iter().filter(|event| event.sequence <= version).cloned().collect();
            let reaches = upto.last().is_some_and(|event| event.sequence == version);
            let kept = if reaches { subject.fold(Some(state), Vec::new())?.ok() } else { None };
            Some(Pair { version, sides: kept.zip(Some(whole(upto)?)) })
        }
    };
    Ok(Started { whole: whole(events)?, saved })
}

impl Started {
    fn finish<A: Aggregate>(self, keys: &crate::sealing::Keys) -> Result<Fold, StoreError> {
        self.whole.finish(keys)?;
        let Some(Pair { version, sides }) = self.saved else { return Ok(Fold::Whole) };
        let Some((kept, upto)) = sides else { return Ok(Fold::Differs { version }) };
        let upto = comparable::<A>(upto.finish(keys)?)?;
        // A saved state that does not open or cannot be written is no fold.
        let kept = kept.finish(keys).and_then(comparable::<A>);
        Ok(if kept.is_ok_and(|kept| kept == upto) { Fold::Equal { version } } else { Fold::Differs { version } })
    }
}

fn broken(error: StoreError) -> Fold {
    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    Fold::Broken { reason: format!("{error}{source}") }
}

/// A state as JSON, its personal fields beside it: open ones cannot be written.
fn comparable<A: Aggregate>(state: AnyState) -> Result<(Value, Vec<Option<String>>), StoreError> {
    let mut state = state.downcast_ref::<A>().cloned().unwrap_or_default();
    let forget = |slot: SensitiveSlot<'_>| {
        let plain = slot.value.to_plain();
        slot.value.forget();
        plain
    };
    let personal = state.sensitive().into_iter().map(forget).collect();
    let json =
        serde_json::to_value(&state).map_err(|source| StoreError::Unwritable { what: "a state".to_owned(), source })?;
    Ok((json, personal))
}
