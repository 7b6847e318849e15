//! The loops every role runs, written once: dispatch, relay, projector, reactors, timers, dead letters.

pub mod backoff;
pub mod dispatcher;
pub mod dlq;
pub mod feed;
pub mod hints;
pub mod policies_reactor;
pub mod projector;
pub mod reactors;
pub mod relay;
pub mod shutdown;
pub mod timers;
pub mod visibility;

pub use dispatcher::{Cause, Dispatched, Dispatcher, Driven};
pub use hints::{Hints, NatsHints, SilentHints};
pub use policies_reactor::PolicyReactor;
pub use reactors::{InlineEffect, InlineError, ReactorOptions, perform_inline};
pub use visibility::Visibility;
