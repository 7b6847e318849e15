//! The watches over the cluster, for health, for drift and for promises, reporting through the command bus.

use std::{error::Error, sync::Arc};

use async_trait::async_trait;
use minispod_api::{Offerings, room};
use minispod_domain::{
    Amounts, CommandRequest, Instance,
    instance::{Kept, ToBe},
    ports::fleet::Fleet,
    promises::{Promise, Standing},
};
use minispod_kernel::{Actor, Clock, Timestamp};
use minispod_projections::{
    Projection as _,
    differences::{self, Differences},
    nodes,
    subscriptions::{self, InstanceStatus, Promised, Subscriptions},
};
use minispod_provisioner::{
    Books, Cluster, Desired, DriftWatch, Heads, HealthWatch, KeepingSettings, KnownNode, Listed, Newest, NodeBook,
    NodeWatch, PlanOptions, PromiseSettings, PromiseWatch, ReportSink, Requests, UsageSink, WatchSettings,
    cluster::{Cause as Trouble, InstanceUsage, Target},
};
use minispod_runtime::{Cause, Dispatcher};
use minispod_store::{
    CommandError, Store, UsageSample,
    telemetry::{self, ClusterRoom},
};

use crate::wiring;

/// Reports as commands of the provisioner.
struct Bus(Dispatcher);

#[async_trait]
impl ReportSink for Bus {
    async fn report(&self, request: CommandRequest) -> Result<(), Box<dyn Error + Send + Sync>> {
        let cause = Cause {
            actor: Actor::system("provisioner"),
            correlation_id: request.key.clone(),
            causation_id: None,
            traceparent: None,
        };
        match self.0.dispatch(request, &cause).await {
            // The instance has moved on: what was seen is no news to it.
            Ok(_) | Err(CommandError::Refused(_)) => Ok(()),
            Err(error) => Err(Box::new(error)),
        }
    }
}

/// What is to be: the list out of the read model, each instance out of the log.
struct Facts(Store);

#[async_trait]
impl Requests for Facts {
    async fn newest(&self, instance_id: &str) -> Result<Option<Newest>, Trouble> {
        let instance = self.0.event_store().state::<Instance>(instance_id).await?;
        Ok(instance.newest().map(|(generation, to_be)| Newest {
            generation,
            runs: to_be == ToBe::Running,
            purges: to_be == ToBe::Gone { purge: true },
        }))
    }
}

/// What was asked for last.
pub fn requests(store: &Store) -> Arc<dyn Requests> {
    Arc::new(Facts(store.clone()))
}

#[async_trait]
impl Desired for Facts {
    async fn page(&self, after: Option<&str>, most: u32) -> Result<Vec<Listed>, Trouble> {
        let rows = subscriptions::applied_instances(self.0.pool(), after, i64::from(most)).await?;
        rows.into_iter()
            .map(|row| {
                let target = Target { namespace: row.namespace, instance_id: row.id };
                Ok(Listed { target, generation: u32::try_from(row.generation)?, rests: row.rests })
            })
            .collect()
    }

    async fn kept(&self, instance_id: &str) -> Result<Option<Kept>, Trouble> {
        Ok(self.0.event_store().state::<Instance>(instance_id).await?.kept())
    }
}

/// What facts and telemetry say of nodes, and what offerings request.
struct Nodes {
    store: Store,
    offerings: Arc<dyn Offerings>,
}

#[async_trait]
impl NodeBook for Nodes {
    async fn known(&self) -> Result<Vec<KnownNode>, Trouble> {
        let rows = nodes::all(self.store.pool()).await?;
        let known = rows.into_iter().map(|row| KnownNode {
            joined: row.key_hash.is_some(),
            name: row.name,
            ready: row.ready,
            schedulable: row.schedulable,
        });
        Ok(known.collect())
    }

    async fn keep_room(&self, room: Amounts, at: Timestamp) -> Result<(), Trouble> {
        let (cpu_millis, memory_bytes) = (whole(room.cpu_millis), whole(room.memory_bytes));
        Ok(self.store.telemetry().record_room(ClusterRoom { at, cpu_millis, memory_bytes }).await?)
    }

    async fn sold(&self) -> Result<Amounts, Trouble> {
        Ok(room::sold(self.store.pool(), self.offerings.as_ref()).await?)
    }

    async fn silent(&self, before: Timestamp) -> Result<Vec<(String, Timestamp)>, Trouble> {
        let rows = nodes::all(self.store.pool()).await?;
        let joined: Vec<String> =
            rows.into_iter().filter(|row| row.key_hash.is_some() && !row.lost).map(|row| row.name).collect();
        let beats = self.store.telemetry().heartbeats(Some(&joined)).await?;
        Ok(beats.into_iter().filter(|beat| beat.at <= before).map(|beat| (beat.name, beat.at)).collect())
    }
}

