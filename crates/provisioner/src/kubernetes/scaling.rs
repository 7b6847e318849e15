//! The number of copies of an instance's workloads, set only over what no newer request wrote.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{KubeCluster, STALE_PAUSE, STALE_TRIES};
use crate::{
    cluster::{ClusterError, Target},
    names,
};

impl KubeCluster {
    pub(super) async fn scale_all(&self, target: &Target, replicas: u32, generation: u32) -> Result<(), ClusterError> {
        for workload in self.list::<Deployment>(target).await? {
            self.scale_one(&target.namespace, workload, replicas, generation).await?;
        }
        Ok(())
    }

    /// As it was seen or not at all: what a process wrote that took the place of this one stays.
    async fn scale_one(
        &self,
        namespace: &str,
        seen: Deployment,
        replicas: u32,
        generation: u32,
    ) -> Result<(), ClusterError> {
        let (api, name) = (self.api::<Deployment>(namespace), seen.name_any());
        let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let what = format!("scale {name}");
        let mut seen = Some(seen);
        for _ in 0..STALE_TRIES {
            // Gone meanwhile: nothing left to scale.
            let Some(live) = seen else { return Ok(()) };
            let copies = live.spec.as_ref().and_then(|spec| spec.replicas);
            let written = names::generation_of(&live);
            if written > generation || written == generation && copies == i32::try_from(replicas).ok() {
                return Ok(());
            }
            let version = live.resource_version();
            let patch = Patch::Merge(json!({
                "metadata": {
                    "resourceVersion": version,
                    "annotations": { names::GENERATION: generation.to_string() },
                },
                "spec": { "replicas": replicas },
            }));
            let scaled = self.call(&what, || async {
                match api.patch(&name, &params, &patch).await {
                    Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(false),
                    other => other.map(|_| true),
                }
            });
            if scaled.await? {
                return Ok(());
            }
            tokio::time::sleep(STALE_PAUSE).await;
            seen = self.call(&what, || api.get_opt(&name)).await?;
        }
        Err(ClusterError::Unreachable { what, source: Some("it is written to all the while".into()) })
    }
}
