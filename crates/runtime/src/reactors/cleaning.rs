//! Removal of what nobody can ask for again: finished effects and old receipts.

use std::time::Duration;

use metrics::counter;
use minispod_kernel::LogPosition;
use minispod_store::{Store, StoreError};

use super::{CHECKPOINT_PREFIX, floor};

/// How long finished effects and receipts stay.
pub const KEEP: Duration = Duration::from_hours(7 * 24);
/// Rows removed at once.
const BATCH: i64 = 1_000;

/// One pass for `reactor`'s effects and everybody's receipts. Bounded; what is left goes with the next pass.
pub(super) async fn once(store: &Store, reactor: &str) -> Result<(), StoreError> {
    let effects = store.ledger().purge_finished(reactor, floor(store, reactor).await?, KEEP, BATCH).await?;
    let cutoff = store.clock().now().minus(KEEP);
    let clients = store.receipts().purge_clients(cutoff, BATCH).await?;
    let derived = store.receipts().purge_derived(cutoff, lowest_floor(store).await?, BATCH).await?;
    counter!("minispod_cleaned_rows_total", "table" => "effects").increment(effects);
    counter!("minispod_cleaned_rows_total", "table" => "receipts").increment(clients + derived);
    Ok(())
}

/// No reactor repeats a command that follows from an event at or below this.
async fn lowest_floor(store: &Store) -> Result<LogPosition, StoreError> {
    let mut lowest: Option<LogPosition> = None;
    for checkpoint in store.checkpoints().all().await? {
        if let Some(reactor) = checkpoint.name.strip_prefix(CHECKPOINT_PREFIX) {
            let floor = floor(store, reactor).await?;
            lowest = Some(lowest.map_or(floor, |lowest| lowest.min(floor)));
        }
    }
    Ok(lowest.unwrap_or(LogPosition(0)))
}
