//! The relay's audit: first, last, count and a sampled link of stream and log; a stream that is cut open is made again.

use minispod_messaging::StreamTail;

use super::{Publisher, RelayError};

/// What the audit found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// Stream and log agree.
    Agree,
    /// They did not; the stream was made again and is being filled from the log.
    Healed(Mismatch),
}

/// How the stream differed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// It begins at another sequence than the archive floor says.
    First { found: u64 },
    /// Messages are missing inside.
    Count { found: u64, expected: u64 },
    /// The sampled message is not the log's.
    Sample { position: u64 },
}

/// Compares and heals. A stream of another history is not touched: that is the operator's.
pub(super) async fn audit(publisher: &mut Publisher) -> Result<Audit, RelayError> {
    metrics::counter!("minispod_relay_audits_total").increment(1);
    publisher.forget();
    let tail = publisher.identified_tail().await?;
    let Some(mismatch) = compare(publisher, &tail).await? else { return Ok(Audit::Agree) };
    metrics::counter!("minispod_relay_audit_mismatches_total").increment(1);
    tracing::error!(?mismatch, "the stream differs from the log; it is made again from the log");
    publisher.recreate().await?;
    Ok(Audit::Healed(mismatch))
}

async fn compare(publisher: &Publisher, tail: &StreamTail) -> Result<Option<Mismatch>, RelayError> {
    let floor = publisher.config.archive_floor;
    if tail.last_sequence == floor {
        return Ok(None);
    }
    if tail.first_sequence != floor + 1 {
        return Ok(Some(Mismatch::First { found: tail.first_sequence }));
    }
    let expected = tail.last_sequence - floor;
    if tail.count != expected {
        return Ok(Some(Mismatch::Count { found: tail.count, expected }));
    }
    let position = sample(publisher, floor, expected);
    let (theirs, ours) = (publisher.nats.chain_at(position).await?, publisher.chain_in_log(position).await?);
    // The tail was the log's, so one foreign message inside is damage and not another history.
    Ok((theirs.is_none() || theirs != ours).then_some(Mismatch::Sample { position }))
}

/// Any position above the floor.
fn sample(publisher: &Publisher, floor: u64, count: u64) -> u64 {
    let mut bytes = [0; 8];
    publisher.store.ids().random(&mut bytes);
    floor + 1 + u64::from_be_bytes(bytes) % count.max(1)
}
