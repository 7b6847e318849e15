//! Old payloads to current payloads. Runs on sealed JSON: it may move personal fields but never read them.

use cqrs_es::persist::EventUpcaster;

/// Every upcaster, oldest first. Empty until a first event changes shape.
pub fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
    Vec::new()
}
