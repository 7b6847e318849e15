//! The words every room shares: ids, rupiah, time, actors, recorded events and the aggregate contract.
//!
//! No I/O and no word of a single context live here. The only ambient calls of the whole workspace
//! (system time, operating-system randomness) are in [`time`] and [`ids`].

pub mod actor;
pub mod aggregate;
pub mod causes;
pub mod chain;
pub mod ids;
pub mod language;
pub mod money;
pub mod position;
#[cfg(test)]
mod properties;
pub mod recorded;
pub mod sensitive;
pub mod time;

pub use actor::Actor;
pub use aggregate::{Aggregate, Consequence, Event, Moment, Refusal, RefusalKind};
pub use causes::Causes;
pub use ids::{Id, IdSource, SystemIds};
pub use language::{Language, UnknownLanguage};
pub use money::Rupiah;
pub use position::{InsSeq, LogPosition};
pub use recorded::{Metadata, Recorded};
pub use sensitive::{Sealed, Sensitive, SensitiveSlot, SensitiveValue};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
