//! An operator's answer to a log that was restored to an older point: it is the truth now, and a new stream begins.

use minispod_kernel::LogPosition;
use minispod_messaging::{Nats, topology};
use minispod_store::{Store, StoreError};
use sqlx::PgConnection;

use super::{RelayConfig, RelayError};

/// Read models that have applied events which the log does not have, each with its place.
const AHEAD: &str = "SELECT g.projection, c.position FROM read.generations g
     JOIN ops.checkpoints c ON c.name = g.projection
     WHERE g.state = 'live' AND c.position > $1 ORDER BY g.projection";

/// Begins a new timeline: the log as it is now is the truth, and a new stream begins with it. Returns its number.
///
/// What only the old stream knew is lost, so it should be saved first. Reactors that stood above the log's end are put
/// back to it, so that they skip none of the events to come. Read models cannot be put back: refused until each of them
/// has been built again.
pub async fn begin_timeline(store: &Store, nats: &Nats, config: &RelayConfig) -> Result<i32, RelayError> {
    let failed = |source| StoreError::Database { doing: "begin a new timeline", source };
    let mut tx = store.pool().begin().await.map_err(failed)?;
    let (timeline, head, ins_seq): (i32, i64, i64) = sqlx::query_as(
        "UPDATE log.cursor SET timeline = timeline + 1 WHERE id = 1 RETURNING timeline, position, ins_seq",
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(failed)?;
    let ahead = read_models_above(&mut tx, LogPosition(head)).await.map_err(failed)?;
    if !ahead.is_empty() {
        let names = ahead.iter().map(|(name, position)| format!("{name} at {position}")).collect::<Vec<_>>().join(", ");
        return Err(RelayError::ReadModelsAhead { names, head });
    }
    let put_back: Vec<String> = sqlx::query_scalar(
        "UPDATE ops.checkpoints SET position = $1, ins_seq = $2, updated_at = clock_timestamp()
         WHERE position > $1 AND name LIKE 'reactor/%' RETURNING name",
    )
    .bind(head)
    .bind(ins_seq)
    .fetch_all(&mut *tx)
    .await
    .map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    topology::recreate_stream(nats, config.archive_floor + 1, &config.overlay).await?;
    tracing::warn!(timeline, head, ?put_back, "a new timeline has begun");
    Ok(timeline)
}

async fn read_models_above(tx: &mut PgConnection, head: LogPosition) -> Result<Vec<(String, i64)>, sqlx::Error> {
    // The register is made by the first projector.
    let registered: bool =
        sqlx::query_scalar("SELECT to_regclass('read.generations') IS NOT NULL").fetch_one(&mut *tx).await?;
    if !registered {
        return Ok(Vec::new());
    }
    sqlx::query_as(AHEAD).bind(head.0).fetch_all(tx).await
}
