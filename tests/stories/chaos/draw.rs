//! Repeatable numbers, so that a printed seed replays the same work and the same kills.

use std::sync::Arc;

use minispod_testkit::{IdSource, SystemClock, SystemIds};

/// splitmix64.
#[derive(Clone)]
pub struct Draw(u64);

impl Draw {
    /// A series of its own for each `stream` of one seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// One of these, if there are any.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(usize::try_from(self.below(of.len() as u64)).unwrap_or_default())
    }

    /// One of these, as often as its weight among all weights.
    pub fn weighted<T: Copy>(&mut self, of: &[(T, u64)]) -> T {
        let mut left = self.below(of.iter().map(|(_, weight)| weight).sum());
        for (what, weight) in of {
            if left < *weight {
                return *what;
            }
            left -= weight;
        }
        of.last().expect("there is something to choose from").0
    }
}

/// `MINISPOD_CHAOS_SEED`, or a new one.
#[expect(clippy::disallowed_methods, reason = "a seed may be given to replay a run")]
pub fn seed() -> u64 {
    std::env::var("MINISPOD_CHAOS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        let mut bytes = [0; 8];
        SystemIds::new(Arc::new(SystemClock)).random(&mut bytes);
        u64::from_le_bytes(bytes)
    })
}
