//! The same objects without a provisioner: each created by one plain request, then read by one, as many beside each other.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream, try_join};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, PostParams},
};
use minispod_events::InstanceSpec;
use minispod_provisioner::names;
use minispod_runtime::reactors::CONCURRENCY;

use super::{Pass, part};
use crate::{BenchError, ground::Bench};

/// A quota just written is not counted yet, which is no fault of who asks.
const QUOTA_TRIES: u32 = 40;
const QUOTA_PAUSE: Duration = Duration::from_millis(250);
/// Between two looks at all together.
const LOOK: Duration = Duration::from_millis(500);
/// Nobody waits longer for the cluster.
const PATIENCE: Duration = Duration::from_mins(4);

/// Creates everything, and looks at all together until the cluster says that all run.
pub async fn make(bench: &Bench, specs: &[InstanceSpec]) -> Result<Pass, BenchError> {
    let objects = objects(bench, specs);
    let (begun, requests) = (Instant::now(), AtomicU64::new(0));
    let creating = stream::iter(&objects).map(Ok).try_for_each_concurrent(CONCURRENCY, |objects| {
        let requests = &requests;
        async move {
            for (api, object) in objects {
                create(api, object, requests).await?;
            }
            Ok(())
        }
    });
    let running = tokio::time::timeout(PATIENCE, all_run(bench, specs, begun, &requests));
    let running = async { running.await.map_err(|_| BenchError::NotReady("nothing for minutes".to_owned()))? };
    let ((), each) = try_join!(creating, running)?;
    Ok(Pass::of(begun, requests.into_inner(), each))
}

/// Reads everything once.
pub async fn look(bench: &Bench, specs: &[InstanceSpec]) -> Result<Pass, BenchError> {
    let objects = objects(bench, specs);
    let (begun, requests) = (Instant::now(), AtomicU64::new(0));
    let each = stream::iter(&objects)
        .map(|objects| {
            let requests = &requests;
            async move {
                for (api, object) in objects {
                    requests.fetch_add(1, Ordering::Relaxed);
                    api.get(&object.name_any()).await.map_err(part)?;
                }
                Ok(begun.elapsed().as_secs_f64())
            }
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(Pass::of(begun, requests.into_inner(), each))
}

/// What the provisioner would apply, by instance; planned before anything is measured.
fn objects(bench: &Bench, specs: &[InstanceSpec]) -> Vec<Vec<(Api<DynamicObject>, DynamicObject)>> {
    let of = |spec| {
        let planned = bench.plan(spec, 1).objects.into_iter();
        planned
            .map(|object| (bench.api_of(&object), serde_json::from_value(object).expect("a planned object is one")))
            .collect()
    };
    specs.iter().map(of).collect()
}

/// What the customer's other instances or the cluster have made already is there.
async fn create(api: &Api<DynamicObject>, object: &DynamicObject, requests: &AtomicU64) -> Result<(), BenchError> {
    let mut tries = 0;
    loop {
        tries += 1;
        requests.fetch_add(1, Ordering::Relaxed);
        match api.create(&PostParams::default(), object).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => return Ok(()),
            Err(kube::Error::Api(status))
                if status.message.contains("status unknown for quota") && tries < QUOTA_TRIES =>
            {
                tokio::time::sleep(QUOTA_PAUSE).await;
            }
            created => return created.map(|_| ()).map_err(part),
        }
    }
}

/// Seconds since `begun` when the program of each instance ran.
async fn all_run(
    bench: &Bench,
    specs: &[InstanceSpec],
    begun: Instant,
    requests: &AtomicU64,
) -> Result<Vec<f64>, BenchError> {
    let deployments: Api<Deployment> = Api::all(bench.client.clone());
    let ours = ListParams::default().labels(&format!("{}={}", names::MANAGED_BY, names::MANAGED_BY_US));
    let mut waited: BTreeMap<&str, Option<f64>> = specs.iter().map(|spec| (spec.instance_id.as_str(), None)).collect();
    loop {
        requests.fetch_add(1, Ordering::Relaxed);
        for one in deployments.list(&ours).await.map_err(part)? {
            let ready = one.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
            let known = one.labels().get(names::INSTANCE).and_then(|id| waited.get_mut(id.as_str()));
            if let Some(at @ None) = known.filter(|_| ready > 0) {
                *at = Some(begun.elapsed().as_secs_f64());
            }
        }
        if let Some(all) = waited.values().copied().collect() {
            return Ok(all);
        }
        tokio::time::sleep(LOOK).await;
    }
}
