//! The watch over promises: all that is sold is compared with all that the cluster has, and what differs long is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use metrics::{counter, gauge, histogram};
use minispod_domain::{
    AnyCommand, CommandRequest, DifferenceCommand,
    ports::fleet::{BelongingKind, Fleet, FleetError},
    promises::{Found, Held, Holding, Promise, differences},
};
use minispod_events::DifferenceKind;
use minispod_kernel::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::{cluster::Cause, watch::ReportSink};

#[cfg(test)]
mod tests;

/// What was sold, and which differences are open, as the facts say it.
#[async_trait]
pub trait Books: Send + Sync {
    /// What was sold, by instance, after the instance `after`; at most `most`. Instances that are gone are there too.
    async fn promises(&self, after: Option<&str>, most: u32) -> Result<Vec<Promise>, Cause>;

    /// Ids of the differences that are not resolved.
    async fn open(&self) -> Result<Vec<String>, Cause>;

    /// How far the books are, and how far the log is.
    async fn heads(&self) -> Result<Heads, Cause>;
}

/// Log positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heads {
    /// The last event that the books show.
    pub shown: i64,
    /// The last event there is.
    pub last: i64,
}

/// How closely to compare.
#[derive(Debug, Clone, Copy)]
pub struct PromiseSettings {
    /// Pause between two rounds.
    pub every: Duration,
    /// A difference is told when it was seen for so long, as a start on its way is none; and it is over when it was not seen
    /// for so long, as one that comes and goes is none the less.
    pub tolerance: Duration,
    /// Reports of one round; the others wait for the next.
    pub most_reports: usize,
}

impl Default for PromiseSettings {
    fn default() -> Self {
        Self { every: Duration::from_mins(5), tolerance: Duration::from_mins(15), most_reports: 200 }
    }
}