/// The watch over nodes.
pub fn nodes(fleet: Arc<dyn Fleet>, store: &Store, offerings: Arc<dyn Offerings>, dispatcher: Dispatcher) -> NodeWatch {
    let book = Nodes { store: store.clone(), offerings };
    NodeWatch::new(fleet, Arc::new(book), store.clock().clone(), Arc::new(Bus(dispatcher)))
}

/// Keeps measurements, and throws old ones away.
pub struct Measurements(pub Store);

/// Rows thrown away after one minute's samples; more than a minute brings.
const PURGED_AT_ONCE: i64 = 20_000;

#[async_trait]
impl UsageSink for Measurements {
    async fn keep(&self, usage: Vec<InstanceUsage>) -> Result<u64, Trouble> {
        let now = self.0.clock().now();
        let mut fresh = 0;
        for some in usage.chunks(telemetry::BATCH_MAX) {
            let samples: Vec<_> = some.iter().map(|one| sample(one, now)).collect();
            fresh += self.0.telemetry().record_usage(&samples).await?;
        }
        self.0.telemetry().purge(now, PURGED_AT_ONCE).await?;
        Ok(fresh)
    }
}

/// As the store counts; no machine has more.
fn whole(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn sample(usage: &InstanceUsage, at: Timestamp) -> UsageSample {
    let (cpu_millis, memory_bytes) = (whole(usage.cpu_millis), whole(usage.memory_bytes));
    UsageSample { instance_id: usage.instance_id.clone(), at, cpu_millis, memory_bytes }
}

/// The watch for health.
pub fn health(cluster: Arc<dyn Cluster>, clock: Arc<dyn Clock>, dispatcher: Dispatcher) -> HealthWatch {
    HealthWatch::new(cluster, clock, Arc::new(Bus(dispatcher)), WatchSettings::default())
}

/// The watch for drift.
pub fn drift(cluster: Arc<dyn Cluster>, store: &Store, options: PlanOptions, dispatcher: Dispatcher) -> DriftWatch {
    DriftWatch::new(
        cluster,
        Arc::new(Facts(store.clone())),
        wiring::secrets(store),
        store.ids().clone(),
        store.clock().clone(),
        Arc::new(Bus(dispatcher)),
        KeepingSettings::new(options),
    )
}

/// What was sold and which differences are open, out of the read models.
struct Ledgers(Store);

/// Open differences read at once; more than anybody looks through.
const OPEN_MOST: i64 = 10_000;

#[async_trait]
impl Books for Ledgers {
    async fn promises(&self, after: Option<&str>, most: u32) -> Result<Vec<Promise>, Trouble> {
        let rows = subscriptions::promises(self.0.pool(), after, i64::from(most)).await?;
        Ok(rows.into_iter().map(promise).collect())
    }

    async fn heads(&self) -> Result<Heads, Trouble> {
        // The one of both that is behind: what is read is no newer.
        let mut shown = i64::MAX;
        for name in [Subscriptions.name(), Differences.name()] {
            shown = shown.min(self.0.checkpoints().load(name).await?.map_or(0, |at| at.position.0));
        }
        Ok(Heads { shown, last: self.0.log().head().await?.position.0 })
    }

    async fn open(&self) -> Result<Vec<String>, Trouble> {
        Ok(differences::open_ids(self.0.pool(), OPEN_MOST).await?)
    }
}

fn promise(row: Promised) -> Promise {
    let instance = match row.status {
        InstanceStatus::Running => Standing::Runs,
        InstanceStatus::Pending | InstanceStatus::Restarting | InstanceStatus::Resetting => Standing::Coming,
        InstanceStatus::Stopped => Standing::Rests,
        InstanceStatus::Unknown => Standing::Ill,
        InstanceStatus::Failed => Standing::Failed,
        InstanceStatus::Deleted => Standing::Gone { volume_kept: row.volume_kept },
    };
    let Promised { instance_id, subscription_id, user_id, entitled, .. } = row;
    Promise { subscription_id, user_id, instance_id, entitled, instance }
}

/// The watch over promises.
pub fn promises(fleet: Arc<dyn Fleet>, store: &Store, dispatcher: Dispatcher) -> PromiseWatch {
    let (books, bus) = (Arc::new(Ledgers(store.clone())), Arc::new(Bus(dispatcher)));
    PromiseWatch::new(fleet, books, store.clock().clone(), bus, PromiseSettings::default())
}
