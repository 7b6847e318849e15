//! "Something was appended": a word to the relay that saves it from polling. Losing every hint costs milliseconds.

use std::sync::Arc;

use minispod_messaging::Nats;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Wakes the relay after an append. No authority: it may be late, lost, doubled or wrong.
pub trait Hints: Send + Sync {
    /// Something was appended. Returns at once.
    fn appended(&self);
}

/// Says nothing; the relay then finds appends by polling.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentHints;

impl Hints for SilentHints {
    fn appended(&self) {}
}

/// Says it over core NATS; many appends while one word is on its way make one more.
pub struct NatsHints {
    appended: Arc<Notify>,
    _until_dropped: DropGuard,
}

impl NatsHints {
    /// Starts the task that speaks; it ends when this is dropped.
    pub fn start(nats: Nats) -> Self {
        let appended = Arc::new(Notify::new());
        let dropped = CancellationToken::new();
        let (woken, ended) = (Arc::clone(&appended), dropped.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = ended.cancelled() => return,
                    () = woken.notified() => nats.hint_appended().await,
                }
            }
        });
        Self { appended, _until_dropped: dropped.drop_guard() }
    }
}

impl Hints for NatsHints {
    fn appended(&self) {
        self.appended.notify_one();
    }
}
