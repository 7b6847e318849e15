//! Deleting what belongs to an instance, each object by its identity, and naming what does not go.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod, Secret, Service},
    networking::v1::{Ingress, NetworkPolicy},
};
use kube::{
    Resource, ResourceExt,
    api::{DeleteParams, DynamicObject, Preconditions},
    core::NamespaceResourceScope,
};
use minispod_kernel::Timestamp;
use serde::de::DeserializeOwned;

use super::{KubeCluster, STALE_PAUSE, STALE_TRIES, apply::Place};
use crate::{
    cluster::{Age, ClusterError, Leftover, Made, Removal, Target},
    names,
};

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    Now,
    /// It was not there.
    Before,
    /// Another one of the same name is there, or this one was written since.
    Changed,
}

impl KubeCluster {
    /// Doors first, so that nobody is led to what is going.
    pub(super) async fn remove_all(&self, target: &Target, removal: Removal, upto: u32) -> Result<(), ClusterError> {
        if removal != Removal::Data {
            self.remove::<Ingress>(target, upto).await?;
        }
        if removal == Removal::Doors {
            return Ok(());
        }
        if removal != Removal::Data {
            self.remove::<Service>(target, upto).await?;
        }
        self.remove::<Deployment>(target, upto).await?;
        if removal != Removal::Data {
            self.remove::<Secret>(target, upto).await?;
            self.remove::<NetworkPolicy>(target, upto).await?;
        }
        if removal != Removal::Program {
            self.remove::<PersistentVolumeClaim>(target, upto).await?;
        }
        Ok(())
    }

    /// Exactly the objects seen here as they were seen, and none that was written since or takes the place of one: a
    /// process that was held up in the middle does no harm when it goes on.
    async fn remove<K>(&self, target: &Target, upto: u32) -> Result<(), ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync,
        K::DynamicType: Default,
    {
        for _ in 0..STALE_TRIES {
            let mut changed = false;
            for object in self.list::<K>(target).await? {
                if object.meta().deletion_timestamp.is_some() || names::generation_of(&object) > upto {
                    continue;
                }
                let exactly = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
                let gone = self.delete_as_seen::<K>(&target.namespace, &object.name_any(), exactly).await?;
                changed |= gone == Gone::Changed;
            }
            if !changed {
                return Ok(());
            }
            tokio::time::sleep(STALE_PAUSE).await;
        }
        let what = format!("delete what {} has", target.instance_id);
        Err(ClusterError::Unreachable { what, source: Some("it is written to all the while".into()) })
    }

    /// Deletes the object of a name if it is still as it was seen; with a version among the conditions, not when it was
    /// written since.
    pub(super) async fn delete_as_seen<K>(
        &self,
        namespace: &str,
        name: &str,
        exactly: Preconditions,
    ) -> Result<Gone, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync,
        K::DynamicType: Default,
    {
        let api = self.api::<K>(namespace);
        let params = DeleteParams { preconditions: Some(exactly), ..DeleteParams::background() };
        self.call(&format!("delete {} {name}", K::kind(&K::DynamicType::default())), || async {
            match api.delete(name, &params).await {
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Gone::Before),
                Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Gone::Changed),
                other => other.map(|_| Gone::Now),
            }
        })
        .await
    }

    /// Deletes what a request made that came too late, unless a newer one wrote it since.
    pub(super) async fn unmake_one(&self, made: &Made, upto: Age) -> Result<(), ClusterError> {
        let place = Place::of_made(made);
        let (api, what) = (self.dynamic(&place), format!("take back {}", place.object()));
        for _ in 0..STALE_TRIES {
            let live = self.call(&what, || api.get_opt(&place.name)).await?;
            let ours = |live: &DynamicObject| live.uid().as_ref() == Some(&made.uid) && names::age_of(live) <= upto;
            let Some(live) = live.filter(ours) else { return Ok(()) };
            let exactly = Preconditions { uid: live.uid(), resource_version: live.resource_version() };
            let params = DeleteParams { preconditions: Some(exactly), ..DeleteParams::background() };
            let gone = self.call(&what, || async {
                match api.delete(&place.name, &params).await {
                    Err(kube::Error::Api(status)) if status.is_not_found() => Ok(true),
                    Err(kube::Error::Api(status)) if status.is_conflict() => Ok(false),
                    other => other.map(|_| true),
                }
            });
            if gone.await? {
                return Ok(());
            }
            tokio::time::sleep(STALE_PAUSE).await;
        }
        Err(ClusterError::Unreachable { what, source: Some("it is written to all the while".into()) })
    }

    /// Of every kind that an instance has.
    pub(super) async fn all_leftovers(&self, target: &Target) -> Result<Vec<Leftover>, ClusterError> {
        let mut left = self.left::<Ingress>(target).await?;
        left.extend(self.left::<Service>(target).await?);
        left.extend(self.left::<Deployment>(target).await?);
        left.extend(self.left::<Pod>(target).await?);
        left.extend(self.left::<Secret>(target).await?);
        left.extend(self.left::<NetworkPolicy>(target).await?);
        left.extend(self.left::<PersistentVolumeClaim>(target).await?);
        Ok(left)
    }

    async fn left<K>(&self, target: &Target) -> Result<Vec<Leftover>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync,
        K::DynamicType: Default,
    {
        let kind = K::kind(&K::DynamicType::default()).into_owned();
        let objects = self.list::<K>(target).await?;
        let leaving = objects.iter().filter_map(|object| Some((object, object.meta().deletion_timestamp.as_ref()?)));
        Ok(leaving
            .map(|(object, since)| Leftover {
                object: format!("{kind} {}/{}", target.namespace, object.name_any()),
                finalizers: object.finalizers().to_vec(),
                since: Some(Timestamp::from_unix_millis(since.0.as_millisecond())),
            })
            .collect())
    }
}
