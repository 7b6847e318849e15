//! Places in the log: the dense position that NATS mirrors and the insertion sequence that checkpoints wait for.

use serde::{Deserialize, Serialize};

/// Dense place in the whole log, from 1; equals the JetStream sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogPosition(pub i64);

/// The value drawn from the insertion sequence: ordered like positions, with gaps, known at commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InsSeq(pub i64);
