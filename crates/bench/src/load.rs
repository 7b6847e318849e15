//! Closed-loop load: a number of tasks, each sending its next command as soon as the last is answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Aggregates that uniform load spreads over.
pub const AGGREGATES: u64 = 10_000;

/// Repeatable numbers (splitmix64).
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Runs `command(aggregate number)` in `tasks` tasks for `length`; answers completed commands a second and their count.
pub async fn closed_loop<F, Fut>(tasks: u32, length: Duration, aggregates: u64, seed: u64, command: F) -> (f64, u64)
where
    F: Fn(u64) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let command = Arc::new(command);
    let done = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let (command, done) = (command.clone(), done.clone());
        running.spawn(async move {
            let mut draw = Draw::seeded(seed ^ (u64::from(task) << 32));
            while started.elapsed() < length {
                command(draw.next() % aggregates).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while running.join_next().await.is_some() {}
    let count = done.load(Ordering::Relaxed);
    (count as f64 / started.elapsed().as_secs_f64(), count)
}