/// Promises read at once.
const PAGE: u32 = 500;
/// Pages of one round: half a million instances that ever were.
const PAGES: usize = 1_000;

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
pub enum PromiseError {
    #[error("the cluster cannot be looked at")]
    Fleet(#[from] FleetError),
    #[error("the books cannot be read")]
    Books(#[source] Cause),
    /// What was sold since the round before would be nobody's.
    #[error("the books do not show yet what the log had in the round before")]
    Behind,
    /// Half of the books would make the other half's instances unknown.
    #[error("the books have more instances than one round reads")]
    TooMany,
}

/// Compares everything with everything. Several may run: reports have derived keys, and the same report again changes
/// nothing.
pub struct PromiseWatch {
    fleet: Arc<dyn Fleet>,
    books: Arc<dyn Books>,
    clock: Arc<dyn Clock>,
    sink: Arc<dyn ReportSink>,
    settings: PromiseSettings,
    /// Since when each difference of the last round is seen, by id.
    sights: BTreeMap<String, Timestamp>,
    /// Since when each open one is not seen.
    gone: BTreeMap<String, Timestamp>,
    /// How far the log was in the round before.
    last: Option<i64>,
}

impl PromiseWatch {
    /// Over a cluster and the books.
    pub fn new(
        fleet: Arc<dyn Fleet>,
        books: Arc<dyn Books>,
        clock: Arc<dyn Clock>,
        sink: Arc<dyn ReportSink>,
        settings: PromiseSettings,
    ) -> Self {
        let (sights, gone) = (BTreeMap::new(), BTreeMap::new());
        Self { fleet, books, clock, sink, settings, sights, gone, last: None }
    }

    /// Until `shutdown`. What cannot be read is read in the next round.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.settings.every) => {}
            }
            let begun = Instant::now();
            let round = tokio::select! {
                () = shutdown.cancelled() => return,
                round = self.round() => round,
            };
            histogram!("minispod_provisioner_promises_round_seconds").record(begun.elapsed().as_secs_f64());
            if let Err(error) = round {
                tracing::warn!(error = &error as &dyn Error, "the round over promises was not finished");
            }
        }
    }

    /// One round; how many differences it saw, told or not. Unless everything could be read nothing is told and nothing
    /// resolved.
    pub async fn round(&mut self) -> Result<usize, PromiseError> {
        let now = self.clock.now();
        let heads = self.books.heads().await.map_err(PromiseError::Books)?;
        if self.last.replace(heads.last).is_some_and(|last| heads.shown < last) {
            return Err(PromiseError::Behind);
        }
        let holdings = self.holdings().await?;
        let promises = self.promises().await?;
        let open: BTreeSet<String> = self.books.open().await.map_err(PromiseError::Books)?.into_iter().collect();
        let all = differences(&promises, &holdings);
        for kind in DifferenceKind::ALL {
            let count = all.iter().filter(|one| one.kind == kind).count();
            gauge!("minispod_differences", "kind" => kind.as_str()).set(count as f64);
        }
        let seen: BTreeMap<String, Found> = all.into_iter().map(|one| (one.id(), one)).collect();
        self.sights = seen.keys().map(|id| (id.clone(), self.sights.get(id).copied().unwrap_or(now))).collect();
        let gone = open.iter().filter(|id| !seen.contains_key(id.as_str()));
        self.gone = gone.map(|id| (id.clone(), self.gone.get(id).copied().unwrap_or(now))).collect();
        for (id, command, since) in self.reports(&seen, &open, now) {
            self.report(id, command, since).await;
        }
        Ok(seen.len())
    }

    /// What is to be told: what is open and not there for long, and what is there for long and not open; and since when.
    fn reports(
        &self,
        seen: &BTreeMap<String, Found>,
        open: &BTreeSet<String>,
        now: Timestamp,
    ) -> Vec<(String, DifferenceCommand, Timestamp)> {
        let lasts = |since: Timestamp| now >= since.plus(self.settings.tolerance);
        let gone = self.gone.iter().filter(|(_, since)| lasts(**since));
        let gone = gone.map(|(id, since)| (id.clone(), DifferenceCommand::Resolve, *since));
        let lasting = seen.iter().filter(|(id, _)| !open.contains(id.as_str())).filter_map(|(id, one)| {
            let since = self.sights.get(id).copied().filter(|since| lasts(*since))?;
            Some((id.clone(), one.report(), since))
        });
        gone.chain(lasting).take(self.settings.most_reports).collect()
    }

    /// What the cluster has of ours.
    async fn holdings(&self) -> Result<Vec<Holding>, FleetError> {
        let workloads = self.fleet.workloads().await?;
        let belongings = self.fleet.belongings().await?;
        let programs = workloads.into_iter().map(|one| Holding {
            object: format!("Deployment {}/{}", one.namespace, one.name),
            instance_id: one.instance_id,
            held: Held::Program { running: one.replicas > 0 },
        });
        let volumes = belongings.into_iter().filter(|one| one.kind == BelongingKind::Volume).map(|one| Holding {
            object: format!("PersistentVolumeClaim {}/{}", one.namespace, one.name),
            instance_id: one.instance_id,
            held: Held::Volume,
        });
        Ok(programs.chain(volumes).collect())
    }

    /// All that was sold.
    async fn promises(&self) -> Result<Vec<Promise>, PromiseError> {
        let mut all: Vec<Promise> = Vec::new();
        for _ in 0..PAGES {
            let after = all.last().map(|promise| promise.instance_id.clone());
            let page = self.books.promises(after.as_deref(), PAGE).await.map_err(PromiseError::Books)?;
            let full = page.len() >= PAGE as usize;
            all.extend(page);
            if !full {
                return Ok(all);
            }
        }
        Err(PromiseError::TooMany)
    }

    /// What was not taken is told in the next round.
    async fn report(&self, id: String, command: DifferenceCommand, since: Timestamp) {
        let what = if command == DifferenceCommand::Resolve { "resolved" } else { "found" };
        let key = format!("difference.{id}.{}.{what}", since.unix_millis());
        tracing::info!(difference = id, what, "a difference between what is sold and what the cluster has");
        let command = AnyCommand::Difference(command);
        let request = CommandRequest { key, aggregate_id: id, command, on_refusal: None };
        match self.sink.report(request).await {
            Ok(()) => counter!("minispod_provisioner_differences_told_total", "what" => what).increment(1),
            Err(error) => {
                tracing::warn!(error = error.as_ref() as &dyn Error, "a difference is told in the next round");
            }
        }
    }
}
