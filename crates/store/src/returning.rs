//! A connection goes back to its pool only outside a transaction.

use futures::future::BoxFuture;
use sqlx::{Executor, PgConnection, Row, pool::PoolConnectionMetadata};

/// Both times differ only inside a transaction that an earlier statement has begun. One simple query: with the extended
/// protocol the statement's time would move on between its messages.
const OUTSIDE: &str = "SELECT transaction_timestamp() = statement_timestamp()";

/// For `after_release`: false closes the connection.
///
/// A `begin()` whose future is dropped while it waits for the server (a request cancelled, a `select!` decided) leaves
/// the driver unaware of the transaction that the server has begun. The next user's statements would then run inside it
/// and never be committed.
pub(crate) fn is_outside_transaction(
    connection: &mut PgConnection,
    _: PoolConnectionMetadata,
) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    Box::pin(async move {
        let outside: bool = connection.fetch_one(OUTSIDE).await?.try_get(0)?;
        if !outside {
            metrics::counter!("minispod_store_abandoned_transactions_total").increment(1);
            tracing::warn!("a transaction was given up while it began; its connection is closed");
        }
        Ok(outside)
    })
}
