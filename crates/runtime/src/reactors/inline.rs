//! An effect carried out inside a request: the same ledger row that the role would work on, with the same result.

use std::time::Duration;

use minispod_domain::ports::{EffectError, Intent, Reactor};
use minispod_store::{Inline, StoreError};

use super::effects::{Settled, Workbench, new_effect};
use crate::dispatcher::{Cause, Dispatched, Dispatcher};

/// How long a request waits for the world outside.
pub const INLINE_LIMIT: Duration = Duration::from_secs(10);
/// Beyond the limit, so that the result of a slow try still counts.
const INLINE_LEASE: Duration = Duration::from_secs(20);

/// What came of an effect that was tried in-line.
#[derive(Debug)]
pub enum InlineEffect {
    /// It has happened now; these commands reported it.
    Done(Vec<Dispatched>),
    /// It had happened before.
    AlreadyDone,
    /// Somebody else is at it, or something before it in its lane is: the role finishes it.
    Elsewhere,
    /// It did not happen. After a passing failure the role tries again; after a lasting one its lane is parked.
    Failed(EffectError),
}

/// The effect could not even be written down.
#[derive(Debug, thiserror::Error)]
pub enum InlineError {
    #[error("the effect {key} cannot be written as JSON")]
    Unwritable {
        key: String,
        #[source]
        source: serde_json::Error,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Does `intent` at once, at most [`INLINE_LIMIT`]. `cause` is the request's, after the event that asks for it.
pub async fn perform_inline(
    dispatcher: &Dispatcher,
    reactor: &dyn Reactor,
    intent: Intent,
    cause: &Cause,
) -> Result<InlineEffect, InlineError> {
    let key = intent.key.clone();
    let effect = new_effect(intent, cause, None).map_err(|source| InlineError::Unwritable { key, source })?;
    let store = dispatcher.store();
    let holder = format!("inline-{}", store.ids().next_id());
    let taken = match store.ledger().begin_inline(reactor.name(), &effect, &holder, INLINE_LEASE).await? {
        Inline::Taken(taken) => taken,
        Inline::AlreadyDone => return Ok(InlineEffect::AlreadyDone),
        Inline::Elsewhere => return Ok(InlineEffect::Elsewhere),
    };
    let bench = Workbench { reactor, dispatcher, nats: None, limit: INLINE_LIMIT };
    Ok(match bench.carry_out(taken).await? {
        Settled::Done(dispatched) => InlineEffect::Done(dispatched),
        // A first look that is to be repeated has happened all the same.
        Settled::Again => InlineEffect::Done(Vec::new()),
        Settled::Retrying(error) | Settled::Parked(error) => InlineEffect::Failed(error),
        Settled::Lost => InlineEffect::Elsewhere,
    })
}
