//! The watch that measures: what instances use, once a minute, handed to whoever keeps it.

use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use metrics::counter;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cause, Cluster, InstanceUsage};

/// Once a minute: the metrics API measures every 15 to 60 seconds.
pub const EVERY: Duration = Duration::from_mins(1);

/// Where measurements are kept.
#[async_trait]
pub trait UsageSink: Send + Sync {
    /// Keeps them under this minute; gives how many were new, since several may measure.
    async fn keep(&self, usage: Vec<InstanceUsage>) -> Result<u64, Cause>;
}

/// Until `shutdown`. A minute that could not be measured is left out.
pub async fn run(cluster: Arc<dyn Cluster>, sink: Arc<dyn UsageSink>, shutdown: CancellationToken) {
    let mut minutes = tokio::time::interval(EVERY);
    minutes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = minutes.tick() => {}
        }
        match cluster.usage().await {
            Ok(usage) => match sink.keep(usage).await {
                Ok(fresh) => counter!("minispod_usage_samples_total").increment(fresh),
                Err(error) => tracing::warn!(error = error.as_ref() as &dyn Error, "measurements were not kept"),
            },
            Err(error) => tracing::warn!(error = &error as &dyn Error, "instances could not be measured"),
        }
    }
}
