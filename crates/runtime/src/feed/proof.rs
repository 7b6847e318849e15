//! Whether what the stream delivered is what the log says: after a restore the stream may tell another history.

use std::collections::HashMap;

use minispod_kernel::{LogPosition, Recorded};
use minispod_store::{Store, StoreError};

/// Whether every event of the batch bears the chain value that the log has at its position.
///
/// One look at a range of keys. The last event's value alone would speak for all of one stream, but a batch may have
/// been fetched from two streams, the second made in the place of the first.
pub(super) async fn belongs(store: &Store, batch: &[Recorded]) -> Result<bool, StoreError> {
    let positions = || batch.iter().map(|event| event.position.0);
    let (Some(first), Some(last)) = (positions().min(), positions().max()) else { return Ok(true) };
    let links: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT position, chain FROM log.event_log WHERE position BETWEEN $1 AND $2")
            .bind(first)
            .bind(last)
            .fetch_all(store.pool())
            .await
            .map_err(|source| StoreError::Database { doing: "compare the stream with the log", source })?;
    let links: HashMap<i64, Vec<u8>> = links.into_iter().collect();
    Ok(batch.iter().all(|event| links.get(&event.position.0).is_some_and(|link| link.as_slice() == event.chain)))
}

/// Where the log ends, if that is below `place`: then the place belongs to another history.
pub(super) async fn head_below(store: &Store, place: LogPosition) -> Result<Option<LogPosition>, StoreError> {
    let head = store.log().head().await?.position;
    Ok((head < place).then_some(head))
}
