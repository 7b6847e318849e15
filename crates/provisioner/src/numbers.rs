//! One number for a thing, the same in every process of this build: for keys and for seeing that something changed.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The thing's number.
pub(crate) fn of(thing: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    thing.hash(&mut hasher);
    hasher.finish()
}
